"""Network factory: creates the network of a spec in one runtime."""

from embeddings.errors import RuntimeUnavailable
from embeddings.runtimes.spec import FeatureSpec, Network


def make_network(spec: FeatureSpec, runtime: str, precision: str, device: str = "cpu") -> Network:
    """Create a new network; `load_network` shares networks and explains the arguments.

    Raises `RuntimeUnavailable` for a runtime, precision or device that is not available, and
    what loading a model raises.
    """
    # Imported here, so that a process loads only the runtime that it uses.
    try:
        if runtime == "openvino":
            from embeddings.runtimes.openvino_network import OpenVinoNetwork

            return OpenVinoNetwork(spec, precision)
        if runtime == "onnxruntime":
            from embeddings.runtimes.onnx_network import OnnxNetwork

            return OnnxNetwork(spec, precision)
    except ImportError as error:
        raise RuntimeUnavailable(
            f"The runtime {runtime} is not installed: pip install {runtime}."
        ) from error
    from embeddings.runtimes.torch_network import TorchNetwork

    return TorchNetwork(spec, precision, device)
