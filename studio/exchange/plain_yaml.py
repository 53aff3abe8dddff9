"""Plain YAML as a tree that knows its lines: mappings, lists and scalars, nothing else.

Anchors, aliases and tags are refused, so that nothing in a file can expand or construct anything,
and scalars keep their text: what it means is for the reader of the field to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

MAX_BYTES: Final = 1_000_000
_MAX_DEPTH = 6


class Malformed(Exception):
    """Not a plain YAML file; `line` counts from 1, None where there is none."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Scalar:
    """`quoted` tells "3" from 3."""

    text: str
    quoted: bool
    line: int

    @property
    def is_null(self) -> bool:
        return not self.quoted and self.text.lower() in ("", "~", "null")


@dataclass(frozen=True)
class List:
    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True)
class Map:
    entries: tuple[tuple[Scalar, Node], ...]
    line: int


Node = Scalar | List | Map


def load(path: Path) -> Node:
    """The tree in a file of at most `MAX_BYTES`; raises `Malformed`."""
    return parse(_decode(_read(path)))


def parse(text: str) -> Node:
    """The tree of the one document in `text`; raises `Malformed`."""
    try:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        next(events)  # the stream begins
        if isinstance(next(events), yaml.StreamEndEvent):
            raise Malformed("is empty")
        root = _node(next(events), events, depth=0)
        next(events)  # the document ends
        after = next(events)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Malformed(_problem(error), mark.line + 1 if mark else None) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise Malformed(f"holds the character U+{ord(text[error.position]):04X}", line) from error
    if not isinstance(after, yaml.StreamEndEvent):
        raise Malformed("holds a second document", _line(after))
    return root


def shown(text: str) -> str:
    """A text as it may stand in a message: short, on one line, without what a terminal would obey."""
    text = "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))
    return f"{text[:40]}…" if len(text) > 40 else text


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Malformed(f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise Malformed(f"is larger than {MAX_BYTES / 1e6:g} MB")
    return data


def _decode(data: bytes) -> str:
    if b"\0" in data:
        raise Malformed("is not a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed("is not text in UTF-8", data.count(b"\n", 0, error.start) + 1) from error


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "unreadable"
    if "mapping values are not allowed" in problem:
        return "not valid YAML: a text with a colon in it needs quotes around it"
    return f"not valid YAML: {problem}"


def _line(event: yaml.Event) -> int:
    return int(event.start_mark.line) + 1 if event.start_mark else 1


def _node(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
    line = _line(event)
    if isinstance(event, yaml.AliasEvent):
        raise Malformed(f"aliases (*{event.anchor}) are not taken here", line)
    if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
        raise Malformed("not valid YAML", line)
    if event.anchor is not None:
        raise Malformed(f"anchors (&{event.anchor}) are not taken here", line)
    if event.tag is not None:
        raise Malformed(f"tags ({shown(event.tag)}) are not taken here", line)
    if isinstance(event, yaml.ScalarEvent):
        return Scalar(event.value, event.style is not None, line)
    if depth == _MAX_DEPTH:
        raise Malformed("lists and mappings are nested too deeply", line)
    if isinstance(event, yaml.SequenceStartEvent):
        return List(tuple(_items(events, yaml.SequenceEndEvent, depth + 1)), line)
    return Map(tuple(_entries(events, depth + 1)), line)


def _items(events: Iterator[yaml.Event], end: type[yaml.Event], depth: int) -> Iterator[Node]:
    while not isinstance(event := next(events), end):
        yield _node(event, events, depth)


def _entries(events: Iterator[yaml.Event], depth: int) -> Iterator[tuple[Scalar, Node]]:
    seen: set[str] = set()
    halves = _items(events, yaml.MappingEndEvent, depth)
    for key in halves:
        if not isinstance(key, Scalar):
            raise Malformed("a key must be a single word", key.line)
        if key.text in seen:
            raise Malformed(f"the key '{shown(key.text)}' is there twice", key.line)
        seen.add(key.text)
        yield key, next(halves)
