"""Builder for ONNX graphs: adds nodes, constants and casts in order."""

from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper


class Graph:
    """A list of nodes whose values have names that begin with a prefix."""

    def __init__(self, prefix: str) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._prefix = prefix
        self._known: dict[tuple[Any, ...], str] = {}

    def __call__(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node with one result and return the result's name, `output` if given."""
        number = len(self.nodes)
        output = output or f"{self._prefix}/{kind}_{number}"
        name = f"{self._prefix}/node_{number}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name, **attributes))
        return output

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """Return the name of a constant, added unless an equal one exists."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            name = f"{self._prefix}/constant_{len(self.constants)}"
            self.constants.append(numpy_helper.from_array(array, name))
            self._known[key] = name
        return self._known[key]

    def cast(self, value: str, dtype: Any, *, output: str = "") -> str:
        """Cast a value to another type."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self("Cast", value, output=output, to=kind)
