"""The library as a distribution of its own: what its wheel holds and requires, and that it runs."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from embeddings import __version__
from embeddings.recipes import recipe

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = {"text", "ray", "onnx", "faiss", "all"}
SERVER_PACKAGES = {"django", "djangorestframework", "celery", "redis", "pymilvus", "gunicorn"}
# What a program of a user does, started in a folder that is not the checkout.
PROGRAM = """
import json, sys
from embeddings import DataCollection, __file__, pipeline

picture, folder = sys.argv[1:]
embed = pipeline("image-embedding-efficientnet-lite0", runtime="torch")
vector = embed(picture)
rows = (
    DataCollection.from_glob(f"{folder}/erase-*.jpg")
    .image_decode.pillow()
    .map(embed)
    .to_numpy()
)
print(json.dumps({
    "file": __file__,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "fingerprint": embed.fingerprint,
    "length": float(vector @ vector),
    "shape": rows.shape,
}))
"""


def run(command: Iterable[object], folder: Path, environment: dict[str, str]) -> str:
    """Run a program in `folder`; return what it prints, or fail with what it says."""
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(project: Path, folder: Path) -> Path:
    arguments = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", folder]
    run([sys.executable, "-m", "pip", "wheel", *arguments, project], folder, dict(os.environ))
    (wheel,) = folder.glob("*.whl")
    return wheel


def requirements(of: Distribution) -> list[Requirement]:
    return [Requirement(line) for line in of.requires or ()]


def pinned_versions() -> dict[str, str]:
    """Return the versions that requirements/ names, by the packages' canonical names."""
    text = "\n".join(path.read_text() for path in (ROOT / "requirements").glob("*.txt"))
    pins = re.findall(r"(?m)^([\w.-]+)(?:\[\w+\])?==(\S+)$", text)
    return {canonicalize_name(name): version for name, version in pins}


