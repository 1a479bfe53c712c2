"""What the benchmarks are built of; that they run is seen by running them (`make bench`)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import machine, sample_photos
from benchmarks.installation.fill_images import random_vectors
from benchmarks.options import NAMES, Options, parse
from benchmarks.report import Section, Table, percentile, write_markdown
from harness.installation import ROOT


def test_percentiles_lie_between_neighbours() -> None:
    values = [float(value) for value in range(101)]
    assert percentile(values, 50) == 50
    assert percentile(values, 95) == 95
    assert percentile([1.0, 2.0], 50) == 1.5
    assert percentile([7.0], 95) == 7


def test_without_arguments_everything_runs_at_full_size() -> None:
    options = parse([])
    assert options.names == NAMES
    assert (options.images, options.searches, options.pictures, options.rounds) == (
        10_000, 100, 480, 2,
    )  # fmt: skip
    assert options.command("query") == "python -m benchmarks query"


def test_a_section_names_the_command_that_repeats_it() -> None:
    options = parse(["startup", "query", "--images", "1000", "--markdown", "x.md"])
    assert options == Options(names=("query", "startup"), images=1000, markdown=Path("x.md"))
    assert options.command("query") == "python -m benchmarks query --images=1000"
    assert parse(options.command("query").split()[3:]).images == 1000
    assert options.command("startup") == "python -m benchmarks startup"
    options = parse(["search", "--gallery", "2000", "--searches", "20"])
    assert options.command("search") == "python -m benchmarks search --gallery=2000 --searches=20"
    assert parse(["search"]).gallery == 100_000
    options = parse(["quality", "--folder", "demo", "--pipelines", "one, other", "--many", "200"])
    assert options.command("quality") == (
        "python -m benchmarks quality --folder=demo --pipelines=one,other"
    )
    assert parse(options.command("quality").split()[3:]).pipelines == ("one", "other")
    assert options.command("embed").endswith("--many=200 --folder=demo --pipelines=one,other")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quary"], "there is no benchmark 'quary'; there are: query"),
        (["--searches", "one"], "must be a whole number from 2 on, not 'one'"),
        (["--images", "0"], "must be a whole number from 100 on, not '0'"),
        (["--folder", "no-such"], "there is no folder 'no-such'"),
    ],
)
def test_a_wrong_argument_is_refused_in_words(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)
    assert message in capsys.readouterr().err


def test_a_table_reads_as_text_and_as_markdown() -> None:
    table = Table(["ms", "p50"], [["all", "41.0"], ["  decode", "9.5"]])
    assert table.text() == "ms         p50\n--------  ----\nall       41.0\n  decode   9.5"
    assert table.markdown().splitlines()[1:3] == ["| -------- | ---: |", "| all      | 41.0 |"]


def test_markdown_replaces_what_stands_between_the_marks(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.md"
    file.write_text("# Ours\n\n<!-- begin query -->\nold\n<!-- end query -->\n\nAlso ours\n")
    write_markdown(file, Section("query", "the command", "the machine.", ["new"]))
    write_markdown(file, Section("ingest", "another", "the machine.", [Table(["a"], [["b"]])]))
    written = file.read_text()
    assert written.startswith(
        "# Ours\n\n<!-- begin query -->\n`the command`: the machine.\n\nnew\n<!-- end query -->\n"
        "\nAlso ours\n\n<!-- begin ingest -->\n`another`"
    )
    assert "old" not in written
    write_markdown(file, Section("query", "the command", "the machine.", ["new"]))
    assert file.read_text() == written


def test_markdown_in_a_folder_has_a_file_for_each_section(tmp_path: Path) -> None:
    section = Section("query", "the command", "the machine.", ["new"])
    for _ in range(2):
        write_markdown(tmp_path, section)
        assert (tmp_path / "query.md").read_text() == (
            "# query\n\n<!-- begin query -->\n`the command`: the machine.\n\nnew\n"
            "<!-- end query -->\n"
        )


def test_the_machine_and_the_versions_are_named() -> None:
    description = machine.describe()
    for word in ("cores of", "Python 3.", "torch ", "milvus-lite ", "data on "):
        assert word in description


def test_our_own_work_is_not_that_of_others() -> None:
    def of_others() -> float:
        share = neighbours.share()
        return share * (time.monotonic() - started) * (os.cpu_count() or 1)

    work = "import time\nwhile time.process_time() < 1: pass"
    started, neighbours = time.monotonic(), machine.Neighbours()
    with subprocess.Popen([sys.executable, "-c", work]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not ours yet
        before = of_others()
        child.wait()
        assert before - of_others() > 0.7
    assert "% of the processors meanwhile" in neighbours.sentence()


def test_pictures_are_all_different_and_as_large_as_asked(tmp_path: Path) -> None:
    photos = sample_photos.make(tmp_path / "a", 5, 400, seed=1)
    again = sample_photos.make(tmp_path / "b", 5, 400, seed=1)
    others = sample_photos.make(tmp_path / "c", 5, 400, seed=2)
    assert [path.read_bytes() for path in photos] == [path.read_bytes() for path in again]
    assert len({path.read_bytes() for path in photos + others}) == 10
    for path in photos:
        with Image.open(path) as picture:
            assert max(picture.size) == 400


def test_random_vectors_are_of_length_one_and_always_the_same() -> None:
    vectors = random_vectors(50, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(vectors, random_vectors(50, 32))


@pytest.mark.slow
def test_help_names_the_benchmarks() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in NAMES:
        assert name in shown.stdout
