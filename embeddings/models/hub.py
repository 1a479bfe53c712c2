"""Downloads from the Hugging Face hub, only on explicit request."""

from pathlib import Path

from embeddings.errors import WeightsError


def downloaded(repository: str, file: str, revision: str | None, instead: str) -> Path:
    """Return the file in the hub's local cache, downloaded if necessary.

    Raises `WeightsError` (`weights_missing`), whose message ends with `instead`: what to do when
    the hub cannot be reached.
    """
    import huggingface_hub

    try:
        path = huggingface_hub.hf_hub_download(repository, file, revision=revision)
    except Exception as error:  # the hub's client raises its HTTP library's errors
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if huggingface_hub.constants.HF_HUB_OFFLINE:
            first = "HF_HUB_OFFLINE is set, so the hub is not asked."
        raise WeightsError(
            "weights_missing",
            f"Cannot fetch {file} of {repository}: {first} Where the hub cannot be reached, "
            f"{instead}",
        ) from error
    return Path(path)