def check_program(python: Path | str, elsewhere: Path, environment: dict[str, str]) -> None:
    """Run `PROGRAM` and compare what it computed with the checkout's recipe."""
    demo = ROOT / "demo"
    command = [python, "-c", PROGRAM, demo / "erase-crab.jpg", demo]
    answer = json.loads(run(command, elsewhere, environment))
    assert not Path(answer["file"]).is_relative_to(ROOT / "embeddings")
    assert not {"django", "celery", "searchapp", "worker"} & set(answer["modules"])
    assert answer["fingerprint"] == recipe("image-embedding-efficientnet-lite0").fingerprint
    assert answer["length"] == pytest.approx(1, abs=1e-5)
    assert answer["shape"] == [len(list(demo.glob("erase-*.jpg"))), 1280]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT / "embeddings", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def target(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed in it, to stand beside the packages that are there."""
    folder = tmp_path_factory.mktemp("target")
    arguments = ["--no-deps", "--no-index", "--quiet", "--target", folder]
    run([sys.executable, "-m", "pip", "install", *arguments, wheel], folder, dict(os.environ))
    return folder


@pytest.fixture(scope="module")
def library(target: Path) -> Distribution:
    (installed,) = distributions(path=[str(target)])
    return installed


@pytest.fixture
def environment(target: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(target)}


def test_the_wheel_holds_the_whole_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {path for path in (ROOT / "embeddings").rglob("*") if path.is_file()}
    there = {str(path.relative_to(ROOT)) for path in files if path.parent.name != "__pycache__"}
    assert packed == there - {"embeddings/pyproject.toml", "embeddings/LICENSE"}
    assert "embeddings/py.typed" in packed
    assert any(name.endswith(".jpg") for name in packed)


def test_the_distribution_says_what_it_is(library: Distribution) -> None:
    assert library.metadata["Name"] == "lookalike-embeddings"
    assert library.version == __version__
    assert set(library.metadata.get_all("Provides-Extra") or ()) == EXTRAS
    (script,) = library.entry_points
    assert (script.group, script.name) == ("console_scripts", "embeddings")
    licence = library.read_text("licenses/LICENSE")
    assert licence == (ROOT / "LICENSE").read_text()


def test_no_web_framework_comes_along(library: Distribution) -> None:
    """Neither by itself nor by what it requires, as far as that is installed."""
    left, names = requirements(library), set[str]()
    while left:
        name = canonicalize_name(left.pop().name)
        if name not in names:
            names.add(name)
            try:
                left += [
                    one
                    for one in requirements(distribution(name))
                    if one.marker is None or one.marker.evaluate({"extra": ""})
                ]
            except PackageNotFoundError:
                continue  # of another platform
    assert {"torch", "numpy", "ray"} <= names
    assert not SERVER_PACKAGES & names


def test_tested_versions_are_within_the_ranges(library: Distribution) -> None:
    """The pinned versions fit, and the two distributions require all that run.txt pins."""
    server = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert server["version"] == __version__
    own = [Requirement(line) for line in server["dependencies"]]
    pins = pinned_versions() | {"lookalike-embeddings": __version__}
    required = [*own, *requirements(library)]
    misfits = [
        str(one)
        for one in required
        if not one.specifier.contains(pins[canonicalize_name(one.name)], prereleases=True)
    ]
    assert misfits == []
    run_file = (ROOT / "requirements" / "run.txt").read_text()
    runs = {
        canonicalize_name(name) for name in re.findall(r"(?m)^([\w.-]+)(?:\[\w+\])?==", run_file)
    }
    assert runs <= {canonicalize_name(one.name) for one in required}


@pytest.mark.slow
def test_a_program_elsewhere_uses_it(
    environment: dict[str, str], target: Path, tmp_path: Path
) -> None:
    check_program(sys.executable, tmp_path, environment)


@pytest.mark.slow
def test_the_command_line_works_elsewhere(
    environment: dict[str, str], target: Path, tmp_path: Path
) -> None:
    script = target / "bin" / "embeddings"
    listed = run([script, "models"], tmp_path, environment)
    assert re.search(r"(?m)^efficientnet-lite0 .* here$", listed)
    picture = ROOT / "demo" / "erase-crab.jpg"
    line = run([script, "embed", "--runtime", "torch", picture], tmp_path, environment)
    assert len(json.loads(line)["vector"]) == 1280
    by_name = [sys.executable, "-m", "embeddings", "--help"]
    assert run([script, "--help"], tmp_path, environment).startswith("usage: embeddings ")
    assert run(by_name, tmp_path, environment).startswith("usage: python -m embeddings ")


def test_the_server_is_a_distribution_too(tmp_path: Path) -> None:
    built = build_wheel(ROOT, tmp_path)
    assert built.name == f"lookalike_server-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(built) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" not in name}
    assert tops == {"searchapp", "worker"}


@pytest.fixture
def large_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed at once: pytest keeps its own for three runs."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.long
def test_a_full_installation_in_a_new_environment(large_folder: Path) -> None:
    """With every extra and all that it requires, built in isolation as a user's pip does."""
    venv.create(large_folder / "venv", with_pip=True)
    python, script = (large_folder / "venv" / "bin" / name for name in ("python", "embeddings"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["EMBEDDINGS_CACHE"] = str(large_folder / "cache")
    pip, elsewhere = [python, "-m", "pip"], large_folder / "elsewhere"
    elsewhere.mkdir()
    constraints = ["-c", ROOT / "requirements" / "constraints.txt"]
    everything = [f"{ROOT / 'embeddings'}[all]", f"torch=={pinned_versions()['torch']}"]
    run([*pip, "install", "--quiet", *constraints, *everything], elsewhere, environment)
    run([*pip, "check"], elsewhere, environment)
    listed = json.loads(run([*pip, "list", "--format", "json"], elsewhere, environment))
    names = {canonicalize_name(package["name"]) for package in listed}
    assert {"lookalike-embeddings", "ray", "faiss-cpu", "onnx", "transformers"} <= names
    assert not SERVER_PACKAGES & names

    check_program(python, elsewhere, environment)
    crab, giraffe = (ROOT / "demo" / f"erase-{name}.jpg" for name in ("crab", "giraffe"))
    for arguments in (
        ["embed", crab, giraffe, "-o", "two.bundle", "--text", "text.bundle", "--quiet"],
        ["export", "two.bundle", "-o", "two.faiss", "--format", "faiss"],
        ["export-onnx", "-o", "model.onnx", "--quiet"],
    ):
        run([script, *arguments], elsewhere, environment)
    best = run([script, "search", "text.bundle", "--text", "a giraffe"], elsewhere, environment)
    assert "erase-giraffe.jpg" in best.splitlines()[0]
    by_ray = "print(DataCollection.range(3).map(str).set_engine('ray', workers=1).to_list())"
    code = f"from embeddings import DataCollection; {by_ray}"
    assert run([python, "-c", code], elsewhere, environment).endswith("['0', '1', '2']\n")
