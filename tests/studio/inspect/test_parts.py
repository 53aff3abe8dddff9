"""From a point of the picture to the part that is there, and to its row of the token map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moc_engine.trace.record import EMPTY, ContextChunk, QueryChunk, RoutingTrace
from studio.inspect.parts import box_of, heat, part_at, parts_at
from tests.fakes.traces import OWN, made, seen

MOMENTS = tuple((frame + 0.5) / 6 for frame in range(6))


def objects(**changes: Any) -> RoutingTrace:
    """A set, Mira who walks from left to right, a ball in her hand from the second half on, an empty place;
    two tokens each, so that a token covers three latent frames.
    """
    boxes = np.zeros((6, 4, 4))
    boxes[:, 0] = (0.0, 0.0, 1.0, 1.0)
    for frame in range(6):
        boxes[frame, 1] = (0.1 * frame, 0.2, 0.1 * frame + 0.3, 0.9)
    boxes[3:, 2] = (0.4, 0.5, 0.5, 0.6)
    names = ("meadow", "Mira", "ball", "prop 2" + EMPTY)
    table = np.full((1, 1, 1, 4, 2), 0.5)
    told: dict[str, Any] = {
        "query": [QueryChunk(name=name, frames=(0, 6), tokens=2) for name in names],
        "context": [OWN, seen("Mira", 0)],
        "moments": MOMENTS,
        "boxes": boxes,
    }
    return made(table, **{**told, **changes})


def test_parts_of_a_moment_are_the_largest_first() -> None:
    trace = objects()
    assert [(part.name, part.query, part.row) for part in parts_at(trace, 0.0)] == [
        ("meadow", 0, 0),
        ("Mira", 1, 2),
    ]
    late = parts_at(trace, 0.9)
    assert [(part.name, part.query, part.row) for part in late] == [
        ("meadow", 0, 1),
        ("Mira", 1, 3),
        ("ball", 2, 5),
    ]
    assert late[1].box == pytest.approx((0.5, 0.2, 0.8, 0.9))
    assert parts_at(trace, 99.0) == parts_at(trace, 5.5 / 6)


@pytest.mark.parametrize(
    ("seconds", "x", "y", "name"),
    [
        (0.0, 0.15, 0.5, "Mira"),
        (0.0, 0.5, 0.5, "meadow"),
        (0.0, 0.45, 0.55, "meadow"),  # the ball is not there yet
        (0.6, 0.45, 0.55, "ball"),  # before Mira
        (0.6, 0.45, 0.85, "Mira"),
        (0.9, 0.15, 0.5, "meadow"),  # she has gone
    ],
)
def test_a_point_shows_the_smallest_part_there(seconds: float, x: float, y: float, name: str) -> None:
    part = part_at(objects(), seconds, x, y)
    assert part is not None
    assert part.name == name


def test_where_nothing_is_known_of_places_nothing_is_told() -> None:
    for trace in (objects(moments=(), boxes=None), objects(boxes=np.zeros((6, 4, 4)))):
        assert parts_at(trace, 0.0) == ()
        assert part_at(trace, 0.0, 0.5, 0.5) is None


def test_a_part_is_found_by_name_and_frame() -> None:
    trace = objects()
    assert box_of(trace, "Mira", 2) == pytest.approx((0.2, 0.2, 0.5, 0.9))
    assert box_of(trace, "ball", 4) is not None
    for name, frame in (("ball", 1), ("Otto", 1), ("Mira", 6), ("Mira", -1)):
        assert box_of(trace, name, frame) is None


def grid(chunking: str) -> RoutingTrace:
    """Two latent frames of 2 × 3 tokens; the n-th token in the model's order gave n / 100 to the history."""
    context = [ContextChunk(kind="own", name="own shot", shot=1, frames=(0, 2)), seen("frame 1", 0)]
    if chunking == "frame":
        query = [QueryChunk(name=f"frame {f + 1}", frames=(f, f + 1), tokens=6) for f in range(2)]
        order = list(range(12))
    else:
        query = [QueryChunk(name=f"place {p}", frames=(0, 2), tokens=2) for p in range(6)]
        order = [frame * 6 + place for place in range(6) for frame in range(2)]
    past = np.array(order) / 100
    return made(
        np.full((1, 1, 1, len(query), 2), 0.5),
        query=query,
        context=context,
        moments=(0.0, 1.0),
        grid=(2, 3),
        token_table=np.round(np.stack((1 - past, past), axis=1) * 65535).astype(np.uint16),
    )


@pytest.mark.parametrize("chunking", ["frame", "place"])
def test_tokens_of_a_grid_are_found_by_place_and_moment(chunking: str) -> None:
    trace = grid(chunking)
    for frame in range(2):
        for row in range(2):
            for column in range(3):
                x, y = (column + 0.5) / 3, (row + 0.5) / 2
                part = part_at(trace, float(frame), x, y)
                assert part is not None
                assert part.box == pytest.approx((column / 3, row / 2, (column + 1) / 3, (row + 1) / 2))
                token = frame * 6 + row * 3 + column
                assert trace.token_map()[part.row, 1] == pytest.approx(token / 100, abs=1e-4)
                name = f"frame {frame + 1}" if chunking == "frame" else f"place {row * 3 + column}"
                assert (part.name, trace.query[part.query].name) == (name, name)
    assert parts_at(trace, 0.0) == ()
    for corner in (1.0, 1.5):
        edge = part_at(trace, 1.0, corner, corner)
        assert edge is not None
        assert edge.box[2:] == (1.0, 1.0)


@pytest.mark.parametrize("chunking", ["frame", "place"])
def test_heat_is_what_each_token_of_a_frame_drew(chunking: str) -> None:
    trace = grid(chunking)
    expected = np.array([[6, 7, 8], [9, 10, 11]]) / 100
    assert heat(trace, 1.0, (1,)) == pytest.approx(expected, abs=1e-4)
    assert heat(trace, 0.0, (0, 1)) == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(ValueError, match="objects"):
        heat(objects(), 0.0, (1,))
