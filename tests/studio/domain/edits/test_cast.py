from __future__ import annotations

import pytest

from studio.domain.edits.cast import SetCast, SetCastPicture, with_pictures_of
from studio.domain.errors import Refused
from studio.domain.storyboard import CastMember
from tests.fakes.edits import made

FACE = f"picture:{'0' * 64}"


def test_the_cast_is_replaced() -> None:
    cast = (CastMember(name="Ada"),)
    assert made(SetCast(cast=cast)).board.cast == cast


def test_a_member_gets_a_picture_and_loses_it_again() -> None:
    with_face = made(SetCastPicture(name="Otto", picture=FACE))
    assert [member.picture for member in with_face.board.cast] == [None, FACE]
    assert with_face.board.cast[0].look == "red"
    assert made(SetCastPicture(name="Otto", picture=None), with_face) == made(SetCast(cast=_plain()))
    with pytest.raises(Refused, match="there is no cast member called Ada"):
        made(SetCastPicture(name="Ada", picture=FACE))


def _plain() -> tuple[CastMember, ...]:
    return CastMember(name="Mira", look="red"), CastMember(name="Otto")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("Mira Otto", "Mira"),
        ("Otto Mira", "Mira"),
        ("Mia Otto", "Mia"),
        ("Ada Mira Otto", "Mira"),
        ("Otto Ada", ""),
        ("Otto", ""),
    ],
)
def test_a_picture_stays_with_its_member_when_the_cast_is_typed_anew(names: str, found: str) -> None:
    before = CastMember(name="Mira", picture=FACE), CastMember(name="Otto")
    now = with_pictures_of(before, tuple(CastMember(name=name) for name in names.split()))
    assert " ".join(member.name for member in now if member.picture == FACE) == found
