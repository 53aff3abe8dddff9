"""Shots × shots from what takes record: what was seen, what stayed, what went to takes no longer shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from studio.domain.finished_take import FinishedTake
from studio.domain.project import Project
from studio.inspect.story import story_of
from studio.store.takes import StoredTake
from tests.fakes.projects import project, rendered


def stored(takes: dict[str, FinishedTake]) -> dict[str, StoredTake]:
    """As they lie in the database: what did not go to links stayed in the shot."""
    files: dict[str, Any] = {"clip": "c", "latents": "l", "trace": "t", "thumbnail": "p"}
    return {
        name: StoredTake(
            **vars(take),
            **files,
            backend="fake",
            timings={},
            own_share=1.0 - sum(take.links.values()),
            created=0.0,
        )
        for name, take in takes.items()
    }


def shares(of: Project, takes: dict[str, FinishedTake]) -> list[tuple[float | None, ...]]:
    return [row.shares for row in story_of(of, stored(takes))]


def test_each_row_has_a_share_for_every_shot_it_could_see() -> None:
    three, takes = rendered(project("a", "b", "c"))
    rows = story_of(three, stored(takes))
    assert [row.shares for row in rows] == [(None, None, None), (0.6, None, None), (0.3, 0.3, None)]
    assert [row.own for row in rows] == pytest.approx([1.0, 0.4, 0.4])
    assert [(row.index, row.caption, row.elsewhere) for row in rows] == [
        (0, "a", 0),
        (1, "b", 0),
        (2, "c", 0),
    ]
    assert [row.take for row in rows] == [three.chosen[shot] for shot in "abc"]


def test_nothing_is_lost_where_takes_are_replaced_moved_or_skipped() -> None:
    three, takes = rendered(project("a", "b", "c"))
    a, b, c = three.board.shots
    moved = replace(three, board=replace(three.board, shots=(b, a, c)))
    assert shares(moved, takes)[0] == (None, 0.6, None)
    skipped = replace(three, board=replace(three.board, shots=(replace(a, skip=True), b, c)))
    rows = story_of(skipped, stored(takes))
    assert rows[2].shares == (None, 0.3, None)
    assert rows[2].elsewhere == pytest.approx(0.3)
    anew = replace(three, board=replace(three.board, shots=(replace(a, seed=5), b, c)))
    anew, more = rendered(anew, takes, only="a")
    rows = story_of(anew, stored(more))
    assert rows[0].take != three.chosen["a"]
    assert rows[1].shares == (None, None, None)
    assert rows[1].elsewhere == pytest.approx(0.6)
    for row in rows:
        assert sum(share or 0 for share in row.shares) + (row.own or 0) + row.elsewhere == pytest.approx(1)


def test_a_shot_without_a_take_says_nothing() -> None:
    two = project("a", "b")
    assert [(row.take, row.own, row.shares) for row in story_of(two, {})] == [(None, None, (None, None))] * 2
    first, takes = rendered(two, only="a")
    gone = replace(first, discarded=frozenset(takes))
    assert story_of(gone, stored(takes))[0].take is None


def test_a_take_shown_twice_counts_for_the_first_that_shows_it() -> None:
    three, takes = rendered(project("a", "b", "c"))
    first = three.chosen["a"]
    twice = three.choosing("b", first)
    assert shares(twice, takes)[2] == (0.3, None, None)
