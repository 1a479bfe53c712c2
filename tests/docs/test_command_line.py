"""`docs/command-line.md`: its commands work as they stand there, its tables are complete."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from embeddings.cli import main
from embeddings.cli.main import COMMANDS
from harness.installation import ROOT
from tests.docs.markdown import blocks, code, tables

PAGE = ROOT / "docs" / "command-line.md"


@pytest.mark.long
def test_the_commands_work_as_they_stand_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(line: str) -> list[dict[str, object]]:
        """Run one line of the page in this process; return its JSON lines."""
        *program, command = shlex.split(line)[:4]
        assert program == ["python", "-m", "embeddings"]
        code = main([command, *shlex.split(line)[4:]])
        output, errors = capsys.readouterr()
        assert code == 0, errors
        return [json.loads(one) for one in output.splitlines()]

    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    for path in sorted((ROOT / "demo").glob("erase-*.jpg")):
        (tmp_path / "demo" / path.name).symlink_to(path)
    examples = [block.text.splitlines() for block in blocks(PAGE) if block.kind == "sh"]
    embed, search, dedupe = (run(line) for line in examples[0])
    assert embed[-1]["count"] == 5
    (result,) = search
    assert result["hits"][0]["id"] == "demo/erase-giraffe.jpg"  # type: ignore[index]
    assert dedupe == []
    (tmp_path / "demo.bundle").rename(tmp_path / "old.bundle")
    _, words = (run(line) for line in examples[1])
    assert words[0]["hits"][0]["id"] == "demo/erase-giraffe.jpg"  # type: ignore[index]
    for line in (line for example in examples[2:] for line in example):
        run(line)


def test_every_command_is_in_the_table_and_no_other() -> None:
    named = {code(row["command"]) for _, rows in tables(PAGE) for row in rows if "command" in row}
    assert named == set(COMMANDS)
