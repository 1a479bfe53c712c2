"""`bench` command: speed of a pipeline on this machine, for each runtime."""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from embeddings.cli.options import quiet_argument
from embeddings.cli.output import line, patience, say
from embeddings.errors import EmbeddingsError, InputError, RuntimeUnavailable, UnknownName
from embeddings.recipes import DEFAULT_PIPELINE
from embeddings.runtimes.spec import RUNTIMES

if TYPE_CHECKING:
    from embeddings.pipelines import ImagePipeline

MORE = """\
Each runtime is one line of JSON: pictures a second from files, milliseconds of
one picture alone (the median), of its decoding and of the model, and the least
cosine of its vectors with those of torch. Without pictures it takes the small
ones that come with the library. What else runs on the machine slows everything
down: compare within one run.

examples:
  python -m embeddings bench
  python -m embeddings bench photos/ --runtimes torch,openvino --seconds 10
"""

_ALONE = 50
_WARM = 16
_PICTURES = 1000  # at most this many different ones, so that a large folder is no problem


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `bench`."""
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help="files or folders")
    parser.add_argument(
        "--pipeline",
        default=DEFAULT_PIPELINE,
        metavar="NAME",
        help="a pipeline's name, or the .json file of a recipe (%(default)s)",
    )
    parser.add_argument(
        "--runtimes",
        default="torch,openvino,onnxruntime",
        metavar="NAME,NAME",
        help="what computes (%(default)s)",
    )
    parser.add_argument("--precision", help="float32, bfloat16 or float16")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=5, metavar="S", help="for each runtime (%(default)s)"
    )
    quiet_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Measure each available runtime. Raises `EmbeddingsError`, also when none is available."""
    from embeddings.pipelines import pipeline

    runtimes = [name for name in options.runtimes.split(",") if name]
    for name in runtimes or [options.runtimes]:
        if name not in RUNTIMES:
            raise UnknownName("runtime", name, RUNTIMES)
    if not 0 < options.seconds <= 3600:
        raise InputError(f"--seconds must be above 0 and at most 3600, not {options.seconds:g}.")
    with patience(options.quiet):
        reference = pipeline(options.pipeline, runtime="torch")
    paths = _usable(_paths(options.pictures), reference)
    vectors = reference(paths[:_WARM])
    measured = 0
    for name in runtimes:
        try:
            embed = pipeline(
                options.pipeline,
                runtime=name,
                precision=options.precision,
                device=options.device,
            )
        except RuntimeUnavailable as error:
            say(f"{name}: {error.detail}")
            continue
        measured += 1
        cosines = (embed(paths[:_WARM]) * vectors).sum(axis=1)  # also the warm-up
        line(
            pipeline=embed.recipe.name,
            runtime=embed.runtime,
            precision=embed.precision,
            device=embed.device,
            pictures_per_second=round(_rate(embed, paths, options.seconds), 1),
            **_alone(embed, paths[:_ALONE]),
            least_cosine_with_torch=round(float(cosines.min()), 6),
        )
    if not measured:
        raise RuntimeUnavailable(f"None of {options.runtimes} works here.")
    return 0


def _paths(pictures: Sequence[str]) -> list[str]:
    from embeddings.cli.inputs import found
    from embeddings.runtimes.agreement import CHECK_PICTURES

    entries = found(pictures or [str(CHECK_PICTURES)], False)
    return [one for one in entries if isinstance(one, str) and os.path.isfile(one)]


def _usable(paths: Sequence[str], embed: "ImagePipeline") -> list[str]:
    """The pictures that can be decoded, at most `_PICTURES`. Raises `InputError` when there is
    none.
    """
    usable: list[str] = []
    for path in paths:
        if len(usable) == _PICTURES:
            break
        try:
            embed.prepare(embed.decode(path).image)
        except (EmbeddingsError, OSError):
            continue
        usable.append(path)
    if not usable:
        raise InputError("There is no picture that can be decoded.")
    return usable


def _rate(embed: "ImagePipeline", paths: Sequence[str], seconds: float) -> float:
    """Throughput from files to vectors in pictures per second, measured for `seconds`."""
    started = time.perf_counter()

    def until() -> Iterator[str]:
        for path in itertools.cycle(paths):
            if time.perf_counter() - started > seconds:
                return
            yield path

    count = sum(1 for _ in embed.stream(until()))
    return count / (time.perf_counter() - started)


def _alone(embed: "ImagePipeline", paths: Sequence[str]) -> dict[str, float]:
    """Median times for one picture at a time, in milliseconds."""
    marks = []
    for path in paths:
        times = [time.perf_counter()]
        embed(path)
        times.append(time.perf_counter())
        prepared = embed.prepare(embed.decode(path).image)
        times.append(time.perf_counter())
        embed.embed([prepared])
        times.append(time.perf_counter())
        marks.append(times)
    names = ("milliseconds_alone", "milliseconds_decode", "milliseconds_model")
    steps = 1000 * np.diff(np.array(marks), axis=1)
    return {name: round(statistics.median(steps[:, at]), 2) for at, name in enumerate(names)}
