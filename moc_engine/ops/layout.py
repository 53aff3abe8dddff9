"""The chunk layout: content-aligned runs of tokens of any length, none across a shot border.

A layout cuts a sequence of tokens into C chunks. Chunk c holds the tokens offsets[c]:offsets[c + 1],
belongs to the shot shot[c] (-1 is the global caption) and is a caption or video after kind[c]. Tokens
stand in story order, so the chunks of a shot lie side by side and shots ascend.

The builders cut a story by frame, by track (one slot through a shot) or by a number of tokens. numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

CAPTION: Final = 0
VIDEO: Final = 1
GLOBAL_SHOT: Final = -1


def _integers(name: str, values: ArrayLike) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected one dimension, got shape {array.shape}")
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name}: expected integers, got {array.dtype}")
    integers = array.astype(np.int64)
    integers.flags.writeable = False
    return integers


@dataclass(frozen=True, eq=False)
class ChunkLayout:
    """Where the chunks of a token sequence lie: `offsets` [C + 1], `shot` [C], `kind` [C].

    A caption may be empty (no tokens), a video chunk may not. Raises `ValueError` naming the argument.
    """

    offsets: Ints
    shot: Ints
    kind: Ints

    def __init__(self, offsets: ArrayLike, shot: ArrayLike, kind: ArrayLike) -> None:
        for name, values in (("offsets", offsets), ("shot", shot), ("kind", kind)):
            object.__setattr__(self, name, _integers(name, values))
        self._check()

    def _check(self) -> None:
        if not self.offsets.size or self.offsets[0] != 0:
            raise ValueError("offsets: must begin with 0")
        if self.shot.size != self.chunks:
            raise ValueError(f"shot: {self.chunks} chunks need as many shots, got {self.shot.size}")
        if self.kind.size != self.chunks:
            raise ValueError(f"kind: {self.chunks} chunks need as many kinds, got {self.kind.size}")
        if not np.isin(self.kind, (CAPTION, VIDEO)).all():
            kinds = np.unique(self.kind).tolist()
            raise ValueError(f"kind: {CAPTION} is a caption, {VIDEO} is video; got {kinds}")
        if (self.lengths < 0).any():
            raise ValueError("offsets: must not descend")
        if (self.lengths[self.is_video] == 0).any():
            chunk = int(np.flatnonzero(self.is_video & (self.lengths == 0))[0])
            raise ValueError(f"offsets: video chunk {chunk} is empty")
        if (self.shot < GLOBAL_SHOT).any():
            least = self.shot.min()
            raise ValueError(f"shot: counts from 0, {GLOBAL_SHOT} is the global caption; got {least}")
        if (np.diff(self.shot) < 0).any():
            raise ValueError("shot: the chunks of a shot must lie side by side, shots in story order")
        if (self.is_video & (self.shot == GLOBAL_SHOT)).any():
            raise ValueError(f"kind: chunks of shot {GLOBAL_SHOT} are the global caption, not video")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChunkLayout):
            return NotImplemented
        return self is other or self._bytes == other._bytes

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self._bytes)

    @cached_property
    def _bytes(self) -> tuple[bytes, bytes, bytes]:
        """The arrays as bytes: caches compare layouts in every layer and step."""
        return self.offsets.tobytes(), self.shot.tobytes(), self.kind.tobytes()

    @property
    def chunks(self) -> int:
        return int(self.offsets.size) - 1

    @property
    def tokens(self) -> int:
        return int(self.offsets[-1])

    @cached_property
    def lengths(self) -> Ints:
        """[C] tokens of each chunk."""
        return np.diff(self.offsets)

    @cached_property
    def is_video(self) -> Bools:
        """[C] which chunks are video."""
        return np.equal(self.kind, VIDEO)

    @cached_property
    def shots(self) -> tuple[int, ...]:
        """The shots that have chunks, ascending; -1 first where there is a global caption."""
        return tuple(int(s) for s in np.unique(self.shot))

    @cached_property
    def token_chunk(self) -> Ints:
        """[tokens] the chunk of each token."""
        return np.repeat(np.arange(self.chunks), self.lengths)

    @cached_property
    def token_shot(self) -> Ints:
        """[tokens] the shot of each token."""
        return self.shot[self.token_chunk]

    def chunk_span(self, shot: int) -> tuple[int, int]:
        """The chunks first:last of a shot, captions included; `ValueError` where it has none."""
        first, last = np.searchsorted(self.shot, (shot, shot + 1))
        if first == last:
            raise ValueError(f"shot: there is no shot {shot} in the layout")
        return int(first), int(last)

    def token_span(self, shot: int) -> tuple[int, int]:
        """The tokens start:stop of a shot, captions included; `ValueError` where it has none."""
        first, last = self.chunk_span(shot)
        return int(self.offsets[first]), int(self.offsets[last])

    def video_tokens(self, shot: int) -> int:
        """How many of a shot's tokens are video."""
        return int(self.lengths[self.is_video & (self.shot == shot)].sum())


