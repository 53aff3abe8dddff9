"""One process at a time writes into a folder: another is refused, one that was killed forgotten. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from moc_engine.errors import FolderInUse
from moc_engine.files import create_folder, in_progress, remove_abandoned, temporary_path, writer_of
from moc_engine.processes import parents

USERS: Final = ".users"
"""The folder, in one that is written into, of those who do."""

_TRIES: Final = 20


@contextmanager
def sole_use(users: Path, refusal: str) -> Iterator[None]:
    """Keeps other processes out meanwhile, all of which give the same folder `users`.

    Processes that this one was started by are no others. Two that begin at the same moment may both be
    refused. Raises `FolderInUse` with the words of the `refusal`, and `OSError`.
    """
    with ExitStack() as stack:
        own = _entered(users, stack)
        remove_abandoned(users)
        above = parents()
        if any(user != own and writer_of(user) not in above for user in in_progress(users)):
            raise FolderInUse(refusal)
        yield


def _entered(users: Path, stack: ExitStack) -> Path:
    """A folder that says that this process is here, until the end of the stack."""
    for attempt in range(_TRIES):
        create_folder(users, stack)
        own = temporary_path(users / "user")
        try:
            own.mkdir()
        except FileNotFoundError:  # the last user removed `users` just now
            if attempt == _TRIES - 1:
                raise
            continue
        stack.callback(_leave, own)
        return own
    raise AssertionError("unreachable")


def _leave(own: Path) -> None:
    with suppress(FileNotFoundError):  # removed with all that was written
        own.rmdir()
    with suppress(OSError):  # others are there, or it is gone
        own.parent.rmdir()
