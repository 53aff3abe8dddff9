"""Edits, undo and redo, and the takes they choose."""

from dataclasses import replace
from pathlib import Path

import pytest
from diffusers import WanTransformer3DModel

from studio.domain.edits.cast import SetCast
from studio.domain.edits.film import SetSettings
from studio.domain.edits.shot_inputs import SetCaption, SetLoras
from studio.domain.edits.take_choice import Choose
from studio.domain.errors import BadStoryboard, Refused, StaleRevision
from studio.domain.settings import Lora, Settings
from studio.domain.storyboard import CastMember, Shot, Storyboard
from studio.service.state import ProjectState, ShotState
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.loras import diffusers_keys, factors, save_lora
from tests.fakes.wan_folders import wan_a14b_folder, wan_t2v_folder


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def shot(state: ProjectState, name: str) -> ShotState:
    return next(shot for shot in state.shots if shot.id == name)


def test_edits_are_applied_undone_and_redone(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    edited = studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira sits"), base=0)
    assert (edited.revision, edited.undo, edited.redo) == (1, "change the caption of shot 1", None)
    assert shot(edited, "a").caption == "Mira sits"
    undone = studio.service.editing.undo(project, base=1)
    assert (undone.revision, undone.undo, undone.redo) == (2, None, "change the caption of shot 1")
    assert shot(undone, "a").caption == "Mira waves"
    assert shot(studio.service.editing.redo(project, base=2), "a").caption == "Mira sits"


def test_a_stale_edit_changes_nothing(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira sits"), base=0)
    before = studio.service.projects.state(project)
    for call in (
        lambda: studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira runs"), base=0),
        lambda: studio.service.editing.undo(project, base=0),
        lambda: studio.service.editing.redo(project, base=2),
    ):
        with pytest.raises(StaleRevision):
            call()
    assert studio.service.projects.state(project) == before
    with pytest.raises(BadStoryboard):
        studio.service.editing.edit(project, SetCaption(shot="a", caption="x" * 3000), base=1)
    assert studio.service.projects.state(project) == before


def test_an_edit_chooses_another_take(studio: Studio) -> None:
    project = studio.rendered()
    first = shot(studio.service.projects.state(project), "b").take
    assert first is not None
    studio.service.rendering.reroll(project, "b", seed=5)
    studio.work()
    rolled = studio.service.projects.state(project)
    assert [take.chosen for take in shot(rolled, "b").takes] == [False, True]
    back = studio.service.editing.edit(project, Choose(shot="b", take=first), base=0)
    assert [take.chosen for take in shot(back, "b").takes] == [True, False]


def test_undo_chooses_the_earlier_takes_again(studio: Studio) -> None:
    project = studio.rendered()
    before = studio.service.projects.state(project)
    studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira jumps"), base=0)
    studio.service.rendering.render(project)
    studio.work()
    changed = studio.service.projects.state(project)
    assert changed.shots[0].take != before.shots[0].take
    back = studio.service.editing.undo(project, base=1)
    assert [shot.take for shot in back.shots] == [shot.take for shot in before.shots]
    assert {shot.state for shot in back.shots} == {"fresh"}
    again = studio.service.editing.redo(project, base=2)
    assert [shot.take for shot in again.shots] == [shot.take for shot in changed.shots]


def test_a_take_that_a_person_chose_stays(studio: Studio) -> None:
    project = studio.rendered()
    first = studio.service.projects.state(project).shots[0].take
    assert first is not None
    studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira jumps"), base=0)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    chosen = studio.service.editing.edit(project, Choose(shot="a", take=first), base=1)
    assert (chosen.shots[0].take, chosen.shots[0].state) == (first, "outdated")


def test_names_in_captions_are_the_cast_if_none_is_listed(studio: Studio) -> None:
    board = Storyboard(title="x", shots=(Shot(id="a", caption="Pip waves"),))
    project = studio.service.projects.create(board)
    assert studio.service.projects.state(project).shots[0].unknown == ()
    assert studio.service.editing.unknown_words(project, "Zork waves") == ()
    studio.service.rendering.render(project)
    studio.work()
    state = studio.service.projects.state(project)
    assert state.cast == ()
    assert state.shots[0].state == "fresh"


def test_a_look_moved_into_the_caption_outdates_nothing(studio: Studio) -> None:
    project = studio.rendered()
    service = studio.service
    before = service.projects.state(project)
    without_looks = SetCast(cast=(CastMember(name="Mira"), CastMember(name="Otto")))
    service.editing.edit(project, without_looks, before.revision)
    told = SetCaption(shot="a", caption="Mira waves. Mira is red.")
    after = service.editing.edit(project, told, before.revision + 1)  # what the model reads is the same
    assert shot(after, "a").take == shot(before, "a").take
    assert shot(after, "a").reasons == ("caption changed",)


def test_unknown_words_are_found_in_a_text(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    (span,) = studio.service.editing.unknown_words(project, "Mira waves in the meadwo")
    assert (span.start, span.stop, span.suggestion) == (18, 24, "meadow")
    assert studio.service.editing.unknown_words(project, "  ") == ()
    settings = Settings(model="Wan-AI/Wan2.2-TI2V-5B-Diffusers")
    studio.service.editing.edit(project, SetSettings(settings=settings), base=0)
    assert studio.service.editing.unknown_words(project, "meadwo") == ()


def test_a_lora_for_one_of_two_transformers_is_refused_where_there_is_one(
    studio: Studio, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    wan_t2v_folder(one)
    wan_a14b_folder(two)
    transformer = WanTransformer3DModel.from_pretrained(one / "transformer")
    ink = save_lora(tmp_path / "ink_high_noise.safetensors", diffusers_keys(factors(transformer)))
    lora = Lora(file=str(ink), expert="high")
    edit = studio.service.editing.edit
    project = studio.service.projects.create(replace(BOARD, settings=Settings(model=str(one))))
    none = Lora(file=str(tmp_path / "none.safetensors"))
    with pytest.raises(Refused, match=r"^there is no LoRA file"):
        edit(project, SetLoras(shot="a", loras=(none,)), base=0)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(ink.read_bytes()[:-9])
    with pytest.raises(Refused, match=r"^the LoRA .*cut\.safetensors is cut off: "):
        edit(project, SetLoras(shot="a", loras=(Lora(file=str(cut)),)), base=0)
    for refused in (
        SetLoras(shot="a", loras=(lora,)),
        SetSettings(settings=Settings(model=str(one), loras=(lora,))),
    ):
        with pytest.raises(Refused, match=r"^ink_high_noise.* one of two transformers \(high"):
            edit(project, refused, base=0)
    assert shot(studio.service.projects.state(project), "a").loras == ()
    edit(project, SetSettings(settings=Settings(model=str(two))), base=0)
    assert shot(edit(project, SetLoras(shot="a", loras=(lora,)), base=1), "a").loras == (lora,)
    back = edit(project, SetSettings(settings=Settings(model=str(one))), base=2)  # what was there stays
    assert shot(back, "a").loras == (lora,)
