"""The pictures that projects have."""

from __future__ import annotations

from studio.jobs import claims, queue
from studio.jobs.order import RenderOrder
from studio.store import picture_rows, projects
from studio.store.artifacts import YOUNG
from studio.store.database import Database
from studio.store.tables import ArtifactRow
from tests.fakes.clock import FakeClock
from tests.fakes.projects import project


def test_a_picture_that_is_added_again_is_young_again(database: Database) -> None:
    clock = FakeClock()
    timed, digest = Database(database.url, clock), "a" * 64
    with timed.write() as session:
        name = projects.create(session, project("one"), now=clock())
        session.add(ArtifactRow(digest=digest, suffix=".png", bytes=9, created=clock()))
        session.flush()
        picture_rows.keep(session, name, digest, clock())
    clock.now += YOUNG + 1
    with timed.write() as session:
        assert picture_rows.unnamed(session) == {(name, digest)}
        picture_rows.keep(session, name, digest, clock())
        picture_rows.forget_unnamed(session)
        assert picture_rows.is_kept(session, name, digest)
    timed.close()


def test_pictures_are_kept_while_a_shot_of_their_project_is_rendered(database: Database) -> None:
    clock, digest = FakeClock(), "a" * 64
    timed = Database(database.url, clock)
    with timed.write() as session:
        name = projects.create(session, project("one"), now=clock())
        session.add(ArtifactRow(digest=digest, suffix=".png", bytes=9, created=clock()))
        session.flush()
        picture_rows.keep(session, name, digest, clock())
        shot = projects.project_of(session, name).board.shots[0].id
        queue.enqueue(session, name, [RenderOrder(shot=shot, reason="missing", seconds=1.0)])
        claim = claims.claim(session, "w")
        assert claim is not None
    clock.now += YOUNG + 1
    with timed.write() as session:
        picture_rows.forget_unnamed(session)
        assert picture_rows.is_kept(session, name, digest)
        claims.finish(session, claim, "t")
        picture_rows.forget_unnamed(session)
        assert not picture_rows.is_kept(session, name, digest)
    timed.close()
