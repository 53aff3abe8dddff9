"""The parts of a shot's picture: which object or token is at a position in it, and what each drew from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moc_engine.trace.record import EMPTY, RoutingTrace

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the picture at one moment.

    `query` is its chunk, `row` its row in the trace's token map, `box` left, top, right and bottom as
    shares of the picture.
    """

    name: str
    query: int
    row: int
    box: Box


def parts_at(trace: RoutingTrace, seconds: float) -> tuple[Part, ...]:
    """The objects that can be pointed at in a moment of the shot, the largest first; none where the model's
    tokens are a grid over the picture.
    """
    if trace.boxes is None or not trace.moments:
        return ()
    frame = _frame_at(trace, seconds)
    found = []
    for query, chunk in enumerate(trace.query):
        left, top, right, bottom = trace.boxes[frame, query].tolist()
        if right > left and bottom > top and not chunk.name.endswith(EMPTY):
            row = trace.token_row(query, _token_at(chunk.frames, chunk.tokens, frame))
            found.append(Part(name=chunk.name, query=query, row=row, box=(left, top, right, bottom)))
    return tuple(sorted(found, key=lambda part: -_area(part.box)))


def part_at(trace: RoutingTrace, seconds: float, x: float, y: float) -> Part | None:
    """What is at a point of the picture, shares of its width and height: the smallest object there, or the
    token of the grid; None where positions are not known.
    """
    if trace.grid is not None:
        return _token_part(trace, seconds, x, y)
    there = [
        part
        for part in parts_at(trace, seconds)
        if part.box[0] <= x <= part.box[2] and part.box[1] <= y <= part.box[3]
    ]
    return there[-1] if there else None


def heat(trace: RoutingTrace, seconds: float, columns: tuple[int, ...]) -> NDArray[np.float64]:
    """(rows, columns of the grid): the share of each token of a moment's frame that went to some columns of
    the trace. Raises `ValueError` where tokens are no grid.
    """
    if trace.grid is None:
        raise ValueError("the tokens of this take are objects, not a grid over the picture")
    height, width = trace.grid
    token_map = trace.token_map()[:, list(columns)].sum(axis=1)
    shares = [
        token_map[_grid_row(trace, seconds, row, column)] for row in range(height) for column in range(width)
    ]
    return np.array(shares).reshape(height, width)


def box_of(trace: RoutingTrace, name: str, frame: int) -> Box | None:
    """Where the part of this name is at a latent frame."""
    if trace.boxes is None or not 0 <= frame < len(trace.moments):
        return None
    for query, chunk in enumerate(trace.query):
        left, top, right, bottom = trace.boxes[frame, query].tolist()
        if chunk.name == name and right > left:
            return left, top, right, bottom
    return None


def _token_part(trace: RoutingTrace, seconds: float, x: float, y: float) -> Part:
    assert trace.grid is not None
    height, width = trace.grid
    row, column = (min(side - 1, max(0, int(at * side))) for at, side in ((y, height), (x, width)))
    line = _grid_row(trace, seconds, row, column)
    query = trace.token_runs()[line][0]
    box = (column / width, row / height, (column + 1) / width, (row + 1) / height)
    return Part(name=trace.query[query].name, query=query, row=line, box=box)


def _grid_row(trace: RoutingTrace, seconds: float, row: int, column: int) -> int:
    """The row of the token map for a grid position; a chunk is a frame, or one position in all frames."""
    assert trace.grid is not None
    width = trace.grid[1]
    frame = _frame_at(trace, seconds)
    position = row * width + column
    spans = [chunk.frames for chunk in trace.query]
    if len(set(spans)) == len(spans):
        query = next((q for q, (first, stop) in enumerate(spans) if first <= frame < stop), len(spans) - 1)
        return trace.token_row(query, position)
    return trace.token_row(position, _token_at(spans[position], trace.query[position].tokens, frame))


def _frame_at(trace: RoutingTrace, seconds: float) -> int:
    """The latent frame that stands nearest to a moment."""
    return int(np.abs(np.array(trace.moments or (0.0,)) - seconds).argmin())


def _token_at(frames: tuple[int, int], tokens: int, frame: int) -> int:
    """Which token of a chunk through `frames` covers a latent frame."""
    first, stop = frames
    return min(tokens - 1, max(0, (frame - first) * tokens // max(1, stop - first)))


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
