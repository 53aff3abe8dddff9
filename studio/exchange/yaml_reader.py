"""Reads the storyboards that people write; every error names the file, the line and the field.

Scalars are read by what the field wants: `name: No` is a name, not a truth value.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Final, TypeVar, cast

from studio.domain.errors import BadStoryboard, StoryField, errors_within
from studio.domain.file_types import PICTURES
from studio.domain.first_frame import PREVIOUS, FirstFrame
from studio.domain.frame_rate import exact_rate, parse_rate
from studio.domain.messages import Message, message
from studio.domain.picture_name import PictureName
from studio.domain.settings import (
    Context,
    Expert,
    FullBelow,
    Looks,
    Lora,
    Positions,
    Scheduler,
    Settings,
    StepCache,
    Storage,
    parse_full_below,
)
from studio.domain.storyboard import (
    MAX_SHOTS,
    MOST_BOOST,
    CastMember,
    Shot,
    Storyboard,
    check_ready,
    parse_size,
)
from studio.exchange.plain_yaml import List, Malformed, Map, Node, Scalar, load, parse, shown
from studio.store.inferred_cast import infer_cast

_STORYBOARD_KEYS: Final = ("title", "size", "fps", "seed", "style", "cast", "shots", "settings")
_CAST_KEYS: Final = tuple(f.name for f in fields(CastMember))
_SHOT_KEYS: Final = tuple(f.name for f in fields(Shot) if f.name != "id")
_SETTINGS_KEYS: Final = tuple(f.name for f in fields(Settings))
_LORA_KEYS: Final = tuple(f.name for f in fields(Lora))
_OLD_NAMES: Final = {"worth": "rerender_threshold"}  # keys of version 0.1

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,4})?")
_NOT_FINITE = re.compile(r"[-+]?\.inf|\.nan", re.IGNORECASE)
_WHOLE = re.compile(r"[-+]?\d{1,30}")
_PART = re.compile(r"([-+]?\d{1,30})/(.+)")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

T = TypeVar("T")
Default = TypeVar("Default")


def read_storyboard(path: Path, *, unfinished: bool = False) -> Storyboard:
    """The storyboard in a YAML file, ready to be rendered unless it may be `unfinished`.

    Where the file lists no cast, capitalised words that the embedded model does not know are the
    cast, in order. Raises `BadStoryboard`, its message beginning with "FILE:LINE: ".
    """
    return _read(path, lambda: load(path), unfinished=unfinished)


def parse_storyboard(text: str, name: str) -> Storyboard:
    """The storyboard in a text, which may be unfinished; `name` stands for the file in messages."""
    return _read(Path(name), lambda: parse(text), unfinished=True)


def _read(path: Path, tree: Callable[[], Node], *, unfinished: bool) -> Storyboard:
    lines: dict[StoryField, int] = {}
    try:
        board = _Reader(lines, unfinished, path.parent).storyboard(tree(), path)
        if not unfinished:
            check_ready(board)
    except Malformed as error:
        where = f"{path}:{error.line}" if error.line else f"{path}"
        raise BadStoryboard(message("storyboard-malformed", where=where, problem=str(error))) from error
    except BadStoryboard as error:
        line = next(lines[field] for field in _outwards(error.field) if field in lines)
        raise BadStoryboard(
            message(
                "storyboard-invalid",
                file=str(path),
                line=line,
                field=_named(error.field),
                problem=error.message,
            ),
            error.field,
        ) from error
    return board


def _outwards(field: StoryField) -> Iterator[StoryField]:
    for size in range(len(field), -1, -1):
        yield field[:size]


def _named(field: StoryField) -> str:
    """("shots", 2, "seconds") -> "shot 3, seconds: "."""
    match field:
        case ("shots", int(index), *rest):
            parts = [f"shot {index + 1}", *rest]
        case ("cast", int(index), *rest):
            parts = [f"cast member {index + 1}", *rest]
        case _:
            parts = list(field)
    if "loras" in parts:
        parts = [f"number {part + 1}" if isinstance(part, int) else part for part in parts]
    words = [shown(part) for part in parts if isinstance(part, str)]
    return f"{', '.join(words)}: " if words else ""


class _Reader:
    """Turns nodes into a storyboard, noting the line of every field on the way."""

    def __init__(self, lines: dict[StoryField, int], unfinished: bool, folder: Path) -> None:
        self._folder = folder
        self._lines = lines
        self._unfinished = unfinished
        self._ids: list[str] = []  # of the shots read so far

    def storyboard(self, node: Node, path: Path) -> Storyboard:
        top = self._entries(node, (), _STORYBOARD_KEYS)
        if not self._unfinished:
            top.require("shots")
        shots = top.get("shots", _list, ())
        if len(shots) > MAX_SHOTS:
            raise BadStoryboard(message("too-many-shots", most=MAX_SHOTS, count=len(shots)), ("shots",))
        board = Storyboard(
            title=top.get("title", _text, _title_from(path)),
            style=top.get("style", _text, ""),
            size=top.get("size", _size, (1280, 720)),
            fps=top.get("fps", _rate, Fraction(24)),
            seed=top.get("seed", _whole, 0),
            settings=self._settings(top.get("settings", _as_it_is, Map((), node.line))),
            cast=tuple(self._member(member, i) for i, member in enumerate(top.get("cast", _list, ()))),
            shots=tuple(self._shot(shot, i) for i, shot in enumerate(shots)),
        )
        return board if "cast" in top else infer_cast(board)

    def _settings(self, node: Node) -> Settings:
        with errors_within("settings"):
            entries = self._entries(node, ("settings",), _SETTINGS_KEYS)
            return Settings(
                model=entries.get("model", _text, None),
                steps=entries.get("steps", _whole, None),
                guidance=entries.get("guidance", _number, None),
                top_k=entries.get("top_k", _whole, None),
                full_below=entries.get("full_below", _full_below, None),
                looks=cast(Looks, entries.get("looks", _text, "first")),
                rerender_threshold=entries.get("rerender_threshold", _number, Settings.rerender_threshold),
                negative_prompt=entries.get("negative_prompt", _text, None),
                scheduler=cast(Scheduler | None, entries.get("scheduler", _text, None)),
                shift=entries.get("shift", _number, None),
                guidance_2=entries.get("guidance_2", _number, None),
                loras=self._loras(entries, ("settings",)),
                step_cache=cast(StepCache | None, entries.get("step_cache", _text, None)),
                memory_policy=entries.get("memory_policy", _text, None),
                keyframes=entries.get("keyframes", _whole, None),
                memory_storage=cast(Storage | None, entries.get("memory_storage", _text, None)),
                positions=cast(Positions | None, entries.get("positions", _text, None)),
                router=entries.get("router", _text, None),
                context=cast(Context, entries.get("context", _text, "all")),
                draft_model=entries.get("draft_model", _text, None),
                guide_strength=entries.get("guide_strength", _number, None),
                control_scale=entries.get("control_scale", _number, None),
            )

    def _member(self, node: Node, index: int) -> CastMember:
        with errors_within("cast", index):
            if isinstance(node, Scalar) and not node.is_null:  # a name alone
                self._lines["cast", index] = node.line
                return CastMember(name=_text(node))
            entries = self._entries(node, ("cast", index), _CAST_KEYS)
            entries.require("name")
            return CastMember(
                name=entries.get("name", _text, ""),
                look=entries.get("look", _text, None),
                picture=entries.get("picture", self._picture, None),
            )

    def _shot(self, node: Node, index: int) -> Shot:
        with errors_within("shots", index):
            if isinstance(node, Scalar) and not node.is_null:  # a caption alone
                node = Map(((Scalar(text="caption", line=node.line, quoted=False), node),), node.line)
            entries = self._entries(node, ("shots", index), _SHOT_KEYS)
            if not self._unfinished:
                entries.require("caption")
            caption = entries.get("caption", _text, "")
            earlier, own = tuple(self._ids), _shot_id(caption, self._ids)
            self._ids.append(own)
            return Shot(
                id=own,
                caption=caption,
                seconds=entries.get("seconds", _number, 3.0),
                trim=entries.get("trim", _number, 0.0),
                seed=entries.get("seed", _whole, None),
                pins=entries.get("pins", lambda list_: _earlier_shots(list_, earlier), ()),
                bans=entries.get("bans", lambda list_: _earlier_shots(list_, earlier), ()),
                boosts=entries.get("boosts", lambda map_: _boosts(map_, earlier), {}),
                skip=entries.get("skip", _truth, False),
                lock=entries.get("lock", _truth, False),
                negative_prompt=entries.get("negative_prompt", _text, None),
                loras=self._loras(entries, ("shots", index)),
                first_frame=entries.get("first_frame", lambda node: self._first_frame(node, earlier), None),
                guide_strength=entries.get("guide_strength", _number, None),
                control_scale=entries.get("control_scale", _number, None),
            )

    def _loras(self, entries: _Entries, field: StoryField) -> tuple[Lora, ...]:
        nodes = entries.get("loras", _list, ())
        with errors_within("loras"):
            return tuple(self._lora(node, (*field, "loras", at)) for at, node in enumerate(nodes))

    def _lora(self, node: Node, field: StoryField) -> Lora:
        with errors_within(field[-1]):
            if isinstance(node, Scalar) and not node.is_null:  # a file alone
                self._lines[field] = node.line
                return Lora(file=self._lora_file(node))
            entries = self._entries(node, field, _LORA_KEYS)
            entries.require("file")
            return Lora(
                file=entries.get("file", self._lora_file, ""),
                weight=entries.get("weight", _number, 1.0),
                expert=cast(Expert, entries.get("expert", _text, "both")),
            )

    def _lora_file(self, node: Node) -> str:
        """A file relative to the storyboard where there is one; else the text, a path or a hub name."""
        text = _text(node)
        beside = self._folder / text
        try:
            return str(beside) if text and beside.is_file() else text
        except (OSError, ValueError):  # too long for a path
            return text

    def _first_frame(self, node: Node, earlier: Sequence[str]) -> str:
        """The last frame of a shot by number or of the one before, or a picture, relative to the file."""
        text = _text(node)
        if text == PREVIOUS:
            return text
        if _WHOLE.fullmatch(text):
            return str(FirstFrame(kind="shot", name=_earlier_shot(node, earlier)))
        named = self._named_picture(text)
        if named is None:
            raise BadStoryboard(message("first-frame-unreadable", text=shown(text)))
        return named

    def _picture(self, node: Node) -> str:
        named = self._named_picture(text := _text(node))
        if named is None:
            raise BadStoryboard(message("picture-name-unreadable", text=shown(text)))
        return named

    def _named_picture(self, text: str) -> str | None:
        """A picture that the studio keeps, or the path of one, relative to the file; None for other texts."""
        if text.startswith("picture:"):
            return text
        is_picture = Path(text).suffix.lower() in PICTURES
        return str(PictureName(kind="file", name=str(self._folder / text))) if is_picture else None

    def _entries(self, node: Node, field: StoryField, known: tuple[str, ...]) -> _Entries:
        self._lines[field] = node.line
        if isinstance(node, Map):
            for key, value in node.entries:
                where = value if isinstance(value, Scalar) and not value.is_null else key
                self._lines[(*field, key.text)] = where.line
        return _Entries(node, known)


class _Entries:
    """A mapping whose keys are known; a key without a value counts as left out."""

    def __init__(self, node: Node, known: tuple[str, ...]) -> None:
        if not isinstance(node, Map):
            raise BadStoryboard(message("not-a-mapping", keys=", ".join(known)))
        for key, _ in node.entries:
            if _OLD_NAMES.get(key.text, key.text) not in known:
                near = difflib.get_close_matches(key.text.lower(), known, n=1)
                meant = message("key-unknown-like", key=near[0]) if near else None
                raise BadStoryboard(meant or message("key-unknown", keys=", ".join(known)), (key.text,))
        self._nodes = {_OLD_NAMES.get(key.text, key.text): value for key, value in node.entries}

    def __contains__(self, key: str) -> bool:
        node = self._nodes.get(key)
        return node is not None and not (isinstance(node, Scalar) and node.is_null)

    def require(self, key: str) -> None:
        if key not in self._nodes:
            raise BadStoryboard(message("key-missing", key=key))
        if key not in self:
            raise BadStoryboard(message("empty"), (key,))

    def get(self, key: str, read: Callable[[Node], T], default: Default) -> T | Default:
        if key not in self:
            return default
        with errors_within(key):
            return read(self._nodes[key])


def _as_it_is(node: Node) -> Node:
    return node


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise BadStoryboard(message("not-a-text", kind=_kind(node)))
    return unicodedata.normalize("NFC", " ".join(node.text.split("\n")).strip())


def _number(node: Node) -> float:
    text = _unquoted(node, "wanted-number")
    if _NOT_FINITE.fullmatch(text):
        raise BadStoryboard(message("not-finite"))
    if not _NUMBER.fullmatch(text):
        raise BadStoryboard(message("not-a-number", text=shown(text)))
    return float(text)


def _rate(node: Node) -> Fraction:
    text = _unquoted(node, "wanted-rate")
    if _NOT_FINITE.fullmatch(text):
        raise BadStoryboard(message("not-finite"))
    try:
        return parse_rate(text)
    except BadStoryboard:
        if _NUMBER.fullmatch(text):  # negative, or with an exponent
            return exact_rate(float(text))
        raise


def _whole(node: Node) -> int:
    text = _unquoted(node, "wanted-whole-number")
    if not _WHOLE.fullmatch(text):
        raise BadStoryboard(message("not-whole", text=shown(text)))
    return int(text)


def _full_below(node: Node) -> FullBelow:
    return parse_full_below(shown(_text(node)))


def _truth(node: Node) -> bool:
    text = _unquoted(node, "wanted-true-or-false")
    if text.lower() not in _TRUTH:
        raise BadStoryboard(message("not-true-or-false", text=shown(text)))
    return _TRUTH[text.lower()]


def _size(node: Node) -> tuple[int, int]:
    return parse_size(shown(_text(node)))


def _list(node: Node) -> tuple[Node, ...]:
    if not isinstance(node, List):
        raise BadStoryboard(message("not-a-list", kind=_kind(node)))
    return node.items


def _earlier_shots(node: Node, ids: Sequence[str]) -> tuple[str, ...]:
    shots = tuple(_earlier_shot(item, ids) for item in _list(node))
    if len(set(shots)) < len(shots):
        raise BadStoryboard(message("target-twice"))
    return shots


def _boosts(node: Node, ids: Sequence[str]) -> dict[str, float]:
    if not isinstance(node, Map):
        raise BadStoryboard(message("not-boosts", kind=_kind(node)))
    boosts: dict[str, float] = {}
    for shot, amount in node.entries:
        boost = boosts[_earlier_shot(shot, ids)] = _number(amount)
        if not abs(boost) <= MOST_BOOST:
            least, most = -MOST_BOOST, MOST_BOOST
            raise BadStoryboard(
                message(
                    "boost-of-shot-out-of-range", shot=shown(_text(shot)), least=least, most=most, boost=boost
                )
            )
    return boosts


def _earlier_shot(node: Node, ids: Sequence[str]) -> str:
    """The id of a shot that a person named by its number, or a part of one, such as 3/Mira; `ids` are those
    of all earlier shots.
    """
    if isinstance(node, Scalar) and (found := _PART.fullmatch(node.text)):
        shot = Scalar(text=found[1], line=node.line, quoted=False)
        return f"{_earlier_shot(shot, ids)}/{found[2]}"
    number, index = _whole(node), len(ids)
    if number < 1:
        raise BadStoryboard(message("shot-number-too-small", number=number))
    if number == index + 1:
        raise BadStoryboard(message("target-itself"))
    if number > index + 1:
        raise BadStoryboard(message("target-not-earlier", target=number, shot=index + 1))
    return ids[number - 1]


def _shot_id(caption: str, taken: Sequence[str]) -> str:
    """An id that stays when shots around it come and go: of the caption, and which of its like it is."""
    digest = hashlib.sha256(caption.encode(errors="surrogatepass")).hexdigest()[:12]
    return next(name for n in count(1) if (name := f"shot-{digest}-{n}") not in taken)


def _unquoted(node: Node, wanted: str) -> str:
    if not isinstance(node, Scalar):
        raise BadStoryboard(message("wrong-kind", wanted=message(wanted), kind=_kind(node)))
    if node.quoted:
        raise BadStoryboard(message("quoted", wanted=message(wanted), text=shown(node.text)))
    return node.text


def _kind(node: Node) -> Message | str:
    match node:
        case List():
            return message("kind-list")
        case Map():
            return message("kind-mapping")
        case Scalar(text=text):
            return f"'{shown(text)}'"


def _title_from(path: Path) -> str:
    words = "".join(letter if letter.isprintable() else " " for letter in path.stem)
    return re.sub(r"[-_\s]+", " ", words).strip()[:200] or "film"
