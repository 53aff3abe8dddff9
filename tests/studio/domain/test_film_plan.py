from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from studio.domain.film_plan import ChosenTake, PlannedShot, plan
from studio.domain.storyboard import CastMember, Settings, Shot, Storyboard

BOARD = Storyboard(
    title="A test",
    cast=(CastMember(name="Mira", look="red"),),
    shots=tuple(Shot(id=f"shot-{i + 1}", caption=f"Mira waves {i}") for i in range(4)),
)


def with_shot(index: int, **change: object) -> Storyboard:
    shots = list(BOARD.shots)
    shots[index] = replace(shots[index], **change)  # type: ignore[arg-type]
    return replace(BOARD, shots=tuple(shots))


def ids(board: Storyboard, model: str = "m") -> list[str]:
    return [shot.inputs.take_id for shot in plan(board, model)]


def used(board: Storyboard, takes: Sequence[str]) -> tuple[ChosenTake, ...]:
    """What a film of the board, made of these takes, leaves behind."""
    pairs = zip(board.shots, takes, strict=True)
    return tuple(ChosenTake(caption=shot.caption, take=take) for shot, take in pairs)


def actions(
    board: Storyboard,
    *,
    finished: Collection[str] = (),
    chosen: Sequence[ChosenTake] = (),
    only: Collection[int] | None = None,
    resume: bool = False,
) -> list[str]:
    planned = plan(board, "m", finished=finished, chosen=chosen, only=only, resume=resume)
    return [shot.action for shot in planned]


def test_a_first_render_makes_every_shot_and_each_sees_all_before_it() -> None:
    planned = plan(BOARD, "m")
    assert [shot.action for shot in planned] == ["render"] * 4
    for shot in planned:
        assert shot.context == tuple((other.index, other.take) for other in planned[: shot.index])


def test_resuming_makes_only_what_is_missing() -> None:
    takes = ids(BOARD)
    assert actions(BOARD, finished=takes[:2], resume=True) == ["keep", "keep", "render", "render"]
    assert actions(BOARD, finished=takes, resume=True) == ["keep"] * 4
    assert actions(BOARD, finished=takes) == ["render"] * 4


def test_a_change_outdates_its_shot_and_those_that_saw_it() -> None:
    before = ids(BOARD)
    for index in range(4):
        after = ids(with_shot(index, caption="Mira sits"))
        assert [a == b for a, b in zip(before, after, strict=True)] == [i < index for i in range(4)]


def test_what_decides_pixels_decides_the_take() -> None:
    before = ids(BOARD)[0]
    changes = [
        replace(BOARD, style="night"),
        replace(BOARD, seed=1),
        replace(BOARD, size=(64, 64)),
        replace(BOARD, fps=Fraction(25)),
        replace(BOARD, cast=(CastMember(name="Mira", look="green"),)),
        replace(BOARD, cast=(CastMember(name="Otto"), *BOARD.cast)),
        replace(BOARD, cast=(CastMember(name="waves"),)),
        replace(BOARD, settings=Settings(steps=3)),
        replace(BOARD, settings=Settings(guidance=3.0)),
        replace(BOARD, settings=Settings(top_k=3)),
        with_shot(0, seconds=2.0),
        with_shot(0, seed=5),
    ]
    after = [ids(board)[0] for board in changes]
    assert len({before, ids(BOARD, "other weights")[0], *after}) == len(changes) + 2
    assert ids(replace(BOARD, title="Another"))[0] == before
    assert ids(with_shot(0, lock=True))[0] == before
    assert ids(replace(BOARD, cast=(*BOARD.cast, CastMember(name="Otto"))))[0] == before


def test_steering_decides_the_take() -> None:
    before = ids(BOARD)[2]
    steered: list[dict[str, Any]] = [
        {"pins": ("shot-1",)},
        {"bans": ("shot-1",)},
        {"boosts": {"shot-1": 1.0}},
        {"pins": ("shot-2",)},
    ]
    assert len({before, *(ids(with_shot(2, **change))[2] for change in steered)}) == 5


def test_a_skipped_shot_is_out_of_the_film_and_of_contexts() -> None:
    planned = plan(with_shot(1, skip=True), "m")
    assert [shot.action for shot in planned] == ["render", "skip", "render", "render"]
    assert [index for index, _ in planned[3].context] == [0, 2]


def test_a_skip_leaves_earlier_takes_fresh() -> None:
    takes = ids(BOARD)
    assert actions(with_shot(3, skip=True), finished=takes, resume=True) == ["keep"] * 3 + ["skip"]


def test_single_shots_see_what_is_there() -> None:
    takes = ids(BOARD)
    planned = plan(BOARD, "m", finished=takes[:1], only={2})
    assert [shot.action for shot in planned] == ["keep", "absent", "render", "absent"]
    assert planned[2].context == ((0, takes[0]),)


