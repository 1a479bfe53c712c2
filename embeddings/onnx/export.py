"""ONNX export: `export_onnx` writes a pipeline, from pixels to a unit-length vector, as one file.

The file runs without this library and without torch. It is compared with the pipeline before it
is put in place.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from embeddings import thread_count
from embeddings.atomic_write import Destination, written_file
from embeddings.bundle.optional_packages import needed
from embeddings.bundle.provenance import models
from embeddings.errors import InputError, RecipeError, RuntimeUnavailable
from embeddings.operators.embed import three
from embeddings.pipelines import ImagePipeline, pipeline
from embeddings.recipes import Operator, Recipe
from embeddings.runtimes.agreement import check_pixels
from embeddings.runtimes.spec import FeatureSpec
from embeddings.version import __version__

if TYPE_CHECKING:
    from onnx import ModelProto

AnyPipeline = str | os.PathLike[str] | Mapping[str, Any] | Recipe | ImagePipeline

# Minimum cosines with torch in float32: ONNX Runtime computes in float32 too.
MIN_MEAN_COSINE = 0.9995
MIN_COSINE = 0.995
_MODEL = "image_embedding.timm"
_PICTURES = 16  # check pictures to compare
# Heights and widths at which the check pictures are compared.
_SIZES = (
    (256, 256), (427, 640), (640, 427), (960, 1280), (224, 224), (90, 120), (257, 333), (300, 900),
)  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """The path of an exported model, and its cosines with torch float32 on the check pictures."""

    path: Path
    fingerprint: str
    dimension: int
    mean_cosine: float
    least_cosine: float


def export_onnx(
    given: AnyPipeline,
    path: Destination,
    *,
    mean_cosine: float = MIN_MEAN_COSINE,
    least_cosine: float = MIN_COSINE,
) -> Exported:
    """Write a pipeline as one ONNX file, including its transforms and normalizations.

    `given` is an `ImagePipeline`, or what `pipeline` accepts. The file's input is `pixels`, uint8
    (N, H, W, 3) in RGB order and upright, N pictures of one arbitrary size; its output is
    `vector`, float32 (N, D) of unit length. Decoding, orientation, colour profiles and
    transparency are left to the caller, as the file's metadata state. The metadata also hold the
    recipe, the fingerprint, the model cards and the cosines below.

    Before it is put in place, the file computes sixteen check pictures in several sizes in ONNX
    Runtime. The mean and minimum of their cosines with the same recipe in torch float32 must
    reach `mean_cosine` and `least_cosine`.

    Raises `RecipeError` for an operator that ONNX cannot express, `RuntimeUnavailable` for a model
    that cannot be exported or vectors that do not agree, `PackageMissing` without onnx or
    onnxruntime, `OutputError`, and what `pipeline` raises.
    """
    for name, low in (("mean_cosine", mean_cosine), ("least_cosine", least_cosine)):
        if isinstance(low, bool) or not isinstance(low, int | float) or not -1 <= low <= 1:
            raise InputError(f"{name} must be a number, -1 to 1; not {low!r}.")
    onnx = needed("onnx", "onnx", "Exporting to ONNX")
    needed("onnxruntime", "onnxruntime", "Exporting to ONNX")
    source = given.recipe if isinstance(given, ImagePipeline) else given
    reference = pipeline(source, runtime="torch", precision="float32")
    recipe = reference.recipe
    target = Path(path).absolute()
    with written_file(target) as draft:
        draft.touch()  # fails early when the folder cannot be written
        model = _assembled(recipe)
        cosines = _compared(model, reference)
        if cosines[0] < mean_cosine or cosines[1] < least_cosine:
            raise RuntimeUnavailable(
                f"{recipe.name} is not exported: its vectors in ONNX Runtime have cosines of "
                f"{cosines[0]:.7f} in the mean and {cosines[1]:.7f} at least with those of torch; "
                f"{mean_cosine} and {least_cosine} are wanted."
            )
        for key, value in _facts(recipe, *cosines).items():
            model.metadata_props.add(key=key, value=value)
        onnx.save_model(model, draft)
    return Exported(target, recipe.fingerprint, recipe.dimension, *cosines)


def _assembled(recipe: Recipe) -> "ModelProto":
    """Combine transforms, network and normalizations into one model, checked by onnx."""
    import onnx
    from onnx import TensorProto, compose, helper

    from embeddings.onnx.graph_builder import Graph
    from embeddings.onnx.preprocessing import normalized, not_expressible, prepared
    from embeddings.runtimes.onnx_network import exported

    names = [operator.name for operator in recipe]
    if _MODEL not in names:
        raise not_expressible(next(name for name in names if "_embedding." in name))
    place = names.index(_MODEL)
    before, behind = Graph("before"), Graph("behind")
    views = prepared(before, "pixels", recipe.operators[1:place], "network/pixels")
    side = int(dict(recipe.operators[1].parameters)["size"])  # type: ignore[arg-type]
    normalized(
        behind, "network/features", views, recipe.dimension, recipe.operators[place + 1 :], "vector"
    )
    network = onnx.load_model(exported(_spec(recipe.operators[place], side)))
    network = compose.add_prefix(network, "network/")
    graph = network.graph
    nodes = [*before.nodes, *graph.node, *behind.nodes]
    constants = [*before.constants, *graph.initializer, *behind.constants]
    del graph.node[:], graph.initializer[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    many = "pictures"
    graph.input.append(
        helper.make_tensor_value_info("pixels", TensorProto.UINT8, [many, "height", "width", 3])
    )
    graph.output.append(
        helper.make_tensor_value_info("vector", TensorProto.FLOAT, [many, recipe.dimension])
    )
    graph.name = recipe.name
    del network.metadata_props[:]
    network.producer_name, network.producer_version = "embeddings", __version__
    network.doc_string = _DECODING
    onnx.checker.check_model(network, full_check=True)
    return network


def _spec(operator: Operator, side: int) -> FeatureSpec:
    parameters: dict[str, Any] = dict(operator.parameters)
    if "size" in parameters:
        raise RecipeError("A model with a transform of its own cannot be exported: say 'pixels'.")
    return FeatureSpec(
        architecture=parameters["architecture"],
        weights_sha256=parameters["weights_sha256"],
        mean=three("mean", parameters["mean"]),
        std=three("std", parameters["std"]),
        layer=parameters["layer"],
        pooling=parameters["pooling"],
        height=side,
        width=side,
    )


def _compared(model: "ModelProto", reference: ImagePipeline) -> tuple[float, float]:
    """Return mean and minimum cosine of the model's vectors with those of torch float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = thread_count.threads()
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime raises many types
        raise RuntimeUnavailable(f"ONNX Runtime cannot load the model: {error}.") from error
    cosines = []
    for at, pixels in enumerate(check_pixels(256, 256)[:_PICTURES]):
        height, width = _SIZES[at % len(_SIZES)]
        square = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        picture = square.resize((width, height), Image.Resampling.BICUBIC)
        (vectors,) = session.run(None, {"pixels": np.asarray(picture)[None]})
        cosines.append(float(vectors[0] @ reference(picture)))
    return float(np.mean(cosines)), min(cosines)


_DECODING = (
    "Input 'pixels': uint8 (N, height, width, 3), RGB from 0 to 255, any size, decoded, turned "
    "upright by the EXIF orientation, in sRGB, transparency on white; JPEGs at full size. Output "
    "'vector': float32 (N, D) of unit length; the cosine of two is their inner product."
)


def _facts(recipe: Recipe, mean_cosine: float, least_cosine: float) -> dict[str, str]:
    """Return the metadata of the file; ONNX stores strings only."""
    data = recipe.to_dict()
    return {
        "fingerprint": recipe.fingerprint,
        "recipe": json.dumps(data),
        "models": json.dumps(models(data)),
        "decoding": _DECODING,
        "mean_cosine": f"{mean_cosine:.6f}",
        "least_cosine": f"{least_cosine:.6f}",
        "library": f"embeddings {__version__}",
    }
