"""Joins clips into one MP4 without re-encoding, and keeps the recipe in its comment tag."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.stream import VideoStream

from studio.files import whole_file


def join(clips: Sequence[Path], film: Path, *, title: str, recipe: Mapping[str, object]) -> int:
    """Writes `clips` one after the other into `film` and returns the number of frames.

    The packets are copied, so the clips must come from the same encoder settings: `ValueError`
    where they do not.
    """
    with whole_file(film) as part, av.open(part, "w", options={"movflags": "+faststart"}) as output:
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
