"""Models of the hub: whether it can be reached, what it says, and what is in its cache on this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from huggingface_hub import constants, hf_hub_download, scan_cache_dir, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from moc_engine.errors import HubUnreachable, ModelMismatch, ModelNotFound
from moc_engine.sources.hub_id import HubId

TIMEOUT: Final = 5.0
"""Seconds that the hub has to answer, asked once: its client alone would retry for half a minute."""

INDEX: Final = "model_index.json"


def cached_folder(model: HubId) -> Path | None:
    """The folder of a model in the hub's cache, if all its parts are there."""
    found = try_to_load_from_cache(model.repo, INDEX, revision=model.revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    return None if missing_parts(folder) else folder


def missing_parts(folder: Path) -> tuple[str, ...]:
    """The parts of a pipeline folder that are not there, or not all of whose weights are."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        parts = [name for name, value in index.items() if isinstance(value, list) and value and value[0]]
    except (AttributeError, OSError, ValueError):
        return (INDEX,)
    return tuple(name for name in parts if not _is_whole(folder / name))


def _is_whole(part: Path) -> bool:
    files = {file.name for file in part.iterdir()} if part.is_dir() else set()
    for listed in part.glob("*.safetensors.index.json"):
        try:
            names = set(json.loads(listed.read_bytes())["weight_map"].values())
        except (AttributeError, KeyError, OSError, TypeError, ValueError):
            return False
        if not names <= files:
            return False
    config = part / "config.json"
    return bool(files) and (not config.is_file() or any(name.endswith(".safetensors") for name in files))


def is_offline() -> bool:
    """Whether the hub is not to be asked, also where that was set after its client was imported."""
    return constants.is_offline_mode() or os.environ.get("HF_HUB_OFFLINE", "") in ("1", "true", "yes")


def check_reachable(what: str, command: str = "") -> None:
    """Raises `HubUnreachable` where the hub must not be asked for `what`, or does not answer in time.

    `what` names something that is not on this machine, `command` what downloads it.
    """
    if is_offline():
        once = f"; run {command} once without that" if command else ""
        raise HubUnreachable(
            f"{what} is not on this machine, and the hub is not asked for it (--offline or "
            f"HF_HUB_OFFLINE){once}"
        )
    problem = _why_unreachable()
    if problem is not None:
        raise HubUnreachable(
            f"{what} is not on this machine, and the hub cannot be reached ({problem}): check the network "
            "and try again"
        )


def _why_unreachable() -> str | None:
    """Why the hub does not answer; None where it does, whatever it says.

    Asked in a thread: looking up its address has no time limit of its own.
    """
    problems: list[str | None] = [f"no answer within {TIMEOUT:g} s"]

    def ask() -> None:
        try:
            with urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=TIMEOUT):
                problems.append(None)
        except HTTPError:
            problems.append(None)
        except (URLError, OSError, ValueError) as error:  # ValueError: HF_ENDPOINT is no address
            problems.append(_in_words(error))

    asking = Thread(target=ask, name="hub", daemon=True)
    asking.start()
    asking.join(TIMEOUT)
    return problems[-1]


def _in_words(error: Exception) -> str:
    """ "Name or service not known" instead of "[Errno -2] Name or service not known"."""
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)


@contextmanager
def hub_errors_in_words(model: HubId) -> Iterator[None]:
    """Turns what the hub's client raises into `ModelNotFound`, `ModelMismatch` and `HubUnreachable`."""
    try:
        yield
    except GatedRepoError as error:
        raise ModelNotFound(
            f"the model {model.repo} is gated: accept its terms on the hub and log in there (hf auth login)"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFound(f"the model {model.repo} has no revision {model.revision} on the hub") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(f"there is no model {model.repo} on the hub, or it is private") from error
    except EntryNotFoundError as error:
        if isinstance(error, HfHubHTTPError):
            raise ModelMismatch(f"{model} is on the hub, but has no {INDEX}: it is no pipeline") from error
        raise HubUnreachable(f"the hub cannot be reached for the model {model}: {error}") from error
    except HfHubHTTPError as error:
        raise HubUnreachable(f"the hub does not give the model {model}: {error}") from error


def remove_cached(model: str) -> int:
    """Deletes a hub model at a commit from the cache; returns the bytes freed."""
    commit = model.rpartition("@")[2]
    deletion = scan_cache_dir().delete_revisions(commit)
    freed: int = deletion.expected_freed_size
    deletion.execute()
    return freed


def cached_models() -> Iterator[tuple[HubId, Path]]:
    """The pipelines in the hub's cache, whole or not: each at its commit, and its folder."""
    for index in sorted(Path(constants.HF_HUB_CACHE).glob(f"models--*/snapshots/*/{INDEX}")):
        repo = index.parents[2].name.removeprefix("models--").replace("--", "/")
        yield HubId(repo, index.parent.name), index.parent


def lora_on_hub(model: str, file: str) -> Path:
    """A LoRA file of the hub, from its cache or downloaded into it.

    Raises `HubUnreachable` where the hub cannot be asked, `ModelNotFound` where there is no such file or it
    may not be read.
    """
    found = try_to_load_from_cache(model, file)
    if isinstance(found, str):
        return Path(found)
    check_reachable(f"the LoRA {model}/{file}")
    try:
        return Path(hf_hub_download(model, file, etag_timeout=TIMEOUT))
    except GatedRepoError as error:
        raise ModelNotFound(f"the LoRA {model} is gated: accept its terms on the hub and log in") from error
    except (EntryNotFoundError, RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(f"there is no LoRA {model}/{file} on the hub, or it is private") from error
    except (HfHubHTTPError, OSError) as error:
        raise HubUnreachable(f"the hub does not give the LoRA {model}/{file}: {error}") from error
