"""The pictures that projects have."""

from __future__ import annotations

from studio.store import picture_rows, projects, takes
from studio.store.artifacts import YOUNG, Artifact
from studio.store.database import Database
from tests.fakes.clock import FakeClock
from tests.fakes.projects import project


def test_a_picture_that_is_added_again_is_young_again(database: Database) -> None:
    clock = FakeClock()
    timed, digest = Database(database.url, clock), "a" * 64
    with timed.write() as session:
        name = projects.create(session, project("one"), now=clock())
        takes.keep_artifacts(session, [Artifact(digest=digest, suffix=".png", bytes=9)], clock())
        picture_rows.keep(session, name, digest, clock())
    clock.now += YOUNG + 1
    with timed.write() as session:
        assert picture_rows.unnamed(session) == {(name, digest)}
        picture_rows.keep(session, name, digest, clock())
        picture_rows.forget_unnamed(session)
        assert picture_rows.is_kept(session, name, digest)
    timed.close()
