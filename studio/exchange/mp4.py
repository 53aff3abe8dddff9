"""Joins clips into one MP4, and keeps the film's recipe in it.

The recipe stands in the comment tag, which survives most rewrapping, and whole in a box of its own, behind
boxes of pictures that the storyboard names. A recipe that is too long for the tag leaves its settings and the
digest of the whole there.

Whole clips of one encoding are copied packet by packet. Of trimmed ones the part that shows is encoded
again; so is what another encoder, or another version of it, wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import av
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from moc_engine.clip import ClipWriter
from moc_engine.files import atomic_file
from moc_engine.stored_file import StoredFile
from studio.domain.errors import BadRecipe, Refused
from studio.domain.frame_rate import exact_rate_in_words
from studio.domain.messages import message
from studio.domain.storyboard import MAX_SHOTS
from studio.exchange.mp4_box import PICTURE, append_box, read_box, read_pictures
from studio.exchange.recipe import without_shots
from studio.store.clip_file import frame_count, frame_rate, open_clip


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The frames `first` to `first + frames` of a clip; `name` is what messages call it."""

    clip: StoredFile
    first: int
    frames: int
    name: str


@dataclass(frozen=True, kw_only=True)
class JoinedFilm:
    """What was written: so many frames; `encoded_again` names the pieces whose encoding did not fit."""

    frames: int
    encoded_again: tuple[str, ...] = ()


def join(
    pieces: Sequence[Piece],
    film: Path,
    *,
    title: str,
    recipe: Mapping[str, object],
    pictures: Sequence[StoredFile] = (),
) -> JoinedFilm:
    """Writes pieces of clips one after the other into `film`, and pictures that the recipe names.

    Pictures beyond `MOST_PICTURE` and `MOST_PICTURES` bytes are left out. The recipe gets the key
    `encoded_again` where pieces were. Raises `Refused` for pieces of different size or frame rate,
    `DamagedClip` for what cannot be read.
    """
    with TemporaryDirectory() as folder, ExitStack() as opened:
        parts = [
            _shown(piece, opened.enter_context(piece.clip.local()), Path(folder) / f"{number}.mp4")
            for number, piece in enumerate(pieces)
        ]
        _check_same_format(pieces, parts)
        changed = _encode_alike(parts, Path(folder))
        names = tuple(pieces[number].name for number in changed)
        complete = {**recipe, **({"encoded_again": list(names)} if names else {})}
        frames = _write([part.clip for part in parts], film, title=title, recipe=complete, pictures=pictures)
    return JoinedFilm(frames=frames, encoded_again=names)


def recipe_in(film: Path) -> dict[str, Any]:
    """The recipe in a film, as JSON. Raises `BadRecipe` where there is none, or not the whole of it."""
    with open_clip(film) as (container, _):
        tag = _parsed(container.metadata.get("comment", ""))
    whole = read_box(film)
    attached = None if whole is None else _parsed(whole.decode(errors="replace"))
    if tag is None and attached is None:
        raise BadRecipe(message("recipe-missing"))
    if tag is None or _digest(whole or b"") == tag.get(_ATTACHED):
        return attached or {}
    if _ATTACHED in tag:
        raise BadRecipe(message("recipe-cut"))
    return tag


