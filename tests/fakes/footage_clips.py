"""Clips for tests of footage: whole ones, and awful ones of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from moc_engine.clip import ClipWriter, Frame

SIZE: Final = (64, 48)


def moving(seed: int, frames: int, size: tuple[int, int] = SIZE, *, step: int = 1) -> list[Frame]:
    """Coloured blocks that move to the right."""
    rng = np.random.default_rng(seed)
    across, down = -(-size[0] // 8), -(-size[1] // 8)
    blocks = rng.integers(0, 255, (down, across, 3), dtype=np.uint8)
    picture = blocks.repeat(8, 0).repeat(8, 1)[: size[1], : size[0]]
    return [np.ascontiguousarray(np.roll(picture, step * nth, 1)) for nth in range(frames)]


def write_clip(path: Path, frames: Sequence[Frame], rate: float = 24) -> Path:
    """An H.264 clip of even sides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ClipWriter(path, (frames[0].shape[1], frames[0].shape[0]), rate) as clip:
        for frame in frames:
            clip.write(frame)
    return path


def write_shots(
    path: Path, lengths: Sequence[int], *, size: tuple[int, int] = SIZE, rate: float = 24
) -> Path:
    """A clip of shots of so many frames, cut hard."""
    frames = [frame for seed, length in enumerate(lengths) for frame in moving(seed, length, size)]
    return write_clip(path, frames, rate)


def write_encoded(
    path: Path,
    frames: Sequence[Frame],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: int = 24,
    milliseconds: Sequence[int] | None = None,
    transfer: int | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """A clip in another form: codec, pixel format, the time of each frame, HDR's transfer function."""
    with av.open(path, "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        clock = Fraction(1, rate) if milliseconds is None else Fraction(1, 1000)
        stream.codec_context.time_base = stream.time_base = clock
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for nth, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)
            picture.pts = nth if milliseconds is None else milliseconds[nth]
            picture.time_base = clock
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """A second of silence, without any picture."""
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), dtype=np.int16), format="s16", layout="mono")
        sound.sample_rate, sound.pts = 48_000, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return path


def write_turned(path: Path, frames: Sequence[Frame]) -> Path:
    """A clip that its metadata turns by a quarter, as telephones write them."""
    write_clip(path, frames)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # version 0: the matrix follows 40 bytes of the box's content
    upright = b"".join(int(n).to_bytes(4, "big", signed=True) for n in (1 << 16, 0, 0, 0, 1 << 16, 0))
    assert data[at : at + 24] == upright
    quarter = (0, 1 << 16, 0, -(1 << 16), 0, 0)
    data[at : at + 24] = b"".join(int(n).to_bytes(4, "big", signed=True) for n in quarter)
    path.write_bytes(data)
    return path


def damaged(path: Path, *, share: float, length: int = 400) -> Path:
    """The same file with some bytes changed, from this share of it on."""
    data = bytearray(path.read_bytes())
    first = round(len(data) * share)
    for at in range(first, min(len(data), first + length)):
        data[at] = (data[at] * 7 + 13) % 256
    path.write_bytes(data)
    return path


def cut_off(path: Path, *, share: float) -> Path:
    """The first share of the same file."""
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    return path


def _text(path: Path) -> Path:
    path.write_text("this is no video\n" * 50)
    return path


def _playlist(path: Path) -> Path:
    path.write_text(f"#EXTM3U\n#EXTINF:10,\n{write_clip(path.with_name('real.bin.mp4'), moving(0, 4))}\n")
    return path


def _empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


UNREADABLE: Final[dict[str, Callable[[Path], Path]]] = {
    "text": _text,
    "a playlist": _playlist,
    "nothing": _empty,
    "sound": write_sound,
    "only the head": lambda path: cut_off(write_clip(path, moving(0, 24)), share=0.02),
    "half of the index": lambda path: cut_off(write_clip(path, moving(0, 48)), share=0.2),
    "no frame": lambda path: cut_off(write_clip(path, moving(0, 48)), share=0.32),
}
"""What makes files named as videos of which nothing can be read."""
