"""Results are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from embeddings.atomic_write import written_file, written_folder
from embeddings.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    with written_file(tmp_path / "a.csv") as draft:
        draft.write_text("new")
        assert draft.suffix == ".csv"
        assert not (tmp_path / "a.csv").exists()
    assert (tmp_path / "a.csv").read_text() == "new"
    assert names(tmp_path) == ["a.csv"]


def half_written(path: Path, error: BaseException) -> None:
    with written_file(path) as draft:
        draft.write_text("half")
        raise error


def empty_folder(path: Path, *, overwrite: bool = False) -> None:
    with written_folder(path, overwrite=overwrite):
        pass


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_what_was_there_stays_after_an_error(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises((ValueError, KeyboardInterrupt, OutputError)):
        half_written(tmp_path / "a", error)
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_full_disk_is_told_with_the_name_of_the_result(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"a\.npy cannot be written: No space left"):
        half_written(tmp_path / "a.npy", full)


def test_an_error_about_another_file_goes_on_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="picture"), written_file(tmp_path / "a"):
        (tmp_path / "picture").read_bytes()


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        half_written(tmp_path / "none" / "a", ValueError())
    with pytest.raises(OutputError, match="No such file or directory"):
        empty_folder(tmp_path / "none" / "a")


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with written_folder(tmp_path / "bundle") as draft:
        (draft / "a").write_text("1")
        assert not (tmp_path / "bundle").exists()
    assert names(tmp_path) == ["bundle"]
    assert names(tmp_path / "bundle") == ["a"]


def test_a_folder_that_is_there_is_refused_unless_told(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "old").write_text("")
    with pytest.raises(OutputError, match="is there already"), written_folder(tmp_path / "bundle"):
        pass
    with pytest.raises(RuntimeError), written_folder(tmp_path / "bundle", overwrite=True):
        raise RuntimeError
    assert names(tmp_path / "bundle") == ["old"]
    with written_folder(tmp_path / "bundle", overwrite=True) as draft:
        (draft / "new").write_text("")
    assert names(tmp_path / "bundle") == ["new"]
    assert names(tmp_path) == ["bundle"]


def test_a_file_does_not_replace_a_folder_nor_a_folder_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a folder"), written_file(tmp_path / "folder"):
        pass
    with pytest.raises(OutputError, match="no folder"):
        empty_folder(tmp_path / "file", overwrite=True)
