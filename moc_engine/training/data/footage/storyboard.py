"""The storyboard of footage: a YAML file that says which pieces of videos are shots, with their captions.

    title: The red kite
    style: ink on paper                 # the global caption, if any
    source: kite.mp4                    # relative to this file; a shot may name another one
    shots:
      - {start: 0, end: 2.5, caption: Mira runs right on the beach}
      - {start: 2.5, end: 6, caption: Otto waves in the meadow}
      - {start: 6, end: 7, skip: true}  # left out of training

Times are seconds or h:mm:ss. One file is one story, its shots in the order they are listed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from moc_engine.errors import FootageError
from moc_engine.files import write_text
from moc_engine.training.data.footage.clock_times import parse_time

SUFFIXES: Final = frozenset({".yaml", ".yml"})

_TOP: Final = ("title", "style", "source", "shots")
_SHOT: Final = ("start", "end", "caption", "source", "skip")
_MOST_BYTES: Final = 16_000_000


@dataclass(frozen=True, kw_only=True)
class StoryboardShot:
    """A piece of a video in seconds, as one shot; `skip` leaves it out of training."""

    source: Path
    start: float
    end: float
    caption: str = ""
    skip: bool = False


@dataclass(frozen=True, kw_only=True)
class FootageStoryboard:
    """A story cut from videos; `style` is its global caption."""

    title: str
    shots: tuple[StoryboardShot, ...]
    style: str = ""


def read_storyboard(path: Path) -> FootageStoryboard:
    """The storyboard of a file; paths of videos become absolute, and need not exist.

    Raises `FootageError` naming the file, the line and the field.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FootageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(data) > _MOST_BYTES:
        raise FootageError(f"{path} is no storyboard of footage: it has {len(data) / 1e6:.0f} MB")
    try:
        return parse_storyboard(data.decode("utf-8-sig"), title=path.stem, folder=path.parent)
    except UnicodeDecodeError as error:
        raise FootageError(f"{path} is not text in UTF-8") from error
    except ValueError as error:
        raise FootageError(f"{path}, {error}") from error


def parse_storyboard(text: str, *, title: str, folder: Path) -> FootageStoryboard:
    """The storyboard of a text. Raises `ValueError` naming the line and the field."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise ValueError(f"line {line}: {error.problem or 'no YAML'}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"line 1: no YAML: {' '.join(str(error).split())}") from error
    if node is None:
        raise ValueError("line 1: it is empty; there must be shots")
    top = _fields(node, _TOP, "the storyboard")
    own = _source(top.get("source"), folder)
    shots = top.get("shots")
    if not isinstance(shots, SequenceNode) or not shots.value:
        raise ValueError(f"line {_line(shots or node)}: shots: there must be a list of them")
    return FootageStoryboard(
        title=_text(top.get("title"), "title") or title,
        style=_text(top.get("style"), "style"),
        shots=tuple(_shots(shots.value, own, folder)),
    )


def write_storyboard(path: Path, board: FootageStoryboard) -> None:
    """Writes a storyboard that `read_storyboard` reads. Videos beside or below it are named relatively."""
    write_text(path, storyboard_text(board, path.parent))


def storyboard_text(board: FootageStoryboard, folder: Path) -> str:
    """The content of the file of a storyboard in a folder; times are rounded to milliseconds."""
    sources = {shot.source for shot in board.shots}
    lines = [f"title: {_quoted(board.title)}"]
    if board.style:
        lines.append(f"style: {_quoted(board.style)}")
    if len(sources) == 1:
        lines.append(f"source: {_quoted(_shown(next(iter(sources)), folder))}")
    lines.append("shots:")
    for shot in board.shots:
        fields = [f"start: {_number(shot.start)}", f"end: {_number(shot.end)}"]
        if len(sources) > 1:
            fields.append(f"source: {_quoted(_shown(shot.source, folder))}")
        if shot.skip:
            fields.append("skip: true")
        lines.append(f"  - {{{', '.join(fields)}, caption: {_quoted(shot.caption)}}}")
    return "\n".join(lines) + "\n"


def _shots(nodes: Sequence[Node], own: Path | None, folder: Path) -> Iterator[StoryboardShot]:
    for number, node in enumerate(nodes, start=1):
        fields = _fields(node, _SHOT, f"shot {number}")
        source = _source(fields.get("source"), folder) or own
        if source is None:
            raise ValueError(f"line {_line(node)}: shot {number}: source: no video is named")
        start = _time(fields.get("start"), node, f"shot {number}, start")
        end = _time(fields.get("end"), node, f"shot {number}, end")
        if not start < end:
            raise ValueError(f"line {_line(node)}: shot {number}: end: must be after its start")
        yield StoryboardShot(
            source=source,
            start=start,
            end=end,
            caption=_text(fields.get("caption"), f"shot {number}, caption"),
            skip=_truth(fields.get("skip"), f"shot {number}, skip"),
        )


def _fields(node: Node, known: tuple[str, ...], what: str) -> dict[str, Node]:
    if not isinstance(node, MappingNode):
        raise ValueError(f"line {_line(node)}: {what}: wanted fields such as {', '.join(known)}")
    fields: dict[str, Node] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, ScalarNode) else ""
        if name not in known:
            raise ValueError(
                f"line {_line(key)}: {what}: unknown field '{name}'; there are {', '.join(known)}"
            )
        if name in fields:
            raise ValueError(f"line {_line(key)}: {what}: {name}: given twice")
        if not (isinstance(value, ScalarNode) and value.tag == "tag:yaml.org,2002:null"):
            fields[name] = value
    return fields


def _source(node: Node | None, folder: Path) -> Path | None:
    text = _text(node, "source")
    if "\0" in text:
        raise ValueError(f"line {_line(node)}: source: no name of a file")
    return (folder / text).absolute() if text else None


def _text(node: Node | None, field: str) -> str:
    if node is None:
        return ""
    if not isinstance(node, ScalarNode):
        raise ValueError(f"line {_line(node)}: {field}: wanted a text")
    return " ".join(node.value.split())


def _time(node: Node | None, shot: Node, field: str) -> float:
    if node is None:
        raise ValueError(f"line {_line(shot)}: {field}: is missing")
    try:
        return parse_time(_text(node, field))
    except ValueError as error:
        raise ValueError(f"line {_line(node)}: {field}: {error}") from error


def _truth(node: Node | None, field: str) -> bool:
    word = _text(node, field).lower() or "false"
    if word not in ("true", "false", "yes", "no"):
        raise ValueError(f"line {_line(node)}: {field}: must be true or false, got '{word}'")
    return word in ("true", "yes")


def _line(node: Node | None) -> int:
    return 1 if node is None or node.start_mark is None else int(node.start_mark.line) + 1


def _shown(source: Path, folder: Path) -> str:
    """A path as it is written: relative where the video lies in the folder or below it."""
    where = folder.absolute()
    return source.relative_to(where).as_posix() if source.is_relative_to(where) else str(source)


def _number(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    """A text in double quotes, which YAML reads as JSON does."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in quoted)
