"""Whether the hub may be asked and answers, and its errors in words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from moc_engine.errors import HubUnreachable, ModelNotFound
from moc_engine.sources.hub_id import HubFile, HubId

TIMEOUT: Final = 5.0
"""Seconds that the hub has to answer, asked once: its client alone would retry for half a minute."""


_HERE: Final = "; moc-studio models list shows the models that are here"


def is_offline() -> bool:
    """Whether the hub is not to be asked, also where that was set after its client was imported."""
    return constants.is_offline_mode() or os.environ.get("HF_HUB_OFFLINE", "") in ("1", "true", "yes")


def check_reachable(what: str, command: str = "") -> None:
    """Raises `HubUnreachable` where the hub must not be asked for `what`, or does not answer in time.

    `what` names something that is not on this machine, `command` what downloads it; without one, the name
    may be meant for a model that is here.
    """
    if is_offline():
        once = f"; run {command} once without that" if command else _HERE
        raise HubUnreachable(
            f"{what} is not on this machine, and the hub is not asked for it (--offline or "
            f"HF_HUB_OFFLINE){once}"
        )
    problem = _why_unreachable()
    if problem is not None:
        raise HubUnreachable(
            f"{what} is not on this machine, and the hub cannot be reached ({problem}): check the network "
            f"and try again{'' if command else _HERE}"
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
def hub_errors_in_words(asked: HubId | HubFile) -> Iterator[None]:
    """Turns what the hub's client and the network raise into `ModelNotFound` and `HubUnreachable`."""
    repository = asked.repository if isinstance(asked, HubFile) else asked
    words = "file" if isinstance(asked, HubFile) else "model"
    of = f"the repository {repository.repo}" if isinstance(asked, HubFile) else f"the model {asked.repo}"
    try:
        yield
    except GatedRepoError as error:
        raise ModelNotFound(
            f"{of} is gated: accept its terms on the hub and log in there (hf auth login)"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelNotFound(f"{of} has no revision {repository.revision} on the hub") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelNotFound(f"there is no {words} {asked} on the hub, or it is private") from error
    except EntryNotFoundError as error:
        raise HubUnreachable(f"the hub does not give a file of {of} that it lists: {error}") from error
    except HfHubHTTPError as error:
        raise HubUnreachable(f"the hub does not give {asked}: {error}") from error
    except (httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise HubUnreachable(
            f"the transfer of {asked} was interrupted ({error}); what was received stays: try again"
        ) from error
