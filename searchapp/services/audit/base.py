"""`Check`: the interface of an audit check, its scope and its findings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from searchapp.models import Dataset


@dataclass(frozen=True)
class AuditScope:
    """What an audit looks at: one dataset, or everything; `deep` reads every original."""

    dataset: Dataset | None = None
    deep: bool = False


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be. `key` is what its repair needs."""

    subject: str  # what it is about: "picture 12", the name of a file
    detail: str  # a sentence
    key: Any = None
    dataset: str = ""  # its slug, where it is of one


@dataclass(frozen=True)
class AuditStep:
    """Some of a check's work: `after` is where the next step begins, None at the end."""

    findings: Sequence[Finding] = field(default_factory=tuple)
    looked: int = 0
    after: Any = None


class Check(ABC):
    """One kind of thing that an audit looks for, in steps of bounded size and memory."""

    kind: ClassVar[str]
    title: ClassVar[str]  # "Pictures without a vector"
    counted: ClassVar[str]  # what is looked at: "pictures"
    repairs: ClassVar[str] = ""  # what a repair does; empty where there is none
    advice: ClassVar[str] = ""  # what a person can do, where there is none
    deep_only: ClassVar[bool] = False
    whole_only: ClassVar[bool] = False  # makes no sense for one dataset

    @abstractmethod
    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        """Look at what comes behind `after` (None: the beginning), which is plain JSON."""

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        """Look once more, a moment later: what is merely in flight is no finding."""
        return list(findings)

    def repair(self, findings: Sequence[Finding]) -> int:
        """Mend what `findings` say; returns how many are mended, or in workers' hands."""
        return 0
