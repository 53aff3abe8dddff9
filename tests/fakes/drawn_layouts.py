"""Stories that Hypothesis draws."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from moc_engine.ops.layout import ChunkLayout
from tests.fakes.layouts import story


@st.composite
def stories(draw: st.DrawFn, *, lengths: Sequence[int] = (1, 2, 3, 5, 8), most_shots: int = 5) -> ChunkLayout:
    """Layouts of 1 to `most_shots` shots of 1 to 4 ragged chunks."""
    shots = draw(
        st.lists(st.lists(st.sampled_from(lengths), min_size=1, max_size=4), min_size=1, max_size=most_shots)
    )
    caption = st.integers(0, 3)
    captions = draw(st.none() | st.lists(caption, min_size=len(shots), max_size=len(shots)))
    return story(shots, captions, draw(st.none() | caption))
