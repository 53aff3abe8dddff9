"""Messages to people, as codes with parameters: the words are looked up where a message is shown.

    raise Refused(message("split-too-short", shot=3, least=0.1))
        ─► {"code": "split-too-short", "params": {"shot": 3, "least": 0.1}}
        ─► "shot 3 cannot be split there: both parts must be at least 0.1 s long"

A translation is another catalogue with the same codes and parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

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


def message_to_json(said: Message) -> dict[str, Any]:
    """A message for storage; messages among its parameters are objects of the same form."""
    params: dict[str, Any] = {}
    for name, value in said.params.items():
        if isinstance(value, Message):
            params[name] = message_to_json(value)
        elif isinstance(value, tuple):
            params[name] = [message_to_json(part) for part in value]
        else:
            params[name] = value
    return {"code": said.code, "params": params}


def message_from_json(stored: Mapping[str, Any]) -> Message:
    """A message as `message_to_json` stored it."""
    params: dict[str, Param] = {}
    for name, value in stored["params"].items():
        if isinstance(value, dict):
            params[name] = message_from_json(value)
        elif isinstance(value, list):
            params[name] = tuple(message_from_json(part) for part in value)
        else:
            params[name] = value
    return Message(stored["code"], params)


def is_known(said: Message, catalogue: Mapping[str, str] = ENGLISH) -> bool:
    """Whether a stored message can be put in words: another version may have other messages."""
    try:
        in_words(said, catalogue)
    except (LookupError, ValueError):
        return False
    return True


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
