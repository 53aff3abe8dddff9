"""Which renders of a film wait for which: the rest can be done side by side, with the same result.

One worker takes renders in the order of the queue, but those first whose takes another one is made from (a
first frame, the draft of a final). Several workers keep this order only between renders of which one sees
the take of the other:

    the later one has the earlier one's take as context, first frame or draft     it waits for that
    the later one replaces a take that the earlier one is to see                  it waits for that
    both make the chosen take of one shot                                         the second waits

A shot that bans another one whole sees nothing of it. It only needs to know how long that is, and what its
take will be called, which follows from the storyboard. With `context: finished` a shot waits only for those
that it pins or is made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from studio.domain.project import Lane, Project
from studio.domain.storyboard import Shot, draft_use, first_frame_source, target

Render = tuple[str, Lane]
"""A render by its shot and lane."""


class Ordered(Protocol):
    """A render that is ordered (`studio.jobs.order.RenderOrder`)."""

    @property
    def shot(self) -> str: ...
    @property
    def lane(self) -> Lane: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def keep_context(self) -> bool: ...
    @property
    def replace(self) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class _Node:
    """A render with what it is compared by. `index` is that of its shot, None for one that is not shown.
    `foretold`: what its take will be called follows from the storyboard; `chooses`: its take will be chosen,
    as that of a variation is where a shot has none. `pins` and `bans` are shots; `bans` are those of which it
    sees nothing. `finished`: it sees of the others only those that are finished.
    """

    shot: str
    index: int | None
    lane: Lane
    foretold: bool
    replace: bool
    chooses: bool
    keeps_context: bool
    needs: frozenset[Render]
    pins: frozenset[str]
    bans: frozenset[str]
    finished: bool

    def waits_for(self, earlier: _Node) -> bool:
        """Whether it waits for one that one worker does before it."""
        if self.shot == earlier.shot and self.lane == earlier.lane:
            return self.chooses and earlier.chooses and (self.replace or earlier.replace)
        if earlier.chooses and self._sees(earlier):
            return True
        return self.chooses and earlier._sees(self)

    def _sees(self, other: _Node) -> bool:
        """Whether it is made from the take of the other one."""
        if self.keeps_context:
            return False
        if (other.shot, other.lane) in self.needs:
            return True
        if self.finished and other.shot not in self.pins:
            return False
        return self._is_after(other) and not self.foretells(other)

    def has_in_context(self, other: _Node) -> bool:
        """Whether it sees the other one's take once that is finished."""
        return other.chooses and self._is_after(other) and other.shot not in self.bans

    def foretells(self, other: _Node) -> bool:
        """Whether it bans the take of the other one, and knows what that will be called."""
        banned = other.foretold and other.shot in self.bans and not self.finished
        return banned and self._is_after(other)

    def _is_after(self, other: _Node) -> bool:
        """Whether the other one's shot comes earlier in the same lane of the film."""
        if other.lane != self.lane or self.index is None or other.index is None:
            return False
        return other.index < self.index


