"""Pillow's antialiased resize in ONNX, for pictures of any size at run time.

Pillow makes two passes, along the rows and along the columns, and rounds after each. A pass is
a product with a matrix that has a row of weights for each output pixel; the matrix is computed in
the graph, from the picture's size. ONNX's own Resize has no Lanczos filter, rounds only once, and
resizes the whole picture even if only a part is needed.

Rows come first here. Pillow 13 starts with the columns of some tall pictures; those results
differ by more than the last bit for noise, and hardly for photographs.
"""

import math
from dataclasses import dataclass

import numpy as np

from embeddings.onnx.graph_builder import Graph

# Radius of Pillow's filters, in pixels of the smaller picture.
_REACH = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}
_CUBIC = -0.5  # Pillow's parameter a


@dataclass(frozen=True)
class Part:
    """The output pixels to compute along one axis, as names of values in a graph.

    `length`: the picture's length, int64 (1,). `scale`: input pixels per output pixel, float64
    (1,). `positions`: the output pixels, float64 (S,).
    """

    length: str
    scale: str
    positions: str


def resized(graph: Graph, pixels: str, down: Part, across: Part, interpolation: str) -> str:
    """uint8 (N, H, W, 3) to float32 (N, 3, S, S), integers from 0 to 255."""
    rows, first_row, last_row = _weights(graph, down, interpolation)
    columns, first_column, last_column = _weights(graph, across, interpolation)
    cut = graph(
        "Slice",
        pixels,
        graph("Concat", first_row, first_column, axis=0),
        graph("Concat", last_row, last_column, axis=0),
        graph.constant([1, 2]),
    )
    planes = graph.cast(graph("Transpose", cut, perm=[0, 3, 1, 2]), np.float32)
    narrow = _rounded(graph, graph("MatMul", planes, graph("Transpose", columns, perm=[1, 0])))
    return _rounded(graph, graph("MatMul", rows, narrow))


def _rounded(graph: Graph, values: str) -> str:
    """Round to integers from 0 to 255, half up."""
    half, least, most = (graph.constant(value, np.float32) for value in (0.5, 0, 255))
    return graph("Clip", graph("Floor", graph("Add", values, half)), least, most)


def _weights(graph: Graph, part: Part, interpolation: str) -> tuple[str, str, str]:
    """Return weights, float32 (S, L), and the range of L input pixels: first, last + 1."""
    half, one = graph.constant(0.5, np.float64), graph.constant(1, np.float64)
    centres = graph("Mul", graph("Add", part.positions, half), part.scale)
    # When shrinking, distances are scaled to output pixels, which widens the filter.
    stretch = graph("Max", part.scale, one)
    reach = graph("Mul", stretch, graph.constant(_REACH[interpolation], np.float64))
    zero = graph.constant([0])
    first = graph("Floor", graph("Sub", graph("ReduceMin", centres), reach))
    last = graph("Ceil", graph("Add", graph("ReduceMax", centres), reach))
    first = graph("Max", graph.cast(first, np.int64), zero)
    last = graph("Min", graph.cast(last, np.int64), part.length)
    scalar = [graph("Squeeze", end) for end in (first, last)]
    numbers = graph.cast(graph("Range", *scalar, graph.constant(1)), np.float64)
    row = graph("Unsqueeze", graph("Add", numbers, half), graph.constant([0]))
    column = graph("Unsqueeze", centres, graph.constant([1]))
    apart = graph("Div", graph("Sub", row, column), stretch)
    weights = _filtered(graph, graph.cast(apart, np.float32), interpolation)
    total = graph("ReduceSum", weights, graph.constant([1]), keepdims=1)
    return graph("Div", weights, total), first, last


def _filtered(graph: Graph, apart: str, interpolation: str) -> str:
    """Return the filter's values, float32, at distances float32."""

    def number(value: float) -> str:
        return graph.constant(value, np.float32)

    x = graph("Abs", apart)
    if interpolation == "bilinear":
        return graph("Max", graph("Sub", number(1), x), number(0))
    if interpolation == "lanczos":
        wide = graph("Mul", x, number(1 / _REACH["lanczos"]))
        values = graph("Mul", _sinc(graph, x), _sinc(graph, wide))
        return _within(graph, x, _REACH["lanczos"], values)
    inner = graph("Sub", graph("Mul", x, number(_CUBIC + 2)), number(_CUBIC + 3))
    inner = graph("Add", graph("Mul", graph("Mul", inner, x), x), number(1))
    outer = graph("Add", graph("Mul", graph("Sub", x, number(5)), x), number(8))
    outer = graph("Mul", graph("Sub", graph("Mul", outer, x), number(4)), number(_CUBIC))
    outer = _within(graph, x, _REACH["bicubic"], outer)
    return graph("Where", graph("Less", x, number(1)), inner, outer)


def _within(graph: Graph, x: str, reach: float, values: str) -> str:
    near = graph("Less", x, graph.constant(reach, np.float32))
    return graph("Where", near, values, graph.constant(0, np.float32))


def _sinc(graph: Graph, x: str) -> str:
    """Return sin(pi x) / (pi x), 1 at x = 0."""
    angle = graph("Mul", x, graph.constant(math.pi, np.float32))
    # Closer to 0, the result is 1 in float32.
    angle = graph("Max", angle, graph.constant(1e-4, np.float32))
    return graph("Div", graph("Sin", angle), angle)
