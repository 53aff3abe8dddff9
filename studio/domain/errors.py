"""The exceptions the studio raises on purpose; each message is one line a person can act on (`messages`).

    StudioError             something on this machine hindered the work (exit code 1)
    ├── OutputFailed        a folder that cannot be written, a full disk, a database that is away
    │   ├── DatabaseAway        a database that cannot be reached
    │   ├── TransactionLost     a transaction of which nothing was kept
    │   └── OutcomeUnknown      a transaction of which nobody can say whether it was kept
    ├── StoreFailed         object storage that does not answer, or refuses
    ├── DamagedFolder       a folder whose records cannot be read
    ├── DamagedClip         a clip that is missing, cut off or no MP4
    ├── ForeignDatabase     a database that is not ours, or of a newer version
    ├── LostClaim           a job that a worker no longer holds
    ├── Interrupted         the person asked for an end (exit code 130)
    └── WrongUse            what was asked for makes no sense (exit code 2)
        ├── BadBundle           a bundle that is damaged, hostile or of another version
        ├── BadRecipe       a film without a recipe, or with one that cannot be read
        ├── BadPicture          a picture that cannot be read, or is too small or large
        ├── NotThere        a project, shot, take or job that is gone
        ├── StaleRevision   an edit of something that was changed meanwhile
        ├── Refused         an edit or order that cannot be carried out as things stand
        └── BadStoryboard   a storyboard breaks a rule; knows which field

Wrong arguments between parts of the program are plain `ValueError`s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from studio.domain.messages import Message


class StudioError(Exception):
    """Anything the studio reports to a person. Errors of the command line may be plain text."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: Message | str) -> None:
        super().__init__(str(message))
        self.message = message if isinstance(message, Message) else Message("text", {"text": message})


class OutputFailed(StudioError):
    """A file could not be written."""


class DatabaseAway(OutputFailed):
    """The server of the database cannot be reached: nothing was changed."""


class TransactionLost(OutputFailed):
    """The connection was lost, or others were in the way: nothing was changed, it can be done again."""


class OutcomeUnknown(OutputFailed):
    """The database went away at the commit and did not come back: it may have taken place."""


class StoreFailed(StudioError, ConnectionError):
    """Object storage did not do what it was asked for: also an `OSError`, for those who read files."""


class DamagedFolder(StudioError):
    """A folder of ours whose records are missing or cannot be read."""


class DamagedClip(StudioError):
    """A clip that cannot be read."""


class ForeignDatabase(StudioError):
    """A database that this version of the program must leave alone."""


class LostClaim(StudioError):
    """The job was taken from this worker: its result does not count."""


class Interrupted(StudioError):
    """The person interrupted the work."""

    exit_code = 130


class WrongUse(StudioError):
    """The request itself cannot be carried out as it stands."""

    exit_code = 2


class BadBundle(WrongUse):
    """A bundle that cannot be opened. The message says what is wrong with "it"."""


class BadRecipe(WrongUse):
    """A film of which no project can be made."""


class BadPicture(WrongUse):
    """A picture that no shot can start with."""


class NotThere(WrongUse):
    """What was named is not there, or not any more."""


class StaleRevision(WrongUse):
    """The edit was made on an older state than there is now; nothing was changed."""


class Refused(WrongUse):
    """An edit or order that cannot be carried out as things stand."""


StoryField = tuple[str | int, ...]
"""A field of a storyboard: `("shots", 2, "seconds")`, counted from 0."""


class BadStoryboard(WrongUse):
    """A storyboard breaks a rule. The message leaves the field unnamed: `field` says which it is."""

    def __init__(self, message: Message | str, field: StoryField = ()) -> None:
        super().__init__(message)
        self.field = field

    def within(self, *outer: str | int) -> BadStoryboard:
        """The same error, its field seen from further out."""
        return BadStoryboard(self.message, (*outer, *self.field))


@contextmanager
def errors_within(*outer: str | int) -> Iterator[None]:
    """Each `BadStoryboard` raised inside is about a field within `outer`."""
    try:
        yield
    except BadStoryboard as error:
        raise error.within(*outer) from error


def wrong_option(error: ValueError, **called: str) -> WrongUse:
    """A setting's `ValueError`, such as "top_k: must be 0 or more", as the option's.

    `called` are settings whose option has another name.
    """
    name, _, words = str(error).partition(":")
    name = called.get(name, name)
    return WrongUse(f"--{name.replace('_', '-')}:{words}")
