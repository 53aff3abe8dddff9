from __future__ import annotations

from studio.domain.edits.cast import SetCast
from studio.domain.storyboard import CastMember
from tests.fakes.edits import made


def test_the_cast_is_replaced() -> None:
    cast = (CastMember(name="Ada"),)
    assert made(SetCast(cast=cast)).board.cast == cast
