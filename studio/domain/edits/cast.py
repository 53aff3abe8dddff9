"""Edits of the cast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from studio.domain.errors import Refused, errors_within
from studio.domain.finished_take import Takes
from studio.domain.messages import message
from studio.domain.project import Project
from studio.domain.storyboard import CastMember


@dataclass(frozen=True, kw_only=True)
class SetCast:
    """Replaces the cast, which is in order."""

    cast: tuple[CastMember, ...]
    op: Literal["cast"] = "cast"

    def apply(self, project: Project, takes: Takes) -> Project:
        return replace(project, board=replace(project.board, cast=self.cast))

    def words(self, project: Project) -> str:
        return "change the cast"


@dataclass(frozen=True, kw_only=True)
class SetCastPicture:
    """Sets the picture of the cast member with this name (`picture_name.py`); None for none."""

    name: str
    picture: str | None
    op: Literal["cast_picture"] = "cast_picture"

    def apply(self, project: Project, takes: Takes) -> Project:
        cast = project.board.cast
        index = next((at for at, member in enumerate(cast) if member.name == self.name), None)
        if index is None:
            raise Refused(message("cast-member-not-found", name=self.name))
        with errors_within("cast", index):
            member = replace(cast[index], picture=self.picture)
        changed = (*cast[:index], member, *cast[index + 1 :])
        return replace(project, board=replace(project.board, cast=changed))

    def words(self, project: Project) -> str:
        return f"change {self.name}'s picture"


def with_pictures_of(before: tuple[CastMember, ...], now: tuple[CastMember, ...]) -> tuple[CastMember, ...]:
    """The cast `now`, whose members keep the pictures that they had `before`.

    A member is the one of the same name; where as many are there as before, a new name at the place of one
    that is gone is another name for that one.
    """
    pictures = {member.name: member.picture for member in before}
    names = {member.name for member in now}
    if len(before) == len(now):
        for old, new in zip(before, now, strict=True):
            if old.name not in names:
                pictures.setdefault(new.name, old.picture)
    return tuple(replace(member, picture=pictures.get(member.name)) for member in now)
