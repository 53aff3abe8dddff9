"""Renders side by side see what they would see one by one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.domain.project import Lane, Project
from studio.domain.render_graph import Render, RenderGraph, banned_whole, needed_renders
from studio.domain.settings import Context, Settings
from studio.jobs.order import RenderOrder
from tests.fakes.projects import project

CAPTIONS = ("one", "two", "three", "four", "five")
SHOTS = "abcde"


def order(shot: str, lane: Lane = "final", **fields: object) -> RenderOrder:
    return RenderOrder(shot=shot, reason="", seconds=1.0, lane=lane, **fields)  # type: ignore[arg-type]


def steered(
    start: Project, shot: str, *, bans: Sequence[str] = (), pins: Sequence[str] = (), **fields: object
) -> Project:
    index = start.index_of(shot)
    assert index is not None
    changed = replace(start.board.shots[index], bans=tuple(bans), pins=tuple(pins), **fields)  # type: ignore[arg-type]
    return start.with_shots(tuple(changed if s.id == shot else s for s in start.board.shots))


def before(start: Project, orders: Sequence[RenderOrder]) -> list[set[int]]:
    return [set(needed) for needed in RenderGraph(start, orders).before]


@st.composite
def films(draw: st.DrawFn) -> tuple[Project, list[RenderOrder]]:
    """A film with steering, first frames, drafts and takes, and renders of it in any order."""
    film = project(*CAPTIONS, settings=Settings(model="one", draft_model="two", guide_strength=0.5))
    for index, shot in enumerate(SHOTS):
        earlier = SHOTS[:index]
        bans = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        pins = [f"{name}/Mira" for name in bans if draw(st.integers(0, 3)) == 0]
        frame = draw(st.sampled_from((None, None, None, "previous", *(f"shot:{name}" for name in earlier))))
        film = steered(film, shot, bans=bans, pins=pins, first_frame=frame, skip=draw(st.integers(0, 5)) == 0)
    for lane in ("final", "draft"):
        for shot in draw(st.sets(st.sampled_from(SHOTS))):
            film = film.in_lane(lane).choosing(shot, f"old-{lane}-{shot}").in_lane("final")
    kinds = st.sampled_from(({}, {}, {}, {"seed": 5, "keep_context": True}, {"seed": 5}))
    orders = draw(
        st.lists(
            st.builds(
                lambda shot, lane, kind: order(shot, lane, **kind),
                st.sampled_from(SHOTS),
                st.sampled_from(("final", "draft")),
                kinds,
            ),
            max_size=9,
        )
    )
    return film, orders


class Side:
    """Carries out renders, and notes which takes each of them saw."""

    def __init__(self, film: Project, orders: Sequence[RenderOrder]) -> None:
        self.film, self.orders = film, orders
        self.chosen: dict[Render, str] = {
            (shot, lane): take
            for lane in ("final", "draft")
            for shot, take in film.in_lane(lane).current.items()
        }
        self.saw: dict[int, object] = {}

    def begin(self, number: int) -> None:
        render = self.orders[number]
        index = self.film.index_of(render.shot)
        assert index is not None
        if render.keep_context and (render.shot, render.lane) in self.chosen:
            self.saw[number] = "the context of its take"
            return
        shot = self.film.board.shots[index]
        seen = [
            (other.id, render.lane)
            for other in self.film.board.shots[:index]
            if not other.skip and not shot.skip and other.id not in banned_whole(shot)
        ]
        self.saw[number] = [
            (other, self.chosen.get(other)) for other in (*seen, *needed_renders(self.film, render))
        ]

    def end(self, number: int) -> None:
        render = self.orders[number]
        self.chosen[render.shot, render.lane] = f"take {number}"


@given(film=films(), seed=st.integers(0, 99), workers=st.integers(2, 4))
@settings(max_examples=200)
def test_renders_side_by_side_see_what_they_see_one_by_one(
    film: tuple[Project, list[RenderOrder]], seed: int, workers: int
) -> None:
    graph, by_one, by_several = RenderGraph(*film), Side(*film), Side(*film)
    for number in graph.one_by_one:
        by_one.begin(number)
        by_one.end(number)
    rng, waiting, running = random.Random(seed), set(range(len(film[1]))), list[int]()
    ended: set[int] = set()
    while waiting or running:
        ready = sorted(number for number in waiting if graph.before[number] <= ended)
        if ready and len(running) < workers and (not running or rng.random() < 0.7):
            number = rng.choice(ready)
            waiting.remove(number)
            running.append(number)
            by_several.begin(number)
        else:
            number = running.pop(rng.randrange(len(running)))
            by_several.end(number)
            ended.add(number)
    assert by_several.saw == by_one.saw
    assert by_several.chosen == by_one.chosen


@given(film=films())
@settings(max_examples=50)
def test_a_render_is_ready_where_nothing_is_before_it(film: tuple[Project, list[RenderOrder]]) -> None:
    graph = RenderGraph(*film)
    assert [graph.is_ready(n) for n in range(len(film[1]))] == [not found for found in graph.before]
    assert sorted(graph.one_by_one) == list(range(len(film[1])))


def test_every_shot_waits_for_the_ones_before_it() -> None:
    film = project(*CAPTIONS[:3])
    assert before(film, [order("a"), order("b"), order("c")]) == [set(), {0}, {0, 1}]


def test_a_shot_that_is_skipped_or_banned_is_not_waited_for() -> None:
    film = steered(project(*CAPTIONS[:3]), "c", bans=("a",))
    orders = [order("a"), order("b"), order("c")]
    assert before(film, orders) == [set(), {0}, {1}]
    assert RenderGraph(film, orders).foretold(2) == ("a",)
    assert before(steered(film, "c", bans=("a",), pins=("a/Mira",)), orders)[2] == {0, 1}
    assert before(steered(film, "b", skip=True), orders)[2] == set()


def test_a_banned_shot_is_waited_for_where_nobody_can_say_what_its_take_will_be_called() -> None:
    film = steered(project(*CAPTIONS[:2]), "b", bans=("a",))
    assert before(film, [order("a", seed=5), order("b")]) == [set(), {0}]
    assert before(film, [order("a"), order("b")]) == [set(), set()]


def test_a_first_frame_is_waited_for_whatever_the_order_and_the_bans() -> None:
    film = steered(project(*CAPTIONS[:3]), "c", bans=("a",), first_frame="shot:a")
    assert before(film, [order("c"), order("b"), order("a")]) == [{1, 2}, set(), {1}]


def test_variations_run_side_by_side_and_two_takes_that_replace_each_other_do_not() -> None:
    film = project(*CAPTIONS[:2])
    variations = [order("b", seed=seed, keep_context=True, replace=False) for seed in (1, 2, 3)]
    assert before(film, variations) == [set(), set(), set()]
    assert before(film, [order("b"), order("b", seed=1)]) == [set(), {0}]


def test_lanes_do_not_wait_for_each_other_but_a_final_for_its_own_draft() -> None:
    film = project(*CAPTIONS[:2], settings=Settings(model="one", draft_model="two"))
    orders = [order("a", "draft"), order("a"), order("b")]
    assert before(film, orders) == [set(), set(), {1}]
    assert before(steered(film, "b", guide_strength=0.5), [order("b", "draft"), order("b")]) == [set(), {0}]


@pytest.mark.parametrize(("context", "waits"), [("all", {0, 1, 2}), ("finished", {1})])
def test_with_finished_context_only_pinned_shots_are_waited_for(context: Context, waits: set[int]) -> None:
    film = project(*CAPTIONS[:4], settings=Settings(context=context))
    film = steered(film, "d", pins=("b",))
    assert before(film, [order(shot) for shot in "abcd"])[3] == waits
