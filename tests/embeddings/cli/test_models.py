"""`python -m embeddings`, as it is typed; the hub is a small server on this machine."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch

from embeddings.cli import main
from embeddings.models.timm_import import timm
from harness.installation import ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, with an empty models folder; return code and output."""
    monkeypatch.setenv("EMBEDDINGS_HOME", str(tmp_path / "home"))

    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(list(arguments))
        except SystemExit as usage:  # argparse's way to end
            code = int(usage.code or 0)
        return (code, *capsys.readouterr())

    return command


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The same folder and an empty hub cache, without a hub, for a process of its own.

    The hub's client reads its variables when it is imported.
    """
    changes = {"EMBEDDINGS_HOME": tmp_path / "home", "HF_HOME": tmp_path / "hub"}
    return os.environ | {key: str(value) for key, value in changes.items()}


@pytest.fixture(scope="module")
def resnet() -> bytes:
    """A ResNet-50 of random weights, in half precision to be small."""
    state = timm().create_model("resnet50").state_dict()
    half = {name: x.half() if x.is_floating_point() else x for name, x in state.items()}
    return safetensors.torch.save(half)


@pytest.fixture
def hub(resnet: bytes) -> Iterator[str]:
    """The address of a server that answers for one file as the hub does."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            known = self.path == "/timm/resnet50.a1_in1k/resolve/main/model.safetensors"
            self.send_response(200 if known else 404)
            self.send_header("ETag", f'"{hashlib.sha256(resnet).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(resnet) if known else 0))
            if not known:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(resnet)

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "embeddings", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def _row(listed: tuple[int, str, str], name: str) -> list[str]:
    code, out, err = listed
    assert (code, err) == (0, "")
    return next(line.split() for line in out.splitlines() if line.split()[0] == name)


def test_adding_listing_and_removing(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "mine.safetensors"
    safetensors.torch.save_file(timm().create_model("test_resnet").state_dict(), path)
    options = ["--from", str(path), "--architecture", "test_resnet", "--licence", "MIT"]
    mean = ["--mean", "0.1", "0.2", "0.3", "--input-size", "128"]
    code, out, err = run("add-model", *options, *mean, "--name", "mine")
    assert (code, out, err) == (0, "Added mine: test_resnet, 96 dimensions.\n", "")
    assert _row(run("models"), "mine") == ["mine", "test_resnet", "96", "MIT", "here"]
    assert run("remove-model", "mine")[:2] == (0, "Removed mine.\n")
    code, out, err = run("remove-model", "mine")
    assert (code, out) == (1, "")
    assert err.startswith("error: There is no model named 'mine'")
    assert len(err.splitlines()) == 1


def test_the_list_says_which_weights_are_here(run: Run) -> None:
    assert _row(run("models"), "efficientnet-lite0")[-1] == "here"
    assert _row(run("models"), "resnet50")[-1] == "missing"


def test_wrong_usage(run: Run) -> None:
    for arguments in ([], ["add-model"], ["nothing"], ["fetch-model"]):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert "usage: python -m embeddings" in err


def test_nothing_is_fetched_offline(environment: dict[str, str], hub: str) -> None:
    offline = environment | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": hub}
    code, _, err = _run(offline, "fetch-model", "resnet50")
    assert code == 1
    assert "HF_HUB_OFFLINE is set" in err
    assert "add-model --name resnet50 --from FILE" in err
    assert len(err.splitlines()) == 1


LOAD = """
from embeddings.models.cards import card_for_weights, model_card
from embeddings.models.weights import load_model, resolve
card = resolve(model_card("resnet50"))
assert card == model_card("resnet50") == card_for_weights(card.sha256)
print(card.sha256, card.weights.revision, load_model(card).num_features)
"""


def _load(environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    return done.stdout + done.stderr.strip().rpartition("\n")[2]


@pytest.mark.slow
def test_fetched_once_and_offline_from_then_on(
    environment: dict[str, str], hub: str, resnet: bytes
) -> None:
    digest = hashlib.sha256(resnet).hexdigest()
    online = environment | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub, "HF_HUB_DISABLE_XET": "1"}
    assert "are not here" in _load(online)  # building a model fetches nothing, even if it could
    code, out, err = _run(online, "fetch-model", "resnet50")
    assert (code, out) == (0, f"The weights of resnet50 are here: SHA-256 {digest}.\n"), err
    assert _row(_run(environment, "models"), "resnet50")[-1] == "here"
    assert _load(environment) == f"{digest} {COMMIT} 2048\n"
    assert _run(environment, "fetch-model", "resnet50")[0] == 0


@pytest.mark.long
def test_what_another_program_fetched_is_used(environment: dict[str, str], resnet: bytes) -> None:
    """The hub's cache as its own client lays it out, with no card of ours yet."""
    folder = Path(environment["HF_HOME"]) / "hub" / "models--timm--resnet50.a1_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    file = folder / "snapshots" / COMMIT / "model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(resnet)
    digest = hashlib.sha256(resnet).hexdigest()
    assert _load(environment) == f"{digest} {COMMIT} 2048\n"
    # From then on it must be that very file.
    file.write_bytes(resnet[:-1] + bytes([resnet[-1] ^ 1]))
    assert "is expected" in _load(environment)
