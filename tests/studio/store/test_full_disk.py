"""A studio on a disk of its own that fills up, a little later each time: nothing is torn, and all is said."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from studio.domain.edits.shot_inputs import SetCaption
from studio.domain.errors import OutputFailed
from studio.domain.file_types import BUNDLE
from studio.store.tables import ArtifactRow
from studio.store.upgrade import open_database
from tests.fakes.inline_studio import Studio
from tests.fakes.small_disk import SIZE, SmallDisk, small_disk

PAGE = 4096
STEP = int(os.environ.get("SOAK_FULL_PAGES", "2")) * PAGE
"""How much more room there is each time."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as mounted:
        yield mounted


Work = Callable[[Studio, str], None]


def edit(studio: Studio, project: str) -> None:
    """A text long enough to need room of its own."""
    state = studio.service.projects.state(project)
    caption = f"Mira waves {state.revision} " + "again " * 300
    studio.service.editing.edit(project, SetCaption(shot="a", caption=caption), base=state.revision)


def render(studio: Studio, project: str) -> None:
    """Raises what the job says where it failed, as the page shows it."""
    (job,) = studio.service.rendering.reroll(project, "b", seed=len(studio.service.queue.state().jobs))
    studio.work()
    (ended,) = studio.service.queue.jobs((job,))
    if ended.state != "done":
        assert ended.state == "failed"
        raise OutputFailed(ended.error or "")


def import_bundle(studio: Studio, project: str) -> None:
    studio.service.files.import_bundle(studio.service.root.parent / BUNDLE)


def export_bundle(studio: Studio, project: str) -> None:
    studio.service.files.export(project, BUNDLE)


def export_film(studio: Studio, project: str) -> None:
    studio.service.files.export(project, "film.mp4")


def back_up(studio: Studio, project: str) -> None:
    studio.service.files.back_up()


@pytest.mark.parametrize("work", [edit, render, import_bundle, export_bundle, export_film, back_up])
def test_a_full_disk_loses_nothing(disk: SmallDisk, tmp_path: Path, work: Work) -> None:
    with closing(open_database(disk.place)) as database:
        studio = Studio(disk.place, database)
        project = studio.rendered()
        shutil.copy(studio.service.files.export(project, BUNDLE), tmp_path / BUNDLE)
        room = refused = 0
        while True:
            disk.leave(room)
            before = studio.service.projects.state(project)
            said = tried(work, studio, project)
            check(studio)
            if said is None:
                break
            assert f"the disk is full: free some space for {disk.place}" in said
            refused += 1
            assert studio.service.projects.state(project) == before  # read while there is no room
            room += STEP
            assert room < SIZE
        disk.free()
        work(studio, project)
        studio.work()
        check(studio)
        assert {job.state for job in studio.service.queue.state().jobs} <= {"done", "failed"}
        assert refused > 0
        print(f"\n{work.__name__}: refused {refused} times, with up to {room - STEP} bytes of room")


def tried(work: Work, studio: Studio, project: str) -> str | None:
    """What is said where it does not work."""
    try:
        work(studio, project)
    except OutputFailed as error:
        return str(error)
    return None


def check(studio: Studio) -> None:
    """The database is sound, and each file is what its name says; there is nothing half-written."""
    with studio.database.read() as session:
        assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]
        assert session.connection().exec_driver_sql("PRAGMA foreign_key_check").all() == []
        known = {row.digest for row in session.query(ArtifactRow)}
    files = studio.artifacts()
    assert known <= {file.stem for file in files}
    for file in files:
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.stem
    left = [
        path for name in ("scratch", "exports", "backups") for path in (studio.service.root / name).rglob("*")
    ]
    assert [path for path in left if path.name.startswith(".")] == []
