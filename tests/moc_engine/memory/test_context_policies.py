"""Context policies: frames of the takes before a shot, within a budget."""

from __future__ import annotations

from itertools import product

import pytest

from moc_engine.evaluation.generation.methods import CONTEXTS
from moc_engine.memory.context_policies import CONTEXT_POLICIES, ContextTake, first_and_last, of_named_cast


def _take(*cast: int, frames: int = 6, keyframes: tuple[int, ...] = (0, 3, 5)) -> ContextTake:
    return ContextTake(frames=frames, keyframes=keyframes, cast=frozenset(cast))


STORY = [_take(1, 2), _take(2), _take(3), _take(1, 2, 3), _take()]


def test_the_policies_are_those_that_evaluations_name() -> None:
    assert tuple(CONTEXT_POLICIES) == CONTEXTS
    assert all(policy.name == name and policy.source for name, policy in CONTEXT_POLICIES.items())


def test_three_first_and_five_last_keyframes_are_kept() -> None:
    kept = first_and_last(STORY, frozenset(), 100)
    assert kept == [(0, 0), (0, 3), (0, 5), (3, 3), (3, 5), (4, 0), (4, 3), (4, 5)]


@pytest.mark.parametrize(("most", "first", "last"), [(0, 0, 0), (1, 0, 1), (2, 1, 1), (4, 2, 2), (7, 3, 4)])
def test_a_smaller_budget_keeps_the_proportion(most: int, first: int, last: int) -> None:
    story = [(nth, frame) for nth in range(5) for frame in (0, 3, 5)]
    assert first_and_last(STORY, frozenset(), most) == story[:first] + story[len(story) - last :]


def test_a_story_of_few_keyframes_is_kept_whole() -> None:
    assert first_and_last(STORY[:2], frozenset(), 8) == [(0, 0), (0, 3), (0, 5), (1, 0), (1, 3), (1, 5)]


def test_takes_with_the_same_cast_are_found_the_largest_overlap_first() -> None:
    assert of_named_cast(STORY, frozenset((1, 2)), 1) == [(3, 5)]
    assert of_named_cast(STORY, frozenset((1, 2)), 2) == [(0, 5), (3, 5)]
    assert of_named_cast(STORY, frozenset((1, 2)), 4) == [(0, 5), (1, 5), (3, 0), (3, 5)]
    assert of_named_cast(STORY, frozenset((9,)), 4) == []


@pytest.mark.parametrize(
    ("name", "most", "cast"), list(product(CONTEXT_POLICIES, range(0, 20, 3), [(), (1,), (1, 2, 3)]))
)
def test_the_budget_is_kept_by_frames_of_takes(name: str, most: int, cast: tuple[int, ...]) -> None:
    kept = CONTEXT_POLICIES[name].keep(STORY, frozenset(cast), most)
    assert len(set(kept)) == len(kept) <= most
    assert kept == sorted(kept)
    assert all(0 <= nth < len(STORY) and 0 <= frame < STORY[nth].frames for nth, frame in kept)
    assert kept == CONTEXT_POLICIES[name].keep(STORY, frozenset(cast), most)
