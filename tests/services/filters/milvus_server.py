"""Ask a real Milvus server, which nothing else can reach: `unshare -rn python -m … FOLDER`.

Prints 'as the rows say: N' when all N filters found just the pictures for which they hold.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "searchapp.settings.main")
django.setup()

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402 (Django must be ready)
from hypothesis import strategies as st  # noqa: E402

from harness.network import raise_loopback  # noqa: E402
from searchapp.infra.vectors.errors import VectorsUnavailable  # noqa: E402
from searchapp.infra.vectors.store import VectorStore  # noqa: E402
from searchapp.models import Image  # noqa: E402
from searchapp.services.filters import parse  # noqa: E402
from searchapp.services.filters.expressions import expression, resolve  # noqa: E402
from searchapp.services.filters.scalar_tokens import SUM, scalars_of  # noqa: E402
from tests.infra.vectors.conftest import random_vectors  # noqa: E402
from tests.services.filters import strategies  # noqa: E402
from tests.services.filters.conftest import image_of  # noqa: E402

PORT = 19530
PICTURES = 60
plain = settings(
    database=None,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
images: list[Image] = []


@settings(plain, max_examples=8)
@given(st.lists(strategies.facts(), min_size=PICTURES, max_size=PICTURES))
def make(facts: list[dict[str, Any]]) -> None:
    """Keep the last list: the first ones are all alike."""
    images[:] = [image_of(**(fact | {"pk": key})) for key, fact in enumerate(facts, 1)]


def ask(store: VectorStore) -> int:
    expressions: list[str] = []
    vector = random_vectors(1, 8, 1)[0]

    @settings(plain, max_examples=120)
    @given(strategies.filters())
    def each(data: dict[str, Any]) -> None:
        condition = parse(data)
        assert condition is not None
        expected = [i.pk for i in images if resolve(condition).holds(scalars_of(i))]
        hits = store.search("filters", vector, PICTURES, expression(condition))
        assert sorted(hit.image_id for hit in hits) == expected, (data, expression(condition))
        expressions.append(expression(condition))

    each()
    return len(set(expressions))


def main(folder: Path) -> None:
    raise_loopback()
    program = str(Path(sys.executable).with_name("milvus-server"))  # of the same environment
    command = [program, "--data", str(folder / "data"), "--proxy-port", str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            store = VectorStore(f"http://127.0.0.1:{PORT}", timeout=20)
            deadline = time.monotonic() + 120
            while True:
                try:
                    store.ping()
                    break
                except VectorsUnavailable:
                    assert time.monotonic() < deadline, "the server does not start"
                    time.sleep(0.5)
            make()
            store.ensure_collection("filters", 8)
            keys = [image.pk for image in images]
            written = [scalars_of(image) for image in images]
            store.upsert("filters", keys, random_vectors(PICTURES, 8), written)
            sums = store.scalars("filters", keys, SUM)
            assert sums == {key: one[SUM] for key, one in zip(keys, written, strict=True)}
            print(f"as the rows say: {ask(store)}")
        finally:
            server.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
