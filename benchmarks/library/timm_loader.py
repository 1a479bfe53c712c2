"""timm with torch's DataLoader, as a peer: `python -m benchmarks.library.timm_loader`.

The usual second version of a script: processes decode while the model runs on batches. Reads the
names of files that list paths; prints the seconds for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.library import timm_common

WORKERS = 2
BATCH = 32


class _Files(Dataset[torch.Tensor]):
    def __init__(self, parts: timm_common.Parts, paths: Sequence[str]) -> None:
        self._parts, self._paths = parts, paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, place: int) -> torch.Tensor:
        return self._parts.pixels(self._paths[place])


def main() -> None:
    parts = timm_common.load()

    def embed(paths: Sequence[str]) -> list[timm_common.Vector]:
        loader = DataLoader(_Files(parts, paths), batch_size=BATCH, num_workers=WORKERS)
        return [vector for batch in loader for vector in parts.vectors(batch)]

    timm_common.answer(embed)


if __name__ == "__main__":
    main()
