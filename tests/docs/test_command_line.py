"""`docs/command-line.md`: its commands work as they stand there, its tables are complete."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from embeddings.cli.main import COMMANDS
from harness.installation import ROOT, clean_environment
from tests.docs.markdown import blocks, code, tables

PAGE = ROOT / "docs" / "command-line.md"


def _run(line: str, folder: Path) -> list[dict[str, object]]:
    """Run one line of the page; its JSON lines."""
    name, *arguments = shlex.split(line)
    assert name == "python"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(one) for one in done.stdout.splitlines()]


def test_the_commands_work_as_they_stand_there(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    for path in sorted((ROOT / "demo").glob("erase-*.jpg")):
        (tmp_path / "demo" / path.name).symlink_to(path)
    examples = [block.text.splitlines() for block in blocks(PAGE) if block.kind == "sh"]
    embed, search, dedupe = (_run(line, tmp_path) for line in examples[0])
    assert embed[-1]["count"] == 5
    (found,) = search
    assert found["hits"][0]["id"] == "demo/erase-giraffe.jpg"  # type: ignore[index]
    assert dedupe == []
    (tmp_path / "demo.bundle").rename(tmp_path / "old.bundle")
    _, words = (_run(line, tmp_path) for line in examples[1])
    assert words[0]["hits"][0]["id"] == "demo/erase-giraffe.jpg"  # type: ignore[index]
    for line in (line for example in examples[2:] for line in example):
        _run(line, tmp_path)


def test_every_command_is_in_the_table_and_no_other() -> None:
    named = {code(row["command"]) for _, rows in tables(PAGE) for row in rows if "command" in row}
    assert named == set(COMMANDS)
