"""Media, exports, bundles and backups."""

import shutil
from pathlib import Path

import pytest

from studio.domain.edits.timeline import AddShot
from studio.domain.errors import BadBundle, NotThere, Refused
from studio.domain.file_types import BUNDLE, EXPORT_FILES, TAKE_FILES
from studio.service.state import ProjectState, ShotState
from studio.service.studio import Service
from studio.store.artifact_place import CACHE
from studio.store.database import Database
from studio.store.documents import to_document
from studio.store.upgrade import open_database
from tests.fakes.artifact_paths import path_of
from tests.fakes.artifact_stores import S3Store
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.postgresql_server import PostgresqlServer
from tests.fakes.projects import project
from tests.fakes.s3 import S3


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def shot(state: ProjectState, name: str) -> ShotState:
    return next(shot for shot in state.shots if shot.id == name)


def test_takes_have_their_files(studio: Studio) -> None:
    project = studio.rendered()
    take = shot(studio.service.projects.state(project), "a").take
    assert take is not None
    for kind, file_type in TAKE_FILES.items():
        assert path_of(studio.service.files.media(project, take, kind)).suffix == file_type.suffix
    for kind in ("id", "inputs", "", "../clip", "clip.mp4"):
        with pytest.raises(NotThere):
            studio.service.files.media(project, take, kind)
    other = studio.service.projects.create(BOARD)
    with pytest.raises(NotThere):
        studio.service.files.media(other, take, "clip")
    path_of(studio.service.files.media(project, take, "clip")).unlink()
    with pytest.raises(NotThere, match="the clip of this take is missing"):
        studio.service.files.media(project, take, "clip")


def test_files_in_s3_are_those_in_a_folder(studio: Studio, tmp_path: Path, s3: S3) -> None:
    project = studio.rendered()
    local = studio.service
    artifacts = S3Store(tmp_path, s3).opened()
    for file in studio.artifacts():
        artifacts.put(file)
    shutil.rmtree(tmp_path / CACHE)
    remote = Service(tmp_path, studio.database, artifacts=artifacts)
    take = shot(local.projects.state(project), "b").take
    assert take is not None
    assert remote.files.still(project, take, 3) == local.files.still(project, take, 3)
    assert remote.files.media(project, take, "clip") != local.files.media(project, take, "clip")
    for kind in ("film.mp4", "contact-sheet.png", BUNDLE):
        assert (
            remote.files.export(project, kind).read_bytes() == local.files.export(project, kind).read_bytes()
        )
    assert remote.routing.table(project, take, "csv") == local.routing.table(project, take, "csv")
    written = remote.film_folders.write_take(project, 2, take, tmp_path / "folder")
    assert written["clip"].read_bytes() == path_of(local.files.media(project, take, "clip")).read_bytes()


def test_the_cut_is_exported(studio: Studio) -> None:
    project = studio.rendered()
    for kind in EXPORT_FILES:
        file = studio.service.files.export(project, kind)
        assert file.stat().st_size > 0
        assert file.suffix == Path(kind).suffix
    assert "Mira waves" in studio.service.files.export(project, "subtitles.srt").read_text()
    with pytest.raises(NotThere, match="there is no export called film\\.gif"):
        studio.service.files.export(project, "film.gif")
    studio.service.editing.edit(project, AddShot(caption="Mira rests"), base=0)
    with pytest.raises(Refused, match="shot 4 has no take yet"):
        studio.service.files.export(project, "film.mp4")
    with pytest.raises(NotThere):
        studio.service.files.export("gone", "film.mp4")


def test_a_bundle_makes_the_same_project_elsewhere(studio: Studio, tmp_path: Path) -> None:
    project = studio.rendered()
    studio.service.rendering.reroll(project, "b")
    studio.work()
    bundle = studio.service.files.export(project, BUNDLE)
    elsewhere = tmp_path / "elsewhere"
    database = open_database(elsewhere)
    other = Studio(elsewhere, database)
    again = other.service.files.import_bundle(bundle)
    assert other.service.projects.state(again).shots == studio.service.projects.state(project).shots
    assert other.service.files.export(again, BUNDLE).read_bytes() == bundle.read_bytes()
    database.close()


@pytest.mark.parametrize("pictures", [7, None, ["0" * 64], [{}]])
def test_a_bundle_without_its_pictures_is_refused(studio: Studio, pictures: object) -> None:
    record = {"project": to_document(project("Mira waves")), "takes": [], "strips": [], "pictures": pictures}
    with pytest.raises(BadBundle):
        studio.service.files.import_record(record, {})
    assert not studio.service.projects.all()


def test_a_damaged_bundle_leaves_nothing(studio: Studio, tmp_path: Path) -> None:
    bundle = tmp_path / "bad.mocz"
    bundle.write_bytes(studio.service.files.export(studio.rendered(), BUNDLE).read_bytes()[:-200])
    before = len(studio.service.projects.all())
    with pytest.raises(BadBundle):
        studio.service.files.import_bundle(bundle)
    assert len(studio.service.projects.all()) == before
    assert not list((tmp_path / "scratch").iterdir())


def test_a_backup_opens_as_a_studio(file_database: Database, tmp_path: Path) -> None:
    studio = Studio(tmp_path, file_database)
    project = studio.service.projects.create(BOARD)
    copy = studio.service.files.back_up()
    other = tmp_path / "other"
    other.mkdir()
    copy.rename(other / "studio.db")
    database = open_database(other)
    assert Studio(other, database).service.projects.storyboard(project) == BOARD
    database.close()


def test_a_database_on_a_server_is_backed_up_by_its_tools(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    url = postgresql.new()
    database = open_database(tmp_path, url)
    with pytest.raises(Refused, match="is on a server: back it up by pg_dump"):
        Studio(tmp_path, database).service.files.back_up()
    database.close()
    postgresql.drop(url)
