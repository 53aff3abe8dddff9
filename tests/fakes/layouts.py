"""Stories to test with: ragged chunks, with and without captions, some of them empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moc_engine.ops.layout import CAPTION, GLOBAL_SHOT, VIDEO, ChunkLayout


def story(
    shots: Sequence[Sequence[int]],
    captions: Sequence[int] | None = None,
    global_caption: int | None = None,
) -> ChunkLayout:
    """A layout from the lengths of each shot's video chunks."""
    chunks = [] if global_caption is None else [(global_caption, GLOBAL_SHOT, CAPTION)]
    for shot, lengths in enumerate(shots):
        if captions is not None:
            chunks.append((captions[shot], shot, CAPTION))
        chunks += [(length, shot, VIDEO) for length in lengths]
    lengths, shot_of_chunk, kind = (list(column) for column in zip(*chunks, strict=True))
    return ChunkLayout(np.cumsum([0, *lengths]), shot_of_chunk, kind)
