"""Files of the Hugging Face hub, downloaded where somebody has asked for that."""

from pathlib import Path

from embeddings.errors import WeightsError


def downloaded(repository: str, file: str, revision: str | None, instead: str) -> Path:
    """The file in the hub's local cache, fetched unless it is there.

    Raises `WeightsError` (`weights_missing`), which ends with `instead`: what to do where the
    hub cannot be reached.
    """
    import huggingface_hub

    try:
        path = huggingface_hub.hf_hub_download(repository, file, revision=revision)
    except Exception as error:  # the hub's client passes on its HTTP library's errors
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if huggingface_hub.constants.HF_HUB_OFFLINE:
            first = "HF_HUB_OFFLINE is set, so the hub is not asked."
        raise WeightsError(
            "weights_missing",
            f"Cannot fetch {file} of {repository}: {first} Where the hub cannot be reached, "
            f"{instead}",
        ) from error
    return Path(path)
