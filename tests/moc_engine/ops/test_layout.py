from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.ops.layout import CAPTION, VIDEO, ChunkLayout, by_frame, by_length, by_track
from tests.fakes.drawn_layouts import stories
from tests.fakes.layouts import story

counts = st.lists(st.integers(1, 7), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("argument", "offsets", "shot", "kind"),
    [
        ("offsets", [1, 2], [0], [1]),
        ("offsets", [], [], []),
        ("offsets", [[0, 1]], [0], [1]),
        ("offsets", [0.0, 1.5], [0], [1]),
        ("offsets", [0, 3, 2], [0, 0], [1, 1]),
        ("offsets", [0, 2, 2], [0, 0], [1, 1]),
        ("shot", [0, 2, 4], [0], [1, 1]),
        ("shot", [0, 2, 4], [1, 0], [1, 1]),
        ("shot", [0, 1, 2, 3], [0, 1, 0], [1, 1, 1]),
        ("shot", [0, 2], [-2], [0]),
        ("kind", [0, 2, 4], [0, 1], [1]),
        ("kind", [0, 2], [0], [2]),
        ("kind", [0, 2], [-1], [1]),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(
    argument: str, offsets: object, shot: object, kind: object
) -> None:
    with pytest.raises(ValueError, match=f"^{argument}: "):
        ChunkLayout(offsets, shot, kind)  # type: ignore[arg-type]


def test_an_empty_caption_is_a_chunk_without_tokens() -> None:
    layout = ChunkLayout([0, 0, 2], [0, 0], [CAPTION, VIDEO])
    assert layout.lengths.tolist() == [0, 2]
    assert layout.token_chunk.tolist() == [1, 1]


def test_a_layout_does_not_change_with_what_it_was_made_of() -> None:
    offsets = np.array([0, 2, 4])
    layout = ChunkLayout(offsets, [0, 1], [1, 1])
    offsets[1] = 3
    assert layout.offsets.tolist() == [0, 2, 4]
    with pytest.raises(ValueError, match="read-only"):
        layout.offsets[1] = 3


def test_layouts_are_equal_by_value() -> None:
    one, same, other = story([[2, 3]]), story([[2, 3]]), story([[3, 2]])
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "a layout"


def test_shot_numbers_may_have_gaps() -> None:
    layout = ChunkLayout([0, 1, 3], [2, 7], [1, 1])
    assert layout.shots == (2, 7)
    assert layout.token_span(7) == (1, 3)
    with pytest.raises(ValueError, match="no shot 3"):
        layout.chunk_span(3)


@given(stories())
def test_every_token_lies_in_one_chunk_and_every_chunk_in_one_shot(layout: ChunkLayout) -> None:
    assert len(layout.token_chunk) == layout.tokens == layout.lengths.sum()
    for chunk in range(layout.chunks):
        inside = np.flatnonzero(layout.token_chunk == chunk)
        assert inside.tolist() == list(range(layout.offsets[chunk], layout.offsets[chunk + 1]))
        assert (layout.token_shot[inside] == layout.shot[chunk]).all()


@given(stories())
def test_the_spans_of_shots_tile_the_story(layout: ChunkLayout) -> None:
    spans = [layout.token_span(shot) for shot in layout.shots]
    assert spans[0][0] == 0
    assert spans[-1][1] == layout.tokens
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    for shot, (start, stop) in zip(layout.shots, spans, strict=True):
        assert (layout.token_shot[start:stop] == shot).all()
        assert 0 <= layout.video_tokens(shot) <= stop - start


@given(counts, st.integers(1, 5))
def test_by_length_cuts_shots_with_a_ragged_last_chunk(shots: list[int], length: int) -> None:
    layout = by_length(shots, length)
    assert layout.lengths.max() <= length
    for shot, tokens in enumerate(shots):
        first, last = layout.chunk_span(shot)
        assert layout.lengths[first:last].sum() == tokens
        assert (layout.lengths[first : last - 1] == length).all()


@given(counts, st.integers(1, 4))
def test_by_frame_gives_each_frame_a_chunk(frames: list[int], tokens: int) -> None:
    layout = by_frame(frames, tokens, captions=[2] * len(frames), global_caption=3)
    video = layout.is_video
    assert (layout.lengths[video] == tokens).all()
    assert np.bincount(layout.shot[video]).tolist() == frames
    assert layout.shots[0] == -1


@given(counts, st.integers(1, 4), st.booleans())
def test_by_track_gathers_each_slot_through_its_shot(frames: list[int], slots: int, captions: bool) -> None:
    lengths = [shot % 3 for shot in range(len(frames))] if captions else None
    layout, order = by_track(frames, slots, captions=lengths)
    assert sorted(order.tolist()) == list(range(layout.tokens))
    slot_of_token = np.full(layout.tokens, -1)
    for shot, count in enumerate(frames):
        stop = layout.token_span(shot)[1]
        slot_of_token[stop - count * slots : stop] = np.tile(np.arange(slots), count)
    for chunk in range(layout.chunks):
        tokens = order[layout.offsets[chunk] : layout.offsets[chunk + 1]]
        if not layout.is_video[chunk]:
            assert tokens.tolist() == list(range(layout.offsets[chunk], layout.offsets[chunk + 1]))
            continue
        assert len(set(slot_of_token[tokens].tolist())) == 1
        assert (np.diff(tokens) == slots).all()
        assert (layout.token_shot[tokens] == layout.shot[chunk]).all()


def test_builders_name_the_argument_that_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"^length: "):
        by_length([3], 0)
    with pytest.raises(ValueError, match=r"^shot_tokens: shot 1 "):
        by_length([3, 0], 2)
    with pytest.raises(ValueError, match=r"^frame_tokens: "):
        by_frame([3], 0)
    with pytest.raises(ValueError, match=r"^slots: "):
        by_track([3], 0)
    with pytest.raises(ValueError, match=r"^captions: "):
        by_length([3, 3], 2, captions=[1])
