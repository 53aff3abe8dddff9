"""Media, exports, bundles and backups."""

from pathlib import Path

import pytest

from studio.domain.edits import AddShot
from studio.domain.errors import BadBundle, NotThere, Refused
from studio.domain.file_types import BUNDLE, EXPORT_FILES, TAKE_FILES
from studio.service.state import ProjectState, ShotState
from studio.store.database import Database
from studio.store.upgrade import open_database
from tests.fakes.inline_studio import BOARD, Studio


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
        assert studio.service.files.media(project, take, kind).suffix == file_type.suffix
    for kind in ("id", "inputs", "", "../clip", "clip.mp4"):
        with pytest.raises(NotThere):
            studio.service.files.media(project, take, kind)
    other = studio.service.projects.create(BOARD)
    with pytest.raises(NotThere):
        studio.service.files.media(other, take, "clip")
    studio.service.files.media(project, take, "clip").unlink()
    with pytest.raises(NotThere, match="the clip of this take is missing"):
        studio.service.files.media(project, take, "clip")


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


def test_a_damaged_bundle_leaves_nothing(studio: Studio, tmp_path: Path) -> None:
    bundle = tmp_path / "bad.mocz"
    bundle.write_bytes(studio.service.files.export(studio.rendered(), BUNDLE).read_bytes()[:-200])
    before = len(studio.service.projects.all())
    with pytest.raises(BadBundle):
        studio.service.files.import_bundle(bundle)
    assert len(studio.service.projects.all()) == before
    assert not list((tmp_path / "scratch").iterdir())


def test_a_backup_opens_as_a_studio(studio: Studio, tmp_path: Path) -> None:
    project = studio.service.projects.create(BOARD)
    copy = studio.service.files.back_up()
    other = tmp_path / "other"
    other.mkdir()
    copy.rename(other / "studio.db")
    database = open_database(other)
    assert Studio(other, database).service.projects.storyboard(project) == BOARD
    database.close()