class RenderGraph:
    """The renders of one project, by their numbers in `renders`, which has the order of the queue."""

    def __init__(self, project: Project, renders: Sequence[Ordered]) -> None:
        shown = {
            shot.id: index for index, shot in enumerate(project.board.shots) if shot.caption and not shot.skip
        }
        self._nodes = [_node(project, render, shown) for render in renders]

    @cached_property
    def one_by_one(self) -> tuple[int, ...]:
        """The order in which one worker does them."""
        coming = Counter((node.shot, node.lane) for node in self._nodes if node.chooses)
        left = list(range(len(self._nodes)))
        done: list[int] = []
        while left:
            nth = next((n for n, number in enumerate(left) if not self._needs_any(number, coming)), 0)
            number = left.pop(nth)
            done.append(number)
            node = self._nodes[number]
            if node.chooses:
                coming[node.shot, node.lane] -= 1
        return tuple(done)

    @cached_property
    def before(self) -> tuple[frozenset[int], ...]:
        """For each render, those that must have ended when it begins."""
        return tuple(frozenset(self.waits_for(number)) for number in range(len(self._nodes)))

    def is_ready(self, number: int) -> bool:
        """Whether a render waits for no other."""
        return next(self.waits_for(number), None) is None

    def waits_for(self, number: int) -> Iterator[int]:
        """The renders that must have ended when one begins."""
        node = self._nodes[number]
        for other in self.one_by_one:
            if other == number:
                return
            if node.waits_for(self._nodes[other]):
                yield other

    @cached_property
    def seen_one_by_one(self) -> tuple[tuple[int, int], ...]:
        """The renders, with others whose takes they have in their context if one worker does them all."""
        pairs: list[tuple[int, int]] = []
        for nth, number in enumerate(self.one_by_one):
            node = self._nodes[number]
            others = () if node.keeps_context else self.one_by_one[:nth]
            pairs += ((number, other) for other in others if node.has_in_context(self._nodes[other]))
        return tuple(pairs)

    def foretold(self, number: int) -> tuple[str, ...]:
        """The shots of which a render knows the coming take by name only: it bans them and does not wait."""
        node = self._nodes[number]
        shots: list[str] = []
        for other in self.one_by_one:
            if other == number:
                break
            earlier = self._nodes[other]
            if earlier.chooses and node.foretells(earlier) and not node.keeps_context:
                shots.append(earlier.shot)
        return tuple(shots)

    def _needs_any(self, number: int, coming: Mapping[Render, int]) -> bool:
        node = self._nodes[number]
        return not node.keeps_context and any(coming.get(needed) for needed in node.needs)


def _node(project: Project, render: Ordered, shown: Mapping[str, int]) -> _Node:
    taken = has_take(project, (render.shot, render.lane))
    index = project.index_of(render.shot)
    shot = None if index is None else project.board.shots[index]
    return _Node(
        shot=render.shot,
        index=shown.get(render.shot),
        lane=render.lane,
        foretold=render.seed is None,
        replace=render.replace,
        chooses=render.replace or not taken,
        keeps_context=render.keep_context and taken,
        needs=frozenset(needed_renders(project, render)),
        pins=frozenset() if shot is None else _pinned(shot),
        bans=frozenset() if shot is None else banned_whole(shot),
        finished=project.settings.context == "finished",
    )


def has_take(project: Project, render: Render) -> bool:
    """Whether a shot has a chosen take in a lane, which is not in the bin."""
    shot, lane = render
    take = project.in_lane(lane).current.get(shot)
    return take is not None and take not in project.discarded


def needed_renders(project: Project, render: Ordered) -> Iterator[Render]:
    """The renders whose takes are a part of what a render shows: a first frame's, and its draft's."""
    index = project.index_of(render.shot)
    if index is None:
        return
    source = first_frame_source(project.board, index)
    if source is not None and source.index is not None:
        yield project.board.shots[source.index].id, render.lane
    if render.lane == "final" and project.has_lanes and draft_use(project.board, index) is not None:
        yield render.shot, "draft"


def has_in_context(project: Project, shot: str, other: str) -> bool:
    """Whether a render of a shot is to see the take of another shot, if that is to be rendered before.

    With `context: finished` only those that it pins.
    """
    index, earlier = project.index_of(shot), project.index_of(other)
    if index is None or earlier is None or earlier >= index:
        return False
    own, source = project.board.shots[index], project.board.shots[earlier]
    if not source.caption or source.skip:
        return False
    if project.settings.context == "finished":
        return other in _pinned(own)
    return other not in banned_whole(own)


def banned_whole(shot: Shot) -> frozenset[str]:
    """The shots that a shot bans whole and pins no part of: it sees nothing of them."""
    return frozenset(shot.bans) - _pinned(shot)


def _pinned(shot: Shot) -> frozenset[str]:
    """The shots that a shot pins, whole or in part."""
    return frozenset(target(name)[0] for name in shot.pins)
