"""`python -m embeddings embed | search | dedupe | export | check | bench | export-onnx`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import pytest
from PIL import Image

from embeddings import pipeline
from embeddings.bundle import FORMATS as BUNDLES
from embeddings.bundle import load
from embeddings.cli import main
from embeddings.cli.options import FORMATS
from harness.installation import ROOT

DEMO = ROOT / "demo"
GOOD = ("erase-crab.jpg", "erase-giraffe.jpg", "erase-pika.jpg")


class Done(NamedTuple):
    code: int
    lines: list[dict[str, Any]]
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: object) -> Done:
        code = main([str(one) for one in arguments])
        out, stderr = capsys.readouterr()
        return Done(code, [json.loads(line) for line in out.splitlines()], stderr)

    return command


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs, one of them twice and once mirrored, and what else lies in folders."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "deep" / "er").mkdir(parents=True)
    for name in GOOD:
        shutil.copy(DEMO / name, folder)
    shutil.copy(DEMO / GOOD[0], folder / "deep" / "er" / "again.JPG")
    with Image.open(DEMO / GOOD[1]) as picture:
        mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mirrored.save(folder / "deep" / "mirrored.png")
    (folder / "bad.jpg").write_bytes(b"no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("left out")
    (folder / ".hidden.jpg").write_bytes(b"left out")
    return folder


@pytest.fixture(scope="module")
def bundle(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "photos.bundle"
    assert main(["embed", str(photos), "-o", str(path), "--quiet"]) == 3
    return path


def test_a_folder_becomes_a_bundle_and_bad_files_are_told(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    done = run("embed", photos, "-o", tmp_path / "out")
    assert done.code == 3
    *bad, written = done.lines
    assert [(Path(one["id"]).name, one["error"]["code"]) for one in bad] == [
        ("bad.jpg", "not_a_picture"),
        ("empty.png", "empty_file"),
    ]
    assert (written["bundle"], written["count"], written["failed"]) == (str(tmp_path / "out"), 5, 2)
    assert "5 pictures in " in done.stderr
    assert "2 could not be used" in done.stderr
    result = load(tmp_path / "out")
    assert [str(Path(one).relative_to(photos)) for one in result.ids] == [
        *GOOD,
        "deep/mirrored.png",
        "deep/er/again.JPG",
    ]
    assert result.fingerprint == written["fingerprint"] == pipeline().fingerprint
    expected = pipeline()([photos / name for name in GOOD])
    assert np.allclose(result.vectors[:3], expected, atol=1e-5)


def test_without_a_bundle_each_picture_is_a_line(run: Run, photos: Path) -> None:
    done = run("embed", photos / GOOD[0], photos / "bad.jpg", photos / GOOD[0], "--quiet")
    assert (done.code, done.stderr) == (3, "")
    first, bad = done.lines
    assert np.allclose(first["vector"], pipeline()(photos / GOOD[0]), atol=1e-5)
    assert first["bytes"] == (photos / GOOD[0]).stat().st_size
    assert bad["error"]["code"] == "not_a_picture"


def test_all_files_of_a_folder(run: Run, photos: Path) -> None:
    tried = [line["id"] for line in run("embed", photos, "--all-files").lines]
    assert any(one.endswith("notes.txt") for one in tried)
    assert not any(".hidden" in one for one in tried)


@pytest.mark.slow
def test_paths_from_stdin(photos: Path) -> None:
    paths = f"{photos / GOOD[1]}\n\n{photos / 'gone.jpg'}\n"
    done = subprocess.run(
        [sys.executable, "-m", "embeddings", "embed", "-"],
        cwd=ROOT,
        input=paths,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3, done.stderr
    good, gone = map(json.loads, done.stdout.splitlines())
    assert len(good["vector"]) == 1280
    assert gone["error"] == {"code": "unreadable_file", "detail": "No such file or directory"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["embed", "nowhere/"], "There is no file or folder 'nowhere/'."),
        (["embed", "{empty}"], "There is no picture in"),
        (["embed", "{photos}", "--pipeline", "image-embedding-lite0"], "did you mean"),
        (["embed", "{photos}", "--text", "x"], "--text writes a bundle beside that of -o"),
        (["embed", "{photos}", "-o", "{new}", "--text", "{new}/../new"], "neither can be"),
        (["embed", "{photos}", "-o", "{new}", "--text", "{new}/in"], "neither can be"),
        (["embed", "{photos}", "-o", "/"], "is no name for a result"),
        (["embed", "{photos}/bad.jpg", "-o", "{new}"], "None of 1 picture could be used."),
        (["embed", "{photos}", "-o", "{bundle}"], "is there already"),
        (["embed", "{photos}", "-o", "{photos}", "--overwrite"], "no bundle"),
        (["search", "{photos}", "x.jpg"], "manifest.json"),
        (["search", "{bundle}"], "Give a picture, --text or --id"),
        (["search", "{bundle}", "--id", "nothing"], "There is no picture in this bundle"),
        (["search", "{bundle}", "--text", "a crab"], "write one with `embed --text`"),
        (["dedupe", "{bundle}", "--runtime", "torch"], "has its vectors already"),
        (["dedupe", "{bundle}", "{photos}"], "one bundle alone"),
        (["check", "{photos}"], "manifest.json"),
        (["export", "{bundle}", "-o", "{photos}/bad.jpg", "--format", "faiss"], "--overwrite"),
        (["export-onnx", "-o", "{photos}/bad.jpg"], "is there already"),
        (["export-onnx", "-o", "/dev/null", "--overwrite"], "no regular file"),
        (["bench", "{photos}/bad.jpg"], "no picture that can be decoded"),
        (["bench", "--seconds", "0"], "--seconds must be above 0"),
        (["bench", "{photos}", "--runtimes", "nothing"], "There is no runtime named"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    run: Run, photos: Path, bundle: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"photos": photos, "bundle": bundle, "empty": tmp_path / "empty"}
    command = [one.format(**places, new=tmp_path / "new") for one in arguments]
    done = run(*command)
    assert done.code == 1
    assert message in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert os.listdir(tmp_path) == ["empty"]
    assert (photos / GOOD[0]).exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "x", "--runtime", "tf"],
        ["embed", "x", "-o", ""],
        ["embed", "x", "-o", "y", "--format", "xlsx"],
        ["search", "x", "y", "-k", "0"],
        ["search", "x", "y", "--at-least", "nan"],
        ["dedupe", "x", "--threshold", "2"],
        ["export", "x", "-o", "y", "--format", "xlsx"],
    ],
)
def test_wrong_kinds_of_arguments_are_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert f"usage: python -m embeddings {arguments[0]}" in capsys.readouterr().err


def test_the_formats_are_those_of_bundles() -> None:
    assert set(FORMATS) == set(BUNDLES)


def test_what_is_no_file_is_told_and_not_waited_for(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "good.jpg").symlink_to(DEMO / GOOD[0])
    gone, good, pipe, zero = run("embed", tmp_path).lines
    assert gone["error"]["code"] == "unreadable_file"
    assert len(good["vector"]) == 1280
    assert pipe["error"] == zero["error"]
    assert pipe["error"]["detail"] == "This is no file, but a folder, a pipe or a device."
    assert run("embed", tmp_path / "gone.jpg", tmp_path / "good.jpg").code == 3


def test_results_that_cannot_be_printed(photos: Path, bundle: Path) -> None:
    for command in (["check", str(bundle)], ["models", "--json"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "embeddings", *command],
                cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, "error: No space left on device.\n")
    for closed in (">&-", "2>&-"):
        line = f"{sys.executable} -m embeddings check {bundle} {closed}"
        ran = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")


def test_a_picture_finds_its_like(run: Run, photos: Path, bundle: Path) -> None:
    done = run("search", bundle, photos / "deep" / "mirrored.png", photos / "bad.jpg", "-k", 2)
    assert done.code == 3
    result, bad = done.lines
    assert bad["error"]["code"] == "not_a_picture"
    assert result["query"] == {"picture": str(photos / "deep" / "mirrored.png")}
    first, second = result["hits"]
    assert first["id"] == result["query"]["picture"]
    assert first["score"] == pytest.approx(1, abs=1e-4)
    assert second["id"] == str(photos / GOOD[1])
    assert second["metadata"]["bytes"] == (photos / GOOD[1]).stat().st_size


def test_a_search_by_what_is_stored_and_a_least_score(run: Run, photos: Path, bundle: Path) -> None:
    query = str(photos / GOOD[0])
    (result,) = run("search", bundle, "--id", query, "--at-least", "0.99").lines
    again = str(photos / "deep" / "er" / "again.JPG")
    assert [hit["id"] for hit in result["hits"]] == [query, again]


@pytest.mark.slow
def test_words_find_pictures(run: Run, photos: Path, tmp_path: Path) -> None:
    quick = ("--runtime", "openvino")  # nothing to measure first
    both = run("embed", photos, "-o", tmp_path / "a", "--text", tmp_path / "b", *quick)
    assert both.code == 3
    assert [line["count"] for line in both.lines[-2:]] == [5, 5]
    assert both.lines[-1]["fingerprint"] != both.lines[-2]["fingerprint"]
    words = ["a crab on the beach", "a giraffe"]
    done = run("search", tmp_path / "b", "--text", words[0], "--text", words[1], "-k", 1, *quick)
    crab, giraffe = done.lines
    assert crab["query"] == {"text": words[0]}
    assert "crab" in crab["hits"][0]["id"] or "again" in crab["hits"][0]["id"]
    assert "giraffe" in giraffe["hits"][0]["id"] or "mirrored" in giraffe["hits"][0]["id"]
    assert done.stderr.startswith("Approximate: ")


@pytest.mark.parametrize("source", ["photos", "bundle"])
def test_duplicates(run: Run, request: pytest.FixtureRequest, photos: Path, source: str) -> None:
    done = run("dedupe", request.getfixturevalue(source))
    assert done.code == (3 if source == "photos" else 0)
    groups = [line for line in done.lines if "keep" in line]
    assert "2 groups with 2 duplicates" in done.stderr
    duplicates = {
        Path(group["keep"]).name: [
            (Path(one["id"]).name, one["identical"]) for one in group["duplicates"]
        ]
        for group in groups
    }
    # Of the crab both files are equal, of the giraffe the PNG is the larger file.
    assert duplicates == {
        "erase-crab.jpg": [("again.JPG", True)],
        "mirrored.png": [("erase-giraffe.jpg", False)],
    }


def test_export_and_check(run: Run, bundle: Path, tmp_path: Path) -> None:
    for kind in ("parquet", "jsonl"):
        done = run("export", bundle, "-o", tmp_path / kind, "--format", kind)
        assert done.lines == [{"written": str(tmp_path / kind), "format": kind, "count": 5}]
        (checked,) = run("check", tmp_path / kind).lines
        assert (checked["count"], checked["whole"]) == (5, True)
        assert np.array_equal(load(tmp_path / kind).vectors, load(bundle).vectors)
    assert run("export", bundle, "-o", tmp_path / "faiss", "--format", "faiss").code == 0
    assert faiss.read_index(str(tmp_path / "faiss")).ntotal == 4  # of two equal files one
    with (tmp_path / "parquet" / "manifest.json").open("a") as file:
        file.write(" {}")
    damaged = run("check", tmp_path / "parquet")
    assert damaged.code == 1
    assert damaged.stderr.startswith("error: ")


@pytest.mark.slow
def test_bench(run: Run, photos: Path) -> None:
    done = run("bench", photos, "--seconds", "0.2", "--runtimes", "torch,openvino")
    assert done.code == 0
    assert [line["runtime"] for line in done.lines] == ["torch", "openvino"]
    assert all(line["pictures_per_second"] > 0 for line in done.lines)
    assert all(line["least_cosine_with_torch"] > 0.999 for line in done.lines)


def test_models_as_json(run: Run) -> None:
    models = {line["name"]: line for line in run("models", "--json").lines}
    assert models["efficientnet-lite0"]["weights"] == "here"
    assert models["resnet50"]["dimension"] == 2048


@pytest.mark.parametrize(("kill", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_nothing(tmp_path: Path, kill: signal.Signals, code: int) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(3000):
        os.symlink(DEMO / GOOD[number % 3], many / f"{number}.jpg")
    with subprocess.Popen(
        [sys.executable, "-m", "embeddings", "embed", str(many), "-o", str(tmp_path / "out")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".*-out")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(kill)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr.decode()
    assert b"Traceback" not in stderr
    assert os.listdir(tmp_path) == ["many"]


def test_a_reader_that_has_seen_enough(photos: Path) -> None:
    command = f"{sys.executable} -m embeddings models --json | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, capture_output=True, text=True
    )
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
