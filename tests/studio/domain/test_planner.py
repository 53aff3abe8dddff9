"""What edits make outdated: exactly what a recomputation of everything says, and in the right words."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.domain.edits.cast import SetCast
from studio.domain.edits.edit import Edit
from studio.domain.edits.film import SetFilm, SetSettings
from studio.domain.edits.shot_inputs import (
    SetCaption,
    SetFirstFrame,
    SetLoras,
    SetNegativePrompt,
    SetSeed,
    Steer,
)
from studio.domain.edits.take_choice import Choose, Discard
from studio.domain.edits.timeline import AddShot, Delete, Lock, Move, Skip, Split, Trim
from studio.domain.errors import BadStoryboard, Refused
from studio.domain.finished_take import FinishedTake
from studio.domain.inputs import RenderingModel
from studio.domain.planner import ShotStatus, after_rendering, chosen_take, shot_statuses, with_existing_takes
from studio.domain.project import Project
from studio.domain.settings import FullBelow, Looks, Lora, Settings
from studio.domain.storyboard import CastMember
from studio.service.reason_words import in_words
from tests.fakes.edits import EDITS, STORY, ids
from tests.fakes.projects import MODEL, project, rendered


def words(status: ShotStatus) -> tuple[str, ...]:
    return tuple(map(in_words, status.reasons))


def statuses(now: Project, takes: dict[str, FinishedTake]) -> dict[str, ShotStatus]:
    return {status.shot: status for status in shot_statuses(now, takes, MODEL)}


def after(edit: Edit) -> dict[str, ShotStatus]:
    done, takes = rendered(project(*STORY))
    return statuses(edit.apply(done, takes), takes)


def test_nothing_is_outdated_at_first() -> None:
    done, takes = rendered(project(*STORY))
    found = statuses(done, takes)
    assert {s.state for s in found.values()} == {"fresh"}
    assert not any(s.due or s.reasons for s in found.values())


def test_a_shot_without_a_take_is_worth_rendering_and_one_without_a_caption_is_not() -> None:
    start = AddShot(id="new").apply(project(*STORY), {})
    found = statuses(start, {})
    assert found["a"].state == "missing"
    assert found["a"].due
    assert found["new"].state == "unwritten"
    assert not found["new"].due


def test_a_caption_outdates_its_shot_and_makes_those_that_depend_on_it_due() -> None:
    found = after(SetCaption(shot="b", caption="Otto jumps in the forest"))
    assert found["a"].state == "fresh"
    assert found["b"].state == "outdated"
    assert words(found["b"]) == ("caption changed",)
    assert found["c"].state == "fresh"
    assert found["c"].due  # once b is rendered
    assert words(found["c"]) == ("shot 2 will be rendered again; it gave 50% of this shot's context",)


def test_a_new_take_outdates_what_looked_at_the_old_one() -> None:
    done, takes = rendered(project(*STORY))
    edited = SetCaption(shot="b", caption="Otto jumps in the forest").apply(done, takes)
    again, takes = rendered(edited, takes, only="b")
    found = statuses(again, takes)
    assert found["b"].state == "fresh"
    assert words(found["c"]) == ("shot 2 has a new take; it gave 50% of this shot's context",)
    assert found["c"].due
    assert words(found["d"])[0] == "shot 2 has a new take; it gave 33% of this shot's context"


def test_the_part_that_depends_most_on_a_changed_take_decides() -> None:
    done, takes = rendered(project(*STORY))
    old = done.chosen["b"]
    for shot, part, most in (("c", "Otto", 0.9), ("d", "Mira", 0.2)):
        name = done.chosen[shot]
        takes[name] = replace(takes[name], strongest={old: (part, most)})
    again, takes = rendered(SetSeed(shot="b", seed=99).apply(done, takes), takes, only="b")
    found = statuses(again, takes)
    told = "shot 2 has a new take; it gave 50% of this shot's context, 90% of what Otto drew on"
    assert (found["c"].due, words(found["c"])[0]) == (True, told)
    assert found["d"].influence == pytest.approx(max(0.2, 0.9 / 3))  # of shot 3, of which .9 may change
    assert not found["d"].due


def test_shares_below_the_threshold_are_outdated_but_not_due() -> None:
    done, takes = rendered(project(*STORY, settings=Settings(rerender_threshold=0.4)))
    again, takes = rendered(SetSeed(shot="b", seed=99).apply(done, takes), takes, only="b")
    found = statuses(again, takes)
    assert found["c"].due
    # a third of shot 2 itself, and of shot 3, of which half may change
    assert found["d"].influence == pytest.approx(1 / 3)
    assert found["d"].state == "outdated"
    assert not found["d"].due


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (SetSeed(shot="c", seed=5), "seed changed"),
        (SetFilm(style="night"), "style changed"),
        (SetFilm(size=(640, 360)), "size changed"),
        (SetFilm(fps=12.0), "frame rate changed"),
        (SetFilm(seed=8), "seed changed"),
        (SetSettings(settings=Settings(steps=3)), "steps changed"),
        (SetSettings(settings=Settings(guidance=3.0)), "guidance changed"),
        (SetSettings(settings=Settings(top_k=1)), "chunks per token changed"),
        (
            SetSettings(settings=Settings(full_below="auto")),
            "full attention changed",
        ),
        (SetSettings(settings=Settings(negative_prompt="blurred")), "negative prompt changed"),
        (SetSettings(settings=Settings(scheduler="unipc")), "scheduler changed"),
        (SetSettings(settings=Settings(shift=5.0)), "scheduler changed"),
        (SetSettings(settings=Settings(guidance_2=3.0)), "guidance at low noise changed"),
        (SetSettings(settings=Settings(loras=(Lora(file="ink.safetensors"),))), "LoRAs changed"),
        (SetSettings(settings=Settings(step_cache="mag")), "step cache changed"),
        (
            SetSettings(settings=Settings(memory_policy="spread")),
            "what is remembered of earlier shots changed",
        ),
        (SetSettings(settings=Settings(router="window")), "router changed"),
        (SetSettings(settings=Settings(positions="clamp")), "positions of remembered shots changed"),
        (SetNegativePrompt(shot="c", negative_prompt=""), "negative prompt changed"),
        (SetLoras(shot="c", loras=(Lora(file="ink.safetensors"),)), "LoRAs changed"),
        (SetFirstFrame(shot="c", first_frame="previous"), "first frame changed"),
        (SetFirstFrame(shot="c", first_frame=f"picture:{'0' * 64}"), "first frame changed"),
        (Trim(shot="c", trim=0.0, seconds=3.5), "longer than its take"),
        (Trim(shot="c", trim=0.5, seconds=3.0), "longer than its take"),
        (Steer(shot="c", pins=("a",)), "pins, bans or boosts changed"),
        (Steer(shot="c", bans=("a",)), "pins, bans or boosts changed"),
        (Steer(shot="c", boosts={"a": 2.0}), "pins, bans or boosts changed"),
        (Skip(shots=("a",), on=True), "shot 1 is skipped; it gave 50% of this shot's context"),
        (Delete(shots=("a",)), "a shot before it was deleted; it gave 50% of this shot's context"),
        (Move(shots=("b",), to=0), "the shots before it were moved"),
        (Move(shots=("b",), to=4), "shot 4 no longer comes before it; it gave 50% of this shot's context"),
        (
            SetCast(cast=(CastMember(name="Otto"), CastMember(name="Mira", look="red"))),
            "cast changed",
        ),
    ],
)
def test_reasons_in_words(edit: Edit, reason: str) -> None:
    found = after(edit)
    assert found["c"].state == "outdated"
    assert reason in words(found["c"])


def chained(looks: Looks = "first") -> tuple[Project, dict[str, FinishedTake]]:
    """Shot 3 starts with the last frame of shot 2, shot 4 with that of shot 1; all rendered."""
    start = project(*STORY, settings=Settings(rerender_threshold=1.0, looks=looks))
    for shot, frame in (("c", "previous"), ("d", "shot:a")):
        start = SetFirstFrame(shot=shot, first_frame=frame).apply(start, {})
    return rendered(start)


def test_a_first_frame_is_the_last_that_the_earlier_shot_shows() -> None:
    done, takes = chained()
    found = statuses(done, takes)
    assert {status.state for status in found.values()} == {"fresh"}
    assert found["c"].inputs.first_frame == f"take:{done.chosen['b']}@71"
    assert found["d"].inputs.first_frame == f"take:{done.chosen['a']}@71"
    trimmed = statuses(Trim(shot="b", trim=0.5, seconds=1.0).apply(done, takes), takes)
    assert trimmed["c"].inputs.first_frame == f"take:{done.chosen['b']}@35"
    assert words(trimmed["c"]) == ("shot 2, whose last frame it starts with, ends earlier or later",)
    assert [shot for shot, status in trimmed.items() if status.due] == ["c"]


@pytest.mark.parametrize("shot", ["a", "b", "c", "d"])
def test_a_split_changes_no_first_frame(shot: str) -> None:
    done, takes = chained("every")
    split = Split(shot=shot, at=1.0, id="half").apply(done, takes)
    found = statuses(split, takes)
    assert {status.state for status in found.values()} == {"fresh"}
    assert found["half"].inputs.first_frame == found[shot].inputs.first_frame
    alone = SetFirstFrame(shot="a", first_frame="previous").apply(done, takes)
    assert Split(shot="a", at=1.0, id="half").apply(alone, takes).board.shots[1].first_frame is None


def test_a_new_take_makes_the_shot_due_that_starts_with_its_last_frame() -> None:
    done, takes = chained()
    edited = SetSeed(shot="b", seed=9).apply(done, takes)
    before = statuses(edited, takes)
    assert [shot for shot, status in before.items() if status.due] == ["b", "c"]
    assert before["c"].state == "fresh"
    assert words(before["c"])[-1] == "shot 2, whose last frame it starts with, will be rendered again"
    again, takes = rendered(edited, takes, only="b")
    found = statuses(again, takes)
    assert "shot 2, whose last frame it starts with, has a new take" in words(found["c"])
    assert [shot for shot, status in found.items() if status.due] == ["c"]
    whole, known = after_rendering(edited, takes, MODEL, "bc")
    assert not [status for status in shot_statuses(whole, known, MODEL) if status.due]


def test_a_first_frame_follows_the_order_of_the_shots() -> None:
    done, takes = chained()
    skipped = statuses(Skip(shots=("b",), on=True).apply(done, takes), takes)
    assert skipped["c"].inputs.first_frame == f"take:{done.chosen['a']}@71"
    assert "first frame changed" in words(skipped["c"])
    moved = statuses(Move(shots=("d",), to=0).apply(done, takes), takes)
    assert moved["d"].inputs.first_frame is None  # shot 1 is no longer earlier
    unrendered = statuses(Discard(take=done.chosen["a"]).apply(done, takes), takes)
    assert unrendered["d"].inputs.first_frame == "shot:a"


def test_what_the_model_cannot_do_is_not_part_of_the_inputs() -> None:
    asked = Settings(
        negative_prompt="blurred",
        scheduler="unipc",
        shift=5.0,
        guidance_2=3.0,
        loras=(Lora(file="ink.safetensors"),),
        step_cache="mag",
    )
    done, takes = rendered(project(*STORY))
    edited = SetSettings(settings=asked).apply(done, takes)
    edited = SetFirstFrame(shot="b", first_frame="previous").apply(edited, takes)
    able = RenderingModel(identity=MODEL.identity, abilities=frozenset())
    assert {status.state for status in shot_statuses(edited, takes, able)} == {"fresh"}
    assert {status.state for status in shot_statuses(edited, takes, MODEL)} == {"outdated"}


def test_loras_of_a_shot_join_those_of_the_film_by_their_identities() -> None:
    film = Settings(loras=(Lora(file="ink", weight=0.5), Lora(file="fast")))
    start = project(*STORY, settings=film)
    start = SetLoras(shot="b", loras=(Lora(file="ink", weight=2), Lora(file="fast", weight=0))).apply(
        start, {}
    )
    model = replace(MODEL, loras={"ink": "0123"})
    first, second, *_ = shot_statuses(start, {}, model)
    assert first.inputs.loras == (("0123", 0.5, "both"), ("fast", 1.0, "both"))
    assert second.inputs.loras == (("0123", 2.0, "both"),)


@pytest.mark.parametrize("full_below", [0, 8192, "auto"])
def test_a_shot_without_context_does_not_depend_on_full_attention(full_below: FullBelow) -> None:
    found = after(SetSettings(settings=Settings(full_below=full_below)))
    assert found["a"].state == "fresh"
    assert words(found["b"]) == ("full attention changed",)


def test_a_look_outdates_the_shot_that_introduces_its_owner() -> None:
    found = after(SetCast(cast=(CastMember(name="Mira", look="green"), CastMember(name="Otto"))))
    assert words(found["a"]) == ("a look in its caption changed",)
    assert found["c"].state == "fresh"


@pytest.mark.parametrize(
    "edit",
    [
        SetFilm(title="Another"),
        Trim(shot="c", trim=1.0, seconds=1.5),
        Split(shot="c", at=1.5, id="new"),
        Lock(shots=("a", "b"), on=True),
        SetSettings(settings=Settings(rerender_threshold=0.5)),
        Move(shots=("b",), to=2),
        SetCast(cast=(CastMember(name="Mira", look="red"), CastMember(name="Otto"), CastMember(name="Ada"))),
    ],
)
def test_what_changes_the_cut_alone_outdates_nothing(edit: Edit) -> None:
    assert {s.state for s in after(edit).values()} == {"fresh"}


def test_halves_share_a_take_until_one_is_edited() -> None:
    done, takes = rendered(project(*STORY))
    halves = Split(shot="b", at=1.0, id="new").apply(done, takes)
    assert halves.chosen["new"] == halves.chosen["b"]
    edited = SetCaption(shot="new", caption="Otto jumps").apply(halves, takes)
    found = statuses(edited, takes)
    assert (found["b"].state, found["new"].state) == ("fresh", "outdated")
    again, takes = rendered(edited, takes, only="new")
    found = statuses(again, takes)
    assert found["new"].state == "fresh"
    assert found["b"].state == "fresh"
    assert found["c"].state == "outdated"


def test_locked_shots_are_marked_but_never_due() -> None:
    done, takes = rendered(project(*STORY))
    locked = Lock(shots=("b",), on=True).apply(done, takes)
    found = statuses(SetCaption(shot="b", caption="Otto sits").apply(locked, takes), takes)
    assert found["b"].state == "outdated"
    assert not found["b"].due
    assert not found["c"].due


def test_a_length_of_half_a_frame_does_not_outdate_its_own_take() -> None:
    start = project(*STORY, fps=25.0)
    shots = tuple(replace(shot, seconds=2.5) for shot in start.board.shots)  # 62.5 frames
    done, takes = rendered(replace(start, board=replace(start.board, shots=shots)))
    assert {status.state for status in shot_statuses(done, takes, MODEL)} == {"fresh"}


def test_a_rolled_take_is_fresh_until_the_seed_is_changed() -> None:
    done, takes = rendered(project(*STORY))
    seed = shot_statuses(done, takes, MODEL)[3].inputs.seed
    old = takes[done.chosen["d"]]
    rolled = replace(old, id="rolled", inputs=replace(old.inputs, seed=77), rolled_from=seed)
    takes["rolled"] = rolled
    now = Choose(shot="d", take="rolled").apply(done, takes)
    assert statuses(now, takes)["d"].state == "fresh"
    assert statuses(now, takes)["d"].inputs.seed == 77
    other = SetSeed(shot="d", seed=4).apply(now, takes)
    assert words(statuses(other, takes)["d"]) == ("seed changed",)


def test_a_render_keeps_the_seed_of_a_rolled_take() -> None:
    done, takes = rendered(project(*STORY))
    old = takes[done.chosen["d"]]
    inputs = replace(old.inputs, seed=77)
    takes["rolled"] = replace(old, id="rolled", inputs=inputs, rolled_from=old.inputs.seed)
    now = SetFilm(style="night").apply(Choose(shot="d", take="rolled").apply(done, takes), takes)
    again, known = after_rendering(now, takes, MODEL, "abcd")
    assert known[again.chosen["d"]].inputs.seed == 77
    assert {status.state for status in shot_statuses(again, known, MODEL)} == {"fresh"}


def test_a_discarded_take_leaves_its_shots_without() -> None:
    done, takes = rendered(project(*STORY))
    found = statuses(Discard(take=done.chosen["b"]).apply(done, takes), takes)
    assert found["b"].state == "missing"
    assert "shot 2 has no take any more; it gave 50% of this shot's context" in words(found["c"])


RENDERS = st.tuples(st.just("render"), st.none() | ids)
DOINGS = st.lists(st.one_of(EDITS, RENDERS), max_size=12)


def applied(
    edit: Any, now: Project, takes: dict[str, FinishedTake]
) -> tuple[Project, dict[str, FinishedTake]]:
    """The project after an edit or render; as it was where that is refused."""
    if isinstance(edit, tuple):
        return rendered(now, takes, only=edit[1])
    try:
        return edit.apply(now, takes), takes
    except (BadStoryboard, Refused):
        return now, takes


@given(DOINGS)
@settings(max_examples=200, deadline=None)
def test_outdated_is_what_a_render_now_would_make_otherwise(edits: list[Any]) -> None:
    now, takes = rendered(project(*STORY))
    for edit in edits:
        now, takes = applied(edit, now, takes)
    for status in shot_statuses(now, takes, MODEL):
        take = chosen_take(now, takes, status.shot)
        if take is None or status.state == "unwritten":
            assert status.state in ("missing", "unwritten")
            continue
        wanted = status.inputs
        if wanted.seconds <= take.seconds + 0.5 / take.inputs.fps:
            wanted = replace(wanted, seconds=take.inputs.seconds)
        others = tuple(name for name in wanted.context if name != take.id)  # a half's other half shows it too
        wanted = replace(wanted, context=others)
        caption = now.board.shots[status.index].caption
        assert (status.state == "outdated") == (wanted.take_id != take.id or caption != take.caption), status


@given(DOINGS)
@settings(max_examples=100, deadline=None)
def test_rendering_due_shots_leaves_none_due(edits: list[Any]) -> None:
    now, takes = rendered(project(*STORY))
    for edit in edits:
        now, takes = applied(edit, now, takes)
    for shot in now.board.shots:
        if statuses(now, takes)[shot.id].due:
            now, takes = rendered(now, takes, only=shot.id)
    left = [s for s in shot_statuses(now, takes, MODEL) if s.due]
    assert not left, left


FINISHED = Settings(context="finished")


def side_by_side(*shots: str) -> tuple[Project, dict[str, FinishedTake]]:
    """A film whose shots see what is finished; these are finished before the others begin, which see them."""
    begun = project(*STORY, settings=FINISHED)
    known: dict[str, FinishedTake] = {}
    for shot in shots:
        begun, known = rendered(begun, known, only=shot)
    done = begun
    for shot in (other.id for other in begun.board.shots if other.id not in shots):
        alone, of_one = rendered(begun, known, only=shot)
        known |= of_one
        done = done.choosing(shot, alone.chosen[shot])
    return done, known


def test_what_was_not_finished_when_a_shot_began_does_not_outdate_it() -> None:
    done, takes = side_by_side("a")
    assert [shot for shot, _ in takes[done.chosen["d"]].context] == ["a"]
    assert {status.state for status in statuses(done, takes).values()} == {"fresh"}
    all_seen = replace(done, board=replace(done.board, settings=Settings()))
    found = statuses(all_seen, takes)
    assert [found[shot].state for shot in "abcd"] == ["fresh", "fresh", "outdated", "outdated"]
    assert not any(status.due for status in found.values())


def test_what_was_finished_when_a_shot_began_outdates_it_and_then_it_sees_all() -> None:
    done, takes = side_by_side("a")
    edited = SetCaption(shot="a", caption="Otto jumps in the forest").apply(done, takes)
    again, takes = rendered(edited, takes, only="a")
    found = statuses(again, takes)
    assert words(found["d"]) == ("shot 1 has a new take; it gave 100% of this shot's context",)
    assert [shot for shot, _ in found["d"].context] == ["a", "b", "c"]


def test_a_pin_on_a_shot_that_a_take_did_not_see_outdates_it() -> None:
    done, takes = side_by_side("a")
    found = statuses(Steer(shot="d", pins=("c",), bans=()).apply(done, takes), takes)
    assert found["d"].due
    assert found["d"].inputs.pins == (done.chosen["c"],)


def test_an_undone_edit_finds_the_take_again_though_it_saw_less_than_there_is_now() -> None:
    done, takes = side_by_side("a")
    edited = SetCaption(shot="d", caption="Otto jumps in the forest").apply(done, takes)
    again, takes = rendered(edited, takes, only="d")
    undone = SetCaption(shot="d", caption=STORY[3]).apply(again, takes)
    assert with_existing_takes(undone, takes, MODEL).chosen == done.chosen
