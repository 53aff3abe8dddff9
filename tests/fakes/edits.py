"""Edits of the projects of `tests.fakes.projects`: random ones too, many of which will be refused."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from studio.domain.edits.cast import SetCast, SetCastPicture
from studio.domain.edits.edit import Edit
from studio.domain.edits.film import SetFilm, SetSettings
from studio.domain.edits.shot_inputs import (
    SetCaption,
    SetFirstFrame,
    SetGuide,
    SetLoras,
    SetNegativePrompt,
    SetSeed,
    Steer,
)
from studio.domain.edits.timeline import AddShot, Delete, Duplicate, Lock, Move, Skip, Split, Trim
from studio.domain.project import Project
from studio.domain.settings import Lora, Settings
from studio.domain.storyboard import CastMember, Shot
from tests.fakes.projects import project

STORY = ("Mira waves in the meadow", "Otto runs in the forest", "Mira and Otto dance", "Otto sleeps")

ids = st.sampled_from(("a", "b", "c", "d", "n0", "n1", "n2"))
some = st.lists(ids, min_size=1, max_size=3, unique=True).map(tuple)
captions = st.sampled_from((*STORY, "Ada waves", ""))
pictures = st.sampled_from((None, *(f"picture:{digit * 64}" for digit in "01")))
looks = st.sampled_from((None, "red", "green"))


def made(edit: Edit, start: Project | None = None) -> Project:
    return edit.apply(start or project(*STORY), {})


def order(now: Project) -> str:
    return " ".join(shot.id for shot in now.board.shots)


def shot_of(now: Project, name: str) -> Shot:
    place = now.index_of(name)
    assert place is not None
    return now.board.shots[place]


def _steer(shot: str, pin: str, ban: str) -> Steer:
    return Steer(shot=shot, pins=(pin,), bans=() if ban == pin else (ban,))


def _steer_part(shot: str, other: str, boost: float) -> Steer:
    return Steer(shot=shot, pins=(f"{other}/Mira",), bans=(other,), boosts={f"{other}/Otto": boost})


EDITS: st.SearchStrategy[Any] = st.one_of(
    st.builds(SetFilm, style=st.sampled_from(("", "night")), fps=st.sampled_from((None, 12.0))),
    st.builds(SetFilm, title=st.sampled_from(("One", "Two"))),
    st.builds(lambda steps: SetSettings(settings=Settings(steps=steps)), st.sampled_from((None, 2))),
    st.builds(
        lambda look, first: SetCast(cast=(CastMember(name=first, look=look), CastMember(name="Otto"))),
        looks,
        st.sampled_from(("Mira", "Ada")),
    ),
    st.builds(SetCastPicture, name=st.sampled_from(("Mira", "Otto")), picture=pictures),
    st.builds(SetGuide, shot=ids, control_scale=st.sampled_from((None, 0.5))),
    st.builds(AddShot, caption=captions, at=st.integers(0, 6), id=ids),
    st.builds(SetCaption, shot=ids, caption=captions),
    st.builds(SetSeed, shot=ids, seed=st.sampled_from((None, 1, 2))),
    st.builds(
        SetFirstFrame,
        shot=ids,
        first_frame=st.one_of(st.sampled_from((None, "previous")), ids.map(lambda shot: f"shot:{shot}")),
    ),
    st.builds(SetNegativePrompt, shot=ids, negative_prompt=st.sampled_from((None, "", "blurred"))),
    st.builds(SetLoras, shot=ids, loras=st.sampled_from(((), (Lora(file="ink"),)))),
    st.builds(
        Trim, shot=ids, trim=st.sampled_from((0.0, 0.5, 1.0)), seconds=st.sampled_from((1.0, 2.5, 3.0, 4.0))
    ),
    st.builds(Split, shot=ids, at=st.sampled_from((0.5, 1.0, 2.0)), id=ids),
    st.builds(Duplicate, shots=some, ids=st.permutations(("n0", "n1", "n2")).map(tuple)),  # none is drawn
    st.builds(Delete, shots=some),
    st.builds(Move, shots=some, to=st.integers(0, 7)),
    st.builds(Lock, shots=some, on=st.booleans()),
    st.builds(Skip, shots=some, on=st.booleans()),
    st.builds(_steer, ids, ids, ids),
    st.builds(_steer_part, ids, ids, st.sampled_from((1.0, 2.0))),
)
