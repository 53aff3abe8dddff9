"""What version 0.1 wrote opens: a studio's folder, a bundle and a film, with nothing outdated by the upgrade.

`tests/data/version-0.1` was made by that version, with the embedded model.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import pytest

from studio.exchange.mp4 import recipe_in
from studio.service.state import ProjectState
from studio.service.studio import Service
from studio.service.traces import TraceSlice
from studio.store import projects, takes
from studio.store.database import Database
from studio.store.model_identity import identify
from studio.store.upgrade import open_database
from tests.fakes.artifact_paths import path_of

OLD = Path(__file__).parents[2] / "data" / "version-0.1"
OLD_IDS = ("d1bce21bfd160af3", "b170f7163c4a6fae", "5353dcbac8dd68f3")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD / "root", tmp_path / "root"))


@pytest.fixture
def opened(root: Path) -> Iterator[Database]:
    database = open_database(root)
    yield database
    database.close()


def check(service: Service, project: str) -> ProjectState:
    """The state of the old story, of which everything is there and shows."""
    state = service.projects.state(project)
    assert state.title == "An old story"
    assert state.size == (160, 90)
    assert [member.name for member in state.cast] == ["Mira", "Otto"]
    assert [(shot.state, shot.reasons) for shot in state.shots] == [("fresh", ())] * 3
    assert state.due == 0
    for number, shot in enumerate(state.shots):
        (take,) = shot.takes
        assert take.chosen
        assert take.id == shot.take
        assert [place for place, _ in take.context] == list(range(number))
        with av.open(path_of(service.files.media(project, take.id, "clip"))) as clip:
            assert sum(1 for _ in clip.decode(video=0)) == take.frames == 12
        chunks = service.routing.chunk_map(project, take.id, TraceSlice())
        assert chunks.query
    rows = service.routing.story(project).rows
    assert len(rows) == 3
    return state


def test_a_studios_folder_opens_with_nothing_outdated(root: Path, opened: Database) -> None:
    service = Service(root, opened)
    (listed,) = service.projects.all()
    state = check(service, listed.id)
    assert state.shots[2].pins == (state.shots[0].id,)
    assert {take.id for shot in state.shots for take in shot.takes}.isdisjoint(OLD_IDS)


def test_takes_have_their_new_ids_everywhere(root: Path, opened: Database) -> None:
    with opened.read() as session:
        (listed,) = projects.listed(session)
        known = takes.takes_of(session, listed.id)
        jobs = session.connection().exec_driver_sql("SELECT * FROM job").mappings().all()
        dump = "\n".join(session.connection().connection.driver_connection.iterdump())  # type: ignore[union-attr]
    assert {take.former_ids for take in known.values()} == {(old,) for old in OLD_IDS}
    for take in known.values():
        assert take.id == take.inputs.take_id
        assert take.inputs.model == identify(None)
        assert take.program == "moc-studio 0.1.0"
        assert (take.device, take.dtype) == (None, None)
    assert len(jobs) == 3
    assert [dump.count(old) for old in OLD_IDS] == [1, 1, 1]  # as a former id


def test_takes_of_equal_inputs_become_one(root: Path) -> None:
    with closing(sqlite3.connect(root / "studio.db")) as old, old:
        for release in ("0.1.1", "0.1.2"):  # the release was part of a take's id
            for table, take in (("take", "id"), ("strip", "take")):
                old.execute(f"CREATE TEMP TABLE copy AS SELECT * FROM {table} WHERE {take} = '{OLD_IDS[1]}'")
                old.execute(f"UPDATE copy SET {take} = 'by-{release}'")
                if table == "take":
                    old.execute("UPDATE copy SET inputs = replace(inputs, '(0.1.0)', ?)", (f"({release})",))
                old.execute(f"INSERT INTO {table} SELECT * FROM copy")
                old.execute("DROP TABLE copy")
    database = open_database(root)
    try:
        service = Service(root, database)
        (listed,) = service.projects.all()
        check(service, listed.id)
        with database.read() as session:
            known = takes.takes_of(session, listed.id)
        assert sorted(len(take.former_ids) for take in known.values()) == [1, 1, 3]
    finally:
        database.close()


def test_a_trace_names_takes_by_the_ids_of_today(root: Path, opened: Database) -> None:
    service = Service(root, opened)
    (listed,) = service.projects.all()
    first, second, third = service.projects.state(listed.id).shots
    looked = service.attention.of_part(listed.id, str(third.take), 0, TraceSlice())
    assert {drawn.take for drawn in looked.drawn if drawn.shot is not None} == {first.take, second.take}


def test_a_bundle_opens_with_nothing_outdated(tmp_path: Path, database: Database) -> None:
    service = Service(tmp_path, database)
    project = service.files.import_bundle(OLD / "an-old-story.mocz")
    check(service, project)
    again = service.files.import_bundle(service.files.export(project, "project.mocz"))
    check(service, again)


def test_a_film_carries_its_recipe() -> None:
    film = OLD / "an-old-story.mp4"
    with av.open(film) as container:
        assert sum(1 for _ in container.decode(video=0)) == 36
    recipe = recipe_in(film)
    assert [shot["take"] for shot in recipe["shots"]] == list(OLD_IDS)


def test_a_film_becomes_a_project(tmp_path: Path) -> None:
    with closing(open_database(tmp_path)) as database:
        service = Service(tmp_path, database)
        project = service.files.import_film(OLD / "an-old-story.mp4")
        board = service.projects.storyboard(project)
    assert (board.title, board.fps, board.size) == ("An old story", 12, (160, 90))
    assert [shot.seed for shot in board.shots][:1] == [3336991624]
    assert board.shots[0].caption.startswith("Mira walks right on the beach.")
