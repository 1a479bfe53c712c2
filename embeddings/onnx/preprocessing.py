"""Transforms and normalizations of a recipe as ONNX nodes.

They give the same results as `embeddings.operators`, except for the last bit of a pixel: see
`embeddings.onnx.resize`. `crop_first` makes no difference here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from embeddings.errors import RecipeError
from embeddings.onnx.graph_builder import Graph
from embeddings.onnx.resize import Part, resized
from embeddings.operators.transform import short_side
from embeddings.recipes import Operator

_TINY = np.finfo(np.float32).tiny


def prepared(graph: Graph, pixels: str, transforms: Sequence[Operator], output: str) -> int:
    """Add the transforms: uint8 (N, H, W, 3) to `output`, uint8 (N * V, 3, S, S); return V.

    V is the number of views. Raises `RecipeError` for a transform that cannot be expressed.
    """
    views: list[str] = []
    for operator in transforms:
        name, parameters = operator.name, dict(operator.parameters)
        if not views and name in _SQUARES:
            side = int(parameters["size"])  # type: ignore[arg-type]
            views = _SQUARES[name](_Picture(graph, pixels, parameters), parameters)
        elif views and name == "image_transform.flip":
            views += [_mirrored(graph, view) for view in views]
        else:
            raise not_expressible(name)
    together = [graph("Unsqueeze", view, graph.constant([1])) for view in views]
    stacked = graph("Concat", *together, axis=1)
    shape = graph.constant([-1, 3, side, side])
    graph.cast(graph("Reshape", stacked, shape), np.uint8, output=output)
    return len(views)


def normalized(
    graph: Graph,
    features: str,
    views: int,
    dimension: int,
    operators: Sequence[Operator],
    output: str,
) -> None:
    """Add the mean of views and normalizations: float32 (N * V, D) to `output`, (N, D).

    Raises `RecipeError` for a normalization that cannot be expressed.
    """
    vectors = features
    if views > 1:
        apart = graph("Reshape", vectors, graph.constant([-1, views, dimension]))
        vectors = graph("ReduceMean", apart, graph.constant([1]), keepdims=0)
    for operator in operators:
        if operator.name == "normalize.l2":
            length = graph("ReduceL2", vectors, graph.constant([1]), keepdims=1)
            vectors = graph("Div", vectors, graph("Max", length, graph.constant(_TINY, np.float32)))
        elif operator.name == "normalize.power":
            alpha = graph.constant(dict(operator.parameters)["alpha"], np.float32)
            powers = graph("Pow", graph("Abs", vectors), alpha)
            vectors = graph("Mul", graph("Sign", vectors), powers)
        else:
            raise not_expressible(operator.name)
    graph("Identity", vectors, output=output)


def not_expressible(name: str) -> RecipeError:
    """Return the error for an operator that cannot be expressed in ONNX."""
    return RecipeError(
        f"Operator {name} cannot be part of an ONNX file. These can: {', '.join(_SQUARES)}, then "
        "image_transform.flip; image_embedding.timm; normalize.power and normalize.l2."
    )


class _Picture:
    """The picture's size as values of the graph, and square crops of the resized picture."""

    def __init__(self, graph: Graph, pixels: str, parameters: Mapping[str, Any]) -> None:
        self.graph, self._pixels = graph, pixels
        self._interpolation = str(parameters["interpolation"])
        self.size = int(parameters["size"])
        shape = graph("Shape", pixels)
        self.height, self.width = (
            graph("Gather", shape, graph.constant([axis])) for axis in (1, 2)
        )
        self._pixel = graph.constant(np.arange(self.size), np.float64)

    def float(self, value: str) -> str:
        return self.graph.cast(value, np.float64)

    def square(self, scaled: tuple[str, str], corner: tuple[str, str]) -> str:
        """Return float32 (N, 3, S, S): a square of the picture resized to `scaled`.

        `scaled` is height and width; `corner` the top and left pixels, int64.
        """
        down, across = (
            Part(
                length,
                self.graph("Div", self.float(length), self.float(new)),
                self.graph("Add", self._pixel, self.float(start)),
            )
            for length, new, start in zip((self.height, self.width), scaled, corner, strict=True)
        )
        return resized(self.graph, self._pixels, down, across, self._interpolation)

    def inside(self, scaled: tuple[str, str], colour: Sequence[int]) -> str:
        """Return float32 (N, 3, S, S): the whole picture resized to `scaled`, on a colour."""
        graph = self.graph
        parts, masks = [], []
        for length, new in zip((self.height, self.width), scaled, strict=True):
            free = graph("Sub", graph.constant([self.size]), new)
            start = self.float(graph("Div", free, graph.constant([2])))
            places = graph("Sub", self._pixel, start)
            last = graph("Sub", self.float(new), graph.constant(1, np.float64))
            clamped = graph("Min", graph("Max", places, graph.constant(0, np.float64)), last)
            parts.append(Part(length, graph("Div", self.float(length), self.float(new)), clamped))
            masks.append(graph("Equal", places, clamped))
        rows = graph("Unsqueeze", masks[0], graph.constant([1]))
        fill = graph.constant(np.reshape(colour, (1, 3, 1, 1)), np.float32)
        picture = resized(graph, self._pixels, parts[0], parts[1], self._interpolation)
        return graph("Where", graph("And", rows, masks[1]), picture, fill)