def test_an_outdated_take_stays_where_it_was_not_asked_for() -> None:
    old = ids(replace(BOARD, seed=5))
    planned = plan(BOARD, "m", finished=old, chosen=used(BOARD, old), only={1})
    assert [(shot.action, shot.reason) for shot in planned] == [
        ("keep", "outdated"),
        ("render", ""),
        ("keep", "outdated"),
        ("keep", "outdated"),
    ]
    assert planned[1].context == ((0, old[0]),)


def test_a_locked_shot_keeps_its_take() -> None:
    old = ids(replace(BOARD, seed=5))
    board = with_shot(1, lock=True)
    chosen = used(BOARD, old)
    planned = plan(board, "m", finished=old, chosen=chosen)
    assert [shot.action for shot in planned] == ["render", "keep", "render", "render"]
    assert (planned[1].take, planned[1].reason) == (old[1], "locked, though outdated")
    assert actions(board, only={1}, finished=old, chosen=chosen)[1] == "keep"
    assert actions(board)[1] == "render"  # there is nothing yet to hold on to


def test_a_lock_goes_where_its_caption_goes() -> None:
    old = ids(BOARD)
    one, two, three, four = BOARD.shots
    three = replace(three, lock=True)
    new = Shot(id="new", caption="a ball")
    for shots in ((one, new, two, three, four), (three, one, two, four), (one, three)):
        board = replace(BOARD, shots=shots)
        planned = plan(board, "m", finished=old, chosen=used(BOARD, old))
        kept = [(shot.index, shot.take) for shot in planned if shot.action == "keep"]
        assert kept == [(shots.index(three), old[2])]


def test_a_lock_never_holds_a_take_of_another_caption() -> None:
    old = ids(BOARD)
    planned = plan(with_shot(1, lock=True, caption="a ball"), "m", finished=old, chosen=used(BOARD, old))
    assert (planned[1].action, planned[1].reason) == ("render", "locked, but has no take of this caption yet")
    assert (planned[1].before, planned[1].context) == (used(BOARD, old)[1], planned[2].context[:1])


def test_shots_of_one_caption_are_told_apart_by_their_order() -> None:
    board = replace(BOARD, shots=tuple(replace(shot, caption="a ball", lock=True) for shot in BOARD.shots))
    old = ids(board)
    assert [shot.take for shot in plan(board, "m", finished=old, chosen=used(board, old))] == old


def test_an_edited_shot_keeps_its_old_take_only_in_its_place() -> None:
    old = ids(BOARD)
    edited = with_shot(2, caption="a ball")
    assert plan(edited, "m", finished=old, chosen=used(BOARD, old), only={0})[2].take == old[2]
    shorter = replace(edited, shots=edited.shots[1:])
    planned = plan(shorter, "m", finished=old, chosen=used(BOARD, old), only={0})
    assert [shot.action for shot in planned] == ["render", "absent", "keep"]
    assert planned[2].take == old[3]


def test_only_places_of_names_that_are_said_count() -> None:
    cast = (CastMember(name="Otto"), CastMember(name="Mira"), CastMember(name="Zoe"))
    board = replace(BOARD, cast=cast, style="Zoe is near")
    assert plan(board, "m")[0].inputs.places == {"Mira": 1, "Zoe": 2}
    assert plan(board, "m")[0].inputs.cast == ("Otto", "Mira", "Zoe")


def test_a_chosen_take_that_is_gone_does_not_count() -> None:
    assert actions(with_shot(0, lock=True), chosen=used(BOARD, ["gone"] * 4)) == ["render"] * 4


def test_an_edit_undone_finds_the_old_takes_again() -> None:
    first, second = ids(BOARD), ids(with_shot(0, caption="Mira sits"))
    chosen = used(with_shot(0, caption="Mira sits"), second)
    assert actions(BOARD, finished=[*first, *second], chosen=chosen, resume=True) == ["keep"] * 4


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=4, max_size=4),
    st.sets(st.integers(0, 3)),
    st.booleans(),
)
def test_every_plan_can_be_carried_out(
    flags: list[tuple[bool, bool, bool]], only: set[int], resume: bool
) -> None:
    shots = tuple(
        replace(shot, skip=skip, lock=lock) for shot, (skip, lock, _) in zip(BOARD.shots, flags, strict=True)
    )
    if all(shot.skip for shot in shots):
        return
    board = replace(BOARD, shots=shots)
    old = ids(replace(board, seed=5))
    finished = {take for take, (_, _, there) in zip(old, flags, strict=True) if there}
    there: set[str] = set(finished)
    planned = plan(board, "m", finished=finished, chosen=used(board, old), only=only or None, resume=resume)
    for shot in planned:
        _check(shot, there)


def _check(shot: PlannedShot, there: set[str]) -> None:
    assert (shot.take is None) == (shot.action in ("skip", "absent"))
    assert all(take in there for _, take in shot.context)
    assert all(index < shot.index for index, _ in shot.context)
    if shot.action == "keep":
        assert shot.take in there
    elif shot.action == "render":
        assert shot.take == shot.inputs.take_id
        there.add(shot.take)
