"""Models of the hub: whether it can be reached, and what is in its cache on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from huggingface_hub import constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
)

from moc_engine.errors import HubUnreachable, ModelMismatch, ModelNotFound

TIMEOUT: Final = 5.0
"""Seconds that the hub has to answer, asked once: its client alone would retry for half a minute."""

INDEX: Final = "model_index.json"

FILES: Final = ("*.json", "*.safetensors", "*.gguf", "*.txt", "*.model")
"""The files of a model that are read; pickles and code never are."""


def cached_folder(model: str) -> Path | None:
    """The folder of a model in the hub's cache, if its model_index.json is there."""
    found = try_to_load_from_cache(model, INDEX)
    return Path(found).parent if isinstance(found, str) else None


def find_on_hub(model: str) -> Path:
    """The folder of a hub model in the cache, to which it is downloaded.

    The cache alone is asked where the hub is not to be (HF_HUB_OFFLINE) or cannot be reached. Raises
    `HubUnreachable` where it is not in the cache then, `ModelNotFound` for a model that is not there or may
    not be read, `ModelMismatch` for one that is no pipeline.
    """
    problem = "HF_HUB_OFFLINE is set" if constants.is_offline_mode() else _unreachable()
    if problem is not None:
        folder = cached_folder(model)
        if folder is None:
            raise HubUnreachable(
                f"there is no folder {model}, and the hub cannot be reached ({problem}); "
                f"a hub model {model} is not in its cache"
            )
        return folder
    try:
        hf_hub_download(model, INDEX, etag_timeout=TIMEOUT)
        return Path(snapshot_download(model, allow_patterns=[*FILES], etag_timeout=TIMEOUT))
    except GatedRepoError as error:
        raise ModelNotFound(
            f"the model {model} is gated: accept its terms on the hub and log in there"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(f"there is no model {model} on the hub, or it is private") from error
    except EntryNotFoundError as error:
        if isinstance(error, HfHubHTTPError):
            raise ModelMismatch(f"{model} is on the hub, but has no {INDEX}: it is no pipeline") from error
        raise HubUnreachable(f"the hub cannot be reached for the model {model}: {error}") from error
    except (HfHubHTTPError, OSError) as error:
        raise HubUnreachable(f"the hub does not give the model {model}: {error}") from error


def _unreachable() -> str | None:
    """Why the hub does not answer; None where it does, whatever it says."""
    try:
        with urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=TIMEOUT):
            return None
    except HTTPError:
        return None
    except (URLError, OSError) as error:
        return str(getattr(error, "reason", error))


def lora_on_hub(model: str, file: str) -> Path:
    """A LoRA file of the hub, from its cache or downloaded into it.

    Raises `HubUnreachable` where the hub cannot be asked, `ModelNotFound` where there is no such file or it
    may not be read.
    """
    found = try_to_load_from_cache(model, file)
    if isinstance(found, str):
        return Path(found)
    problem = "HF_HUB_OFFLINE is set" if constants.is_offline_mode() else _unreachable()
    if problem is not None:
        raise HubUnreachable(f"the LoRA {model}/{file} is not in the hub's cache ({problem})")
    try:
        return Path(hf_hub_download(model, file, etag_timeout=TIMEOUT))
    except GatedRepoError as error:
        raise ModelNotFound(f"the LoRA {model} is gated: accept its terms on the hub and log in") from error
    except (EntryNotFoundError, RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(f"there is no LoRA {model}/{file} on the hub, or it is private") from error
    except (HfHubHTTPError, OSError) as error:
        raise HubUnreachable(f"the hub does not give the LoRA {model}/{file}: {error}") from error
