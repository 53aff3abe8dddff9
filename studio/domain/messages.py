"""Messages to people, as codes with parameters: the words are looked up where a message is shown.

    raise Refused(message("split-too-short", shot=3, least=0.1))
        ─► {"code": "split-too-short", "params": {"shot": 3, "least": 0.1}}
        ─► "shot 3 cannot be split there: both parts must be at least 0.1 s long"

A translation is another catalogue with the same codes and parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from studio.domain.messages_en import ENGLISH

Param: TypeAlias = "str | int | float | Message | tuple[Message, ...]"


@dataclass(frozen=True)
class Message:
    """A message by its code; parameters may be messages themselves."""

    code: str
    params: Mapping[str, Param] = field(default_factory=dict)

    def __str__(self) -> str:
        return in_words(self)


def message(code: str, /, **params: Param) -> Message:
    """The message of this code."""
    return Message(code, params)


def in_words(said: Message, catalogue: Mapping[str, str] = ENGLISH) -> str:
    """The text of a message in a catalogue. Several messages as one parameter are separated by semicolons."""
    words = {
        name: "; ".join(in_words(part, catalogue) for part in value)
        if isinstance(value, tuple)
        else in_words(value, catalogue)
        if isinstance(value, Message)
        else value
        for name, value in said.params.items()
    }
    return catalogue[said.code].format(**words)
