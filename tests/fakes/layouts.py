"""Stories to test with: ragged chunks, with and without captions, some of them empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

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


@st.composite
def stories(draw: st.DrawFn, *, lengths: Sequence[int] = (1, 2, 3, 5, 8), most_shots: int = 5) -> ChunkLayout:
    """Layouts of 1 to `most_shots` shots of 1 to 4 ragged chunks."""
    shots = draw(
        st.lists(st.lists(st.sampled_from(lengths), min_size=1, max_size=4), min_size=1, max_size=most_shots)
    )
    caption = st.integers(0, 3)
    captions = draw(st.none() | st.lists(caption, min_size=len(shots), max_size=len(shots)))
    return story(shots, captions, draw(st.none() | caption))