def _scaled(picture: _Picture, crop_pct: float) -> tuple[str, str]:
    """Return height and width for the recipe's short side, rounded as timm does."""
    graph = picture.graph
    short = graph.constant([short_side(picture.size, crop_pct)])
    least = graph("Min", picture.height, picture.width)
    height, width = (
        graph("Div", graph("Mul", short, side), least) for side in (picture.height, picture.width)
    )
    return height, width


def _ends(picture: _Picture, scaled: tuple[str, str]) -> list[tuple[str, str, str]]:
    """For height and width, return the start, middle and end positions of a square."""
    graph = picture.graph
    ends = []
    for length in scaled:
        last = graph("Sub", length, graph.constant([picture.size]))
        half = graph("Div", picture.float(last), graph.constant(2, np.float64))
        middle = graph.cast(graph("Round", half), np.int64)  # rounds half to even, like Python
        ends.append((graph.constant([0]), middle, last))
    return ends


def _centre_crop(picture: _Picture, parameters: Mapping[str, Any]) -> list[str]:
    scaled = _scaled(picture, parameters["crop_pct"])
    down, across = _ends(picture, scaled)
    return [picture.square(scaled, (down[1], across[1]))]


def _five_crop(picture: _Picture, parameters: Mapping[str, Any]) -> list[str]:
    scaled = _scaled(picture, parameters["crop_pct"])
    (top, middle, bottom), (left, centre, right) = _ends(picture, scaled)
    corners = (top, left), (top, right), (bottom, left), (bottom, right), (middle, centre)
    return [picture.square(scaled, corner) for corner in corners]


def _squash(picture: _Picture, _parameters: Mapping[str, Any]) -> list[str]:
    side, start = picture.graph.constant([picture.size]), picture.graph.constant([0])
    return [picture.square((side, side), (start, start))]


def _letterbox(picture: _Picture, parameters: Mapping[str, Any]) -> list[str]:
    graph = picture.graph
    longest = picture.float(graph("Max", picture.height, picture.width))
    scale = graph("Div", graph.constant(picture.size, np.float64), longest)
    height, width = (
        graph(
            "Max",
            graph.cast(graph("Round", graph("Mul", picture.float(side), scale)), np.int64),
            graph.constant([1]),
        )
        for side in (picture.height, picture.width)
    )
    return [picture.inside((height, width), list(bytes.fromhex(parameters["fill"][1:])))]


def _mirrored(graph: Graph, view: str) -> str:
    """Mirror the view left to right."""
    last, before_first = graph.constant([-1]), graph.constant([np.iinfo(np.int64).min])
    return graph("Slice", view, last, before_first, graph.constant([3]), graph.constant([-1]))


_SQUARES: Mapping[str, Callable[[_Picture, Mapping[str, Any]], list[str]]] = {
    "image_transform.resize_center_crop": _centre_crop,
    "image_transform.five_crop": _five_crop,
    "image_transform.squash": _squash,
    "image_transform.letterbox": _letterbox,
}
