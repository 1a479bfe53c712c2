"""Threads share a budget of decoded pixels, in order and without losing any of it."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from embeddings.errors import ImageError
from embeddings.operators.decode.pillow import decode, picture_size
from searchapp.services.errors import Unavailable
from tests.embeddings.pictures import encode, scene
from worker.runtime import pixel_budget
from worker.runtime.pixel_budget import PixelBudget


def test_no_more_pixels_than_the_budget_are_held() -> None:
    budget, held, most = PixelBudget(100), [0], [0]
    lock = threading.Lock()

    def work(pixels: int) -> None:
        with budget.hold(pixels, None):
            with lock:
                held[0] += min(pixels, 100)
                most[0] = max(most[0], held[0])
            time.sleep(0.002)
            with lock:
                held[0] -= min(pixels, 100)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(work, [1, 40, 99, 500, 60, 0] * 20))
    assert 60 <= most[0] <= 100
    with budget.hold(100, 0.01):
        pass


def test_who_waits_too_long_is_told_and_leaves_no_trace() -> None:
    budget = PixelBudget(100)
    with budget.hold(60, None):
        with pytest.raises(Unavailable) as refused, budget.hold(50, 0.05):
            pass
        assert (refused.value.code, refused.value.status) == ("busy", 503)
        with budget.hold(40, 0.05):
            pass
    with budget.hold(100, 0.05):
        pass


def test_a_large_picture_is_not_overtaken_for_ever() -> None:
    budget, order = PixelBudget(100), []
    first = threading.Event()

    def large() -> None:
        first.set()
        with budget.hold(100, None):
            order.append("large")

    def small() -> None:
        with budget.hold(1, None):
            order.append("small")

    with budget.hold(10, None):
        waiting = threading.Thread(target=large)
        waiting.start()
        first.wait()
        time.sleep(0.05)
        later = [threading.Thread(target=small) for _ in range(3)]
        for thread in later:
            thread.start()
        time.sleep(0.05)
        assert order == []
    for thread in (waiting, *later):
        thread.join()
    assert order == ["large", "small", "small", "small"]


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic"])
@pytest.mark.parametrize("draft", [None, 100])
def test_the_size_is_that_of_what_is_loaded(kind: str, draft: int | None) -> None:
    data = encode(scene(640, 480), kind)
    loaded = decode(data, draft_short_side=draft).image.size
    assert picture_size(data, draft_short_side=draft) == loaded


@given(st.binary(max_size=200))
def test_what_is_no_picture_needs_no_room(data: bytes) -> None:
    try:
        picture_size(data)
    except ImageError:
        with pixel_budget.room_for(data):
            pass


def test_a_small_file_of_many_pixels_takes_its_share(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(pixel_budget, "_budget", PixelBudget(1000))
    file = io.BytesIO()
    Image.new("1", (30, 30)).save(file, "PNG")
    with (
        pixel_budget.room_for(file.getvalue()),
        pytest.raises(Unavailable),
        pixel_budget.room_for(file.getvalue(), patience=0.02),
    ):
        pass
    with pixel_budget.room_for(file.getvalue(), patience=0.02):
        pass
