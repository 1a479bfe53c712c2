"""What importing the library loads, and what it must not."""

import subprocess
import sys

import pytest

from harness.installation import ROOT

HEAVY = (
    "torch", "timm", "cv2", "torchvision", "openvino", "onnxruntime", "ray", "pandas",
    "transformers", "tokenizers",
)  # fmt: skip


def _loaded(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import embeddings",
        "import embeddings.recipes, embeddings.models.cards, embeddings.errors",
        "from embeddings import recipe, Recipe; recipe().fingerprint",
        "from embeddings import pipeline, ImagePipeline",
        "import embeddings.operators.decode.pillow, embeddings.operators.thumbnails",
        "import embeddings.operators.registry, embeddings.batching, embeddings.thread_count",
        "from embeddings import ops, Pipeline; dir(ops); dir(ops.image_decode)",
        "from embeddings import DataCollection; DataCollection.range(3).map(str).to_list()",
        "from embeddings import DataCollection as D; dir(D([])); D.from_glob('x').map(str).head(3)",
        "import embeddings.operators.classify, embeddings.operators.decode.opencv",
        "import embeddings.models.weights, embeddings.models.user_models, embeddings.cli",
        "from embeddings.models.cards import model_card, names; [model_card(x) for x in names()]",
        "import embeddings.text.encoder, embeddings.text.image_text, embeddings.text.towers",
        "from embeddings import recipe; recipe('image-embedding-efficientnet-lite0:concepts')",
        "import embeddings.geometry; dir(embeddings.geometry)",
        "from embeddings.geometry import Edit, Geometry, Kind, LocalFeatures, Verdict, judge",
        "from embeddings.geometry import match",
        "import embeddings.geometry.local_features, embeddings.geometry.edits",
    ],
)
def test_light_imports_load_nothing_heavy(code: str) -> None:
    assert not _loaded(code) & set(HEAVY)


def test_importing_the_package_loads_no_image_library() -> None:
    assert not _loaded("import embeddings; dir(embeddings)") & {*HEAVY, "PIL", "numpy"}


@pytest.mark.slow
def test_a_module_that_needs_torch_does_load_it() -> None:
    """The check above can fail: it sees torch where torch is."""
    assert "torch" in _loaded("import embeddings.models.feature_module")


def test_exports() -> None:
    import embeddings
    from embeddings.pipelines import pipeline

    assert embeddings.pipeline is pipeline
    assert set(embeddings.__all__) <= set(dir(embeddings))
    assert all(getattr(embeddings, name) is not None for name in embeddings.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = embeddings.nothing
