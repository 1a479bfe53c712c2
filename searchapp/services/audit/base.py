"""`Check`: the interface of an audit check, its scope and its findings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from searchapp.models import Dataset


@dataclass(frozen=True)
class AuditScope:
    """The scope of an audit: one dataset, or everything; `deep` reads every original."""

    dataset: Dataset | None = None
    deep: bool = False


@dataclass(frozen=True)
class Finding:
    """Something that is wrong. `key` is what its repair needs."""

    subject: str  # what it is about: "picture 12", the name of a file
    detail: str  # a sentence
    key: Any = None
    dataset: str = ""  # the slug of its dataset, if it has one


@dataclass(frozen=True)
class AuditStep:
    """Part of a check's work: `after` is where the next step begins, None at the end."""

    findings: Sequence[Finding] = field(default_factory=tuple)
    looked: int = 0
    after: Any = None


class Check(ABC):
    """One kind of thing that an audit looks for, in steps of bounded size and memory."""

    kind: ClassVar[str]
    title: ClassVar[str]  # "Pictures without a vector"
    counted: ClassVar[str]  # what is counted: "pictures"
    repairs: ClassVar[str] = ""  # what a repair does; empty where there is none
    advice: ClassVar[str] = ""  # what a person can do, when there is no repair
    deep_only: ClassVar[bool] = False
    whole_only: ClassVar[bool] = False  # not applicable to a single dataset

    @abstractmethod
    def step(self, scope: AuditScope, after: Any) -> AuditStep:
        """Check the items behind `after` (None: from the beginning), which is plain JSON."""

    def confirm(self, findings: Sequence[Finding]) -> list[Finding]:
        """Check again, a moment later, to drop findings that were merely in progress."""
        return list(findings)

    def repair(self, findings: Sequence[Finding]) -> int:
        """Repair `findings`; returns how many are repaired, or queued for workers."""
        return 0