def by_length(
    shot_tokens: Sequence[int],
    length: int,
    *,
    captions: Sequence[int] | None = None,
    global_caption: int | None = None,
) -> ChunkLayout:
    """Cuts each shot of `shot_tokens` tokens into chunks of `length`; the last of a shot may be shorter.

    `captions` gives the tokens of each shot's caption, which precedes its video, and `global_caption`
    those of the caption before all shots; None where captions are not in the sequence.
    """
    if length < 1:
        raise ValueError(f"length: must be 1 or more, got {length}")
    video = [_cut(tokens, length) for tokens in _positive("shot_tokens", shot_tokens)]
    return _story(video, captions, global_caption)


def by_frame(
    shot_frames: Sequence[int],
    frame_tokens: int,
    *,
    captions: Sequence[int] | None = None,
    global_caption: int | None = None,
) -> ChunkLayout:
    """One chunk per latent frame of `frame_tokens` tokens; captions as in `by_length`."""
    if frame_tokens < 1:
        raise ValueError(f"frame_tokens: must be 1 or more, got {frame_tokens}")
    video = [[frame_tokens] * frames for frames in _positive("shot_frames", shot_frames)]
    return _story(video, captions, global_caption)


def by_track(
    shot_frames: Sequence[int],
    slots: int,
    *,
    captions: Sequence[int] | None = None,
    global_caption: int | None = None,
) -> tuple[ChunkLayout, Ints]:
    """One chunk per slot through a shot, and the order that makes tracks contiguous.

    Models lay out a shot frame by frame: token f · slots + s. The layout wants it track by track:
    token s · frames + f. `order` [tokens] sorts a sequence so: `tokens[order]` fits the layout, and
    `np.argsort(order)` brings it back. Captions keep their positions.
    """
    if slots < 1:
        raise ValueError(f"slots: must be 1 or more, got {slots}")
    frames = _positive("shot_frames", shot_frames)
    layout = _story([[count] * slots for count in frames], captions, global_caption)
    order = np.arange(layout.tokens)
    for shot, count in enumerate(frames):
        stop = layout.token_span(shot)[1]
        start = stop - count * slots
        order[start:stop] = order[start:stop].reshape(count, slots).T.reshape(-1)
    return layout, order


def _positive(name: str, counts: Sequence[int]) -> list[int]:
    for shot, count in enumerate(counts):
        if count < 1:
            raise ValueError(f"{name}: shot {shot} must have 1 or more, got {count}")
    return [int(count) for count in counts]


def _cut(tokens: int, length: int) -> list[int]:
    whole, rest = divmod(tokens, length)
    return [length] * whole + [rest] * (rest > 0)


def _story(
    video: Sequence[Sequence[int]], captions: Sequence[int] | None, global_caption: int | None
) -> ChunkLayout:
    """The layout of shots whose video chunks have the given lengths, each after its caption."""
    if captions is not None and len(captions) != len(video):
        raise ValueError(f"captions: {len(video)} shots need as many captions, got {len(captions)}")
    chunks: list[tuple[int, int, int]] = []  # length, shot, kind
    if global_caption is not None:
        chunks.append((global_caption, GLOBAL_SHOT, CAPTION))
    for shot, lengths in enumerate(video):
        if captions is not None:
            chunks.append((captions[shot], shot, CAPTION))
        chunks.extend((length, shot, VIDEO) for length in lengths)
    table = np.array(chunks, dtype=np.int64).reshape(-1, 3)
    return ChunkLayout(np.concatenate(([0], np.cumsum(table[:, 0]))), table[:, 1], table[:, 2])
