"""Make what is kept in a process of its own: `python -m embeddings.text.prepare`.

Converting MiniLM and computing the matrix of classes need torch, which a process never gives
back. One that has not loaded it has another process do so, once per machine.
"""

from embeddings.runtimes.subprocess_job import run_module


def convert_elsewhere() -> None:
    """Have another process convert MiniLM, and keep the matrix of classes, if it can."""
    run_module(__name__)


def main() -> None:
    import torch  # noqa: F401 (so that this process does not ask another one in turn)

    from embeddings.text.imagenet_classes import class_matrix
    from embeddings.text.minilm import minilm

    minilm("openvino")
    class_matrix()


if __name__ == "__main__":
    main()
