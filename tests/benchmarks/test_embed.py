"""The speed benchmarks of the library, small: every contestant answers, what is missing is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import sample_photos
from benchmarks.library import embed, gpu
from benchmarks.options import Options
from benchmarks.peer import Peer
from benchmarks.report import NotHere, Table
from embeddings.recipes import DEFAULT_PIPELINE
from harness.installation import ROOT, clean_environment


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The name of a file that lists three pictures."""
    listed = tmp_path / "listed.txt"
    listed.write_text("\n".join(map(str, sample_photos.make(tmp_path, 3, 320, seed=3))))
    return listed


@pytest.mark.long
@pytest.mark.parametrize(
    "module", ["benchmarks.library.timm_loop", "benchmarks.library.timm_loader"]
)
def test_the_timm_peers_answer(module: str, files: Path) -> None:
    with Peer(module, environment=clean_environment()) as peer:
        assert peer.facts["threads"] >= 1
        answer = peer.ask(str(files))
    assert answer["seconds"] > 0
    assert answer["cpu"] > 0


@pytest.mark.long
def test_a_pipeline_answers_every_question(files: Path) -> None:
    arguments = ("benchmarks.library.pipeline_contestant", DEFAULT_PIPELINE, "auto")
    with Peer(*arguments, environment=clean_environment()) as peer:
        contestant = embed.Contestant("ours", peer, ours=True)
        contestant.embed(files)
        one, many = contestant.ask("one", files), contestant.ask("many", files, 100)
    assert contestant.seconds[0] > 0
    assert contestant.cpu[0] > 0
    assert contestant.decode[0] > 0
    assert contestant.forward[0] > 0
    assert one["call"] > 0
    assert many["count"] == 100
    assert many["end"] > many["before"] / 2 > 0


def test_an_unknown_pipeline_is_told_and_not_run() -> None:
    arguments = (
        "benchmarks.library.pipeline_contestant",
        "image-embedding-efficientnet-lite9",
        "auto",
    )
    with Peer(*arguments, environment=clean_environment()) as peer:
        assert "There is no pipeline" in peer.facts["missing"]


@pytest.mark.long
def test_all_contestants_and_a_peer_that_cannot_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", ""), ("CONFIG_FILE", os.devnull)):
        monkeypatch.setenv(f"PIP_{name}", value)
    parts = embed.run(
        Options(pictures=3, rounds=1, many=100, pipelines=(DEFAULT_PIPELINE, "no-such"))
    )
    text = "\n".join(part for part in parts if isinstance(part, str))
    assert "Towhee 1.1.3 is left out, because it cannot be installed here: " in text
    assert "no-such with auto is left out: There is no pipeline" in text
    assert "over 100 pictures" in text
    assert text.count("(aim: ") == 4
    speed, one_picture = (part for part in parts if isinstance(part, Table))
    assert [row[0].partition(",")[0] for row in speed.rows] == [
        "timm loop", "timm", DEFAULT_PIPELINE,
    ]  # fmt: skip
    assert max(float(row[4]) for row in speed.rows[:2]) == 1  # the better peer, by itself
    assert float(speed.rows[2][8]) > 0
    assert len(one_picture.rows) == 1


def test_a_folder_of_pictures_is_taken_as_it_is(tmp_path: Path) -> None:
    paths = sample_photos.make(tmp_path / "a" / "b", 2, 320, seed=4)
    assert embed.files(Options(folder=tmp_path), tmp_path / "unused") == paths
    assert embed.files(Options(folder=tmp_path, pictures=1), tmp_path / "unused") == paths[:1]
    with pytest.raises(NotHere, match="there is no picture in"):
        embed.files(Options(folder=ROOT / "requirements"), tmp_path / "unused")


SMALL = gpu.Load(device="cpu", batch=2, batches=1, product=64)


@pytest.mark.long
def test_what_a_card_would_do_runs_on_the_processor_too() -> None:
    model = gpu.make_model("resnet18", SMALL)
    # 1.8 thousand million multiplications, as is well known, and as many additions.
    assert gpu.operations_per_picture(model, SMALL) == pytest.approx(3.6e9, rel=0.05)
    assert gpu.operations_per_second(SMALL) > 0
    assert gpu.forward(model, SMALL) > 0
    files = [path.read_bytes() for path in sample_photos.demo()[:2]]
    assert gpu.from_jpegs(model, files, SMALL) > 0


@pytest.mark.slow
def test_without_a_card_one_line_says_so_and_nothing_is_written(tmp_path: Path) -> None:
    written = tmp_path / "benchmarks.md"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "gpu", "--markdown", str(written)],
        cwd=ROOT, env=clean_environment(CUDA_VISIBLE_DEVICES=""),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n") == [
        "gpu: there is no CUDA device here; nothing was measured.",
        "",
        "",
    ]
    assert not written.exists()
