"""A storyboard file edited by hand keeps the takes of the shots it still has."""

from __future__ import annotations

from dataclasses import replace

from studio.domain.edits.replacement import ReplaceStoryboard
from studio.domain.planner import shot_statuses, shots_to_render, with_existing_takes
from studio.domain.project import Project
from studio.domain.storyboard import Shot, Storyboard
from tests.fakes.projects import MODEL, rendered

SHOTS = tuple(Shot(id=f"s{i}", caption=f"Mira waves {i}") for i in range(4))
BOARD = Storyboard(title="A test", shots=SHOTS)
DONE, TAKES = rendered(Project(board=BOARD))
OLD = [DONE.chosen[shot.id] for shot in SHOTS]


def after(*shots: Shot) -> list[str | None]:
    """The take of each shot once the storyboard has these."""
    project = ReplaceStoryboard(board=replace(BOARD, shots=shots)).apply(DONE, TAKES)
    return [project.chosen.get(shot.id) for shot in shots]


def renamed(number: int, caption: str, *, lock: bool = False) -> Shot:
    """A shot with another caption, and so another id, as the reader of files gives it."""
    return replace(SHOTS[number], id=f"new-{number}", caption=caption, lock=lock)


def test_shots_keep_their_takes_wherever_they_are_moved() -> None:
    new = Shot(id="new", caption="a ball")
    assert after(*SHOTS[::-1]) == OLD[::-1]
    assert after(SHOTS[0], new, *SHOTS[1:]) == [OLD[0], None, *OLD[1:]]
    assert after(SHOTS[2]) == [OLD[2]]


def test_an_edited_shot_keeps_its_take_if_the_number_of_shots_is_the_same() -> None:
    edited = renamed(2, "a ball")
    assert after(*SHOTS[:2], edited, SHOTS[3]) == OLD
    assert after(SHOTS[1], edited, SHOTS[3]) == [OLD[1], None, OLD[3]]


def test_a_lock_never_keeps_a_take_of_another_caption() -> None:
    assert after(*SHOTS[:2], renamed(2, "a ball", lock=True), SHOTS[3]) == [*OLD[:2], None, OLD[3]]
    assert after(*SHOTS[:2], replace(SHOTS[2], lock=True), SHOTS[3]) == OLD


def test_shots_of_one_caption_are_told_apart_by_their_order() -> None:
    board = replace(BOARD, shots=tuple(replace(shot, caption="a ball") for shot in SHOTS))
    done, takes = rendered(Project(board=board))
    again = ReplaceStoryboard(board=board).apply(done, takes)
    assert again.chosen == done.chosen


def test_an_edit_that_was_not_rendered_and_is_taken_back_finds_its_take() -> None:
    edited = replace(BOARD, shots=(*SHOTS[:2], renamed(2, "a ball"), SHOTS[3]))
    between = ReplaceStoryboard(board=edited).apply(DONE, TAKES)
    more = replace(BOARD, shots=(Shot(id="new", caption="a kite"), *SHOTS))
    again = ReplaceStoryboard(board=more).apply(between, TAKES)
    assert [again.chosen.get(shot.id) for shot in more.shots] == [None, *OLD]


def test_a_take_that_is_gone_is_not_kept() -> None:
    left = {name: take for name, take in TAKES.items() if name != OLD[1]}
    project = ReplaceStoryboard(board=BOARD).apply(DONE, left)
    assert list(project.chosen) == ["s0", "s2", "s3"]


def test_settings_that_come_back_choose_the_takes_they_made() -> None:
    other, both = rendered(ReplaceStoryboard(board=replace(BOARD, seed=5)).apply(DONE, TAKES), TAKES)
    assert not set(other.chosen.values()) & set(OLD)
    back = with_existing_takes(ReplaceStoryboard(board=BOARD).apply(other, both), both, MODEL)
    assert [back.chosen[shot.id] for shot in SHOTS] == OLD


def test_a_locked_shot_stays_at_its_take_when_settings_come_back() -> None:
    other, both = rendered(ReplaceStoryboard(board=replace(BOARD, seed=5)).apply(DONE, TAKES), TAKES)
    locked = replace(BOARD, shots=(*SHOTS[:3], replace(SHOTS[3], lock=True)))
    back = with_existing_takes(ReplaceStoryboard(board=locked).apply(other, both), both, MODEL)
    assert [back.chosen[shot.id] for shot in SHOTS] == [*OLD[:3], other.chosen["s3"]]


def test_outdated_shots_are_those_from_the_first_change_on() -> None:
    board = replace(BOARD, shots=(SHOTS[0], replace(SHOTS[1], seed=7), *SHOTS[2:]))
    project = ReplaceStoryboard(board=board).apply(DONE, TAKES)
    found = shots_to_render(board, shot_statuses(project, TAKES, MODEL), "outdated")
    assert [status.shot for status in found] == ["s1", "s2", "s3"]


def test_a_locked_shot_is_rendered_only_if_it_has_no_take() -> None:
    board = replace(BOARD, shots=tuple(replace(shot, lock=True) for shot in SHOTS))
    project = Project(board=board, chosen={"s1": OLD[1]})
    found = shots_to_render(board, shot_statuses(project, TAKES, MODEL), "all")
    assert [status.shot for status in found] == ["s0", "s2", "s3"]
