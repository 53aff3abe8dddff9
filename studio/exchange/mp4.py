"""Joins clips into one MP4, and keeps the recipe in its comment tag.

Whole clips are copied as they are; of trimmed ones the part that shows is encoded again, in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
from av.video.stream import VideoStream

from moc_engine.clip import ClipWriter
from moc_engine.files import atomic_file


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The frames `first` to `first + frames` of a clip."""

    clip: Path
    first: int
    frames: int


def piece_of(clip: Path, frames: int, fps: float, *, trim: float, seconds: float) -> Piece:
    """What shows of a clip of so many frames: `seconds` from `trim` on, at least one frame."""
    first = min(round(trim * fps), frames - 1)
    return Piece(clip=clip, first=first, frames=max(1, min(round(seconds * fps), frames - first)))


def join(pieces: Sequence[Piece], film: Path, *, title: str, recipe: Mapping[str, object]) -> int:
    """Writes pieces of clips one after the other into `film` and returns the number of frames.

    Packets are copied, so the clips must come from the same encoder settings: `ValueError` where they do
    not.
    """
    with TemporaryDirectory() as folder:
        clips = [_shown(piece, Path(folder) / f"{number}.mp4") for number, piece in enumerate(pieces)]
        return _join(clips, film, title=title, recipe=recipe)


def _shown(piece: Piece, part: Path) -> Path:
    """The clip itself where all of it shows, else the part that does, encoded again."""
    with av.open(piece.clip) as source:
        track = source.streams.video[0]
        if piece.first == 0 and piece.frames >= _length(source, track):
            return piece.clip
        size = track.codec_context.width, track.codec_context.height
        with ClipWriter(part, size, float(_rate(track))) as writer:
            for index, frame in enumerate(source.decode(track)):
                if index >= piece.first + piece.frames:
                    break
                if index >= piece.first:
                    writer.write_picture(frame)
    return part


def _length(source: av.container.InputContainer, track: VideoStream) -> int:
    if track.frames:
        return int(track.frames)
    count = sum(1 for packet in source.demux(track) if packet.pts is not None)
    source.seek(0)
    return count


def _join(clips: Sequence[Path], film: Path, *, title: str, recipe: Mapping[str, object]) -> int:
    with atomic_file(film) as part, av.open(part, "w", options={"movflags": "+faststart"}) as output:
        output.metadata.update({"title": title, "comment": json.dumps(recipe, ensure_ascii=False)})
        stream: VideoStream | None = None
        kind: tuple[object, ...] = ()
        frames = 0
        for clip in clips:
            with av.open(clip) as source:
                track = source.streams.video[0]
                if stream is None:
                    stream, kind = output.add_stream_from_template(track), _kind(track)
                elif _kind(track) != kind:
                    raise ValueError(f"clips: {clip.name} was encoded otherwise than {clips[0].name}")
                frames += _append(source, track, output, stream, frames)
    return frames


def read_recipe(film: Path) -> dict[str, Any]:
    """The recipe in a film's comment tag; `ValueError` where there is none."""
    with av.open(film) as container:
        recipe = json.loads(container.metadata.get("comment", "null"))
    if not isinstance(recipe, dict):
        raise ValueError(f"film: {film} carries no recipe")
    return recipe


def _append(
    source: av.container.InputContainer,
    track: VideoStream,
    output: av.container.OutputContainer,
    stream: VideoStream,
    frames: int,
) -> int:
    """Copies a clip's packets behind the first `frames` frames; returns how many frames it has."""
    count = 0
    start = Fraction(frames) / _rate(track)
    for packet in source.demux(track):
        if packet.dts is None or packet.pts is None:  # the flush at the end
            continue
        offset = round(start / packet.time_base)
        packet.pts += offset
        packet.dts += offset
        packet.stream = stream
        output.mux(packet)
        count += 1
    return count


def _rate(track: VideoStream) -> Fraction:
    rate = track.average_rate
    if rate is None:
        raise ValueError("clips: a clip has no frame rate")
    return Fraction(rate)


def _kind(track: VideoStream) -> tuple[object, ...]:
    context = track.codec_context
    size = context.width, context.height
    return context.name, size, context.pix_fmt, context.extradata, _rate(track)