def attached_pictures(film: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """The pictures in a film that `wanted` names by digest, within the limits of `join`, as they came."""
    found: dict[str, bytes] = {}
    for content in islice(read_pictures(film), 2 * MAX_SHOTS):
        digest = _digest(content)
        size = sum(map(len, found.values())) + len(content)
        if digest in wanted and len(content) <= MOST_PICTURE and size <= MOST_PICTURES:
            found[digest] = content
    return found


MOST_PICTURE: Final = 8 * 2**20
"""Bytes of one picture in a film."""
MOST_PICTURES: Final = 32 * 2**20
"""Bytes of all pictures in a film."""

MOST_TAG: Final = 60_000
"""Bytes of a recipe in the comment tag; QuickTime files keep 65,535."""

_ATTACHED: Final = "attached_sha256"


def _tag(recipe: Mapping[str, object], whole: bytes) -> str:
    """What stands in the comment tag: the recipe, or its settings and the digest of the attached whole."""
    if len(whole) <= MOST_TAG:
        return whole.decode()
    short = {**without_shots(recipe), _ATTACHED: _digest(whole)}
    return json.dumps(short, ensure_ascii=False, separators=(",", ":"))


def _digest(whole: bytes) -> str:
    return hashlib.sha256(whole).hexdigest()


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A clip to be joined whole; `encoding` is what clips share whose packets can follow each other."""

    clip: Path
    frames: int
    format: tuple[int, int, Fraction]
    encoding: tuple[object, ...]


def _part(clip: Path) -> _Part:
    with open_clip(clip) as (source, track):
        context = track.codec_context
        return _Part(
            clip=clip,
            format=(context.width, context.height, frame_rate(track)),
            encoding=(context.name, context.pix_fmt, context.extradata, track.time_base),
            frames=frame_count(source, track),
        )


def _shown(piece: Piece, clip: Path, part: Path) -> _Part:
    """The clip itself where all of it shows, else the part that does, encoded again."""
    whole = _part(clip)
    if piece.first == 0 and piece.frames >= whole.frames:
        return whole
    _encode(clip, part, piece.first, piece.frames)
    return _part(part)


def _encode(clip: Path, part: Path, first: int = 0, frames: int | None = None) -> None:
    with open_clip(clip) as (source, track):
        size = track.codec_context.width, track.codec_context.height
        stop = None if frames is None else first + frames
        with ClipWriter(part, size, frame_rate(track)) as writer:
            for frame in islice(source.decode(track), first, stop):
                writer.write_picture(
                    frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p")
                )


def _encode_alike(parts: list[_Part], folder: Path) -> list[int]:
    """Encodes again, in place, those of `parts` that do not fit the others; returns their indexes.

    Packets of different encoders cannot follow each other in one track. What most clips have stays; where
    this machine's encoder writes something else, they are all encoded again.
    """
    encodings = [part.encoding for part in parts]
    usual = max(encodings, key=encodings.count)
    others = [number for number, encoding in enumerate(encodings) if encoding != usual]
    if not others:
        return []
    for number in others:
        parts[number] = _encoded_again(parts[number], folder, number)
    if parts[others[0]].encoding != usual:
        for number, encoding in enumerate(encodings):
            if encoding == usual:
                parts[number] = _encoded_again(parts[number], folder, number)
        others = list(range(len(parts)))
    return others


def _encoded_again(part: _Part, folder: Path, number: int) -> _Part:
    again = folder / f"again-{number}.mp4"
    _encode(part.clip, again)
    return _part(again)


def _check_same_format(pieces: Sequence[Piece], parts: Sequence[_Part]) -> None:
    formats: dict[tuple[int, int, Fraction], list[str]] = {}
    for piece, part in zip(pieces, parts, strict=True):
        formats.setdefault(part.format, []).append(piece.name)
    if len(formats) > 1:
        differing = [
            message(
                "clips-of-format",
                clips=", ".join(names),
                format=f"{width}x{height} at {exact_rate_in_words(rate)} fps",
            )
            for (width, height, rate), names in formats.items()
        ]
        raise Refused(message("formats-differ", formats=tuple(differing)))


def _write(
    parts: Sequence[Path],
    film: Path,
    *,
    title: str,
    recipe: Mapping[str, object],
    pictures: Sequence[StoredFile],
) -> int:
    whole = json.dumps(recipe, ensure_ascii=False, separators=(",", ":")).encode()
    with atomic_file(film) as part:
        frames = _write_video(parts, part, {"title": title, "comment": _tag(recipe, whole)})
        for picture in _small(pictures):
            append_box(part, picture, PICTURE)
        append_box(part, whole)
    return frames


def _small(pictures: Sequence[StoredFile]) -> Iterator[bytes]:
    """The contents of pictures, as far as they fit."""
    room = MOST_PICTURES
    for picture in pictures:
        with picture.open() as stream:
            content = stream.read(MOST_PICTURE + 1)
        if len(content) <= min(MOST_PICTURE, room):
            room -= len(content)
            yield content


def _write_video(parts: Sequence[Path], film: Path, tags: Mapping[str, str]) -> int:
    with av.open(film, "w", options={"movflags": "+faststart"}) as output:
        output.metadata.update(tags)
        stream: VideoStream | None = None
        frames = 0
        for clip in parts:
            with open_clip(clip) as (source, track):
                if stream is None:
                    stream = output.add_stream_from_template(track)
                frames += _append(source, track, output, stream, frames)
    return frames


def _append(
    source: InputContainer, track: VideoStream, output: OutputContainer, stream: VideoStream, frames: int
) -> int:
    """Copies a clip's packets behind the first `frames` frames; returns how many frames it has."""
    count = 0
    start = Fraction(frames) / frame_rate(track)
    first = track.start_time or 0
    for packet in source.demux(track):
        if packet.dts is None or packet.pts is None:  # the flush at the end
            continue
        offset = round(start / packet.time_base) - first
        packet.pts += offset
        packet.dts += offset
        packet.stream = stream
        output.mux(packet)
        count += 1
    return count
