"""Footage through the service: paths, uploads, storyboard files, removal, the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from moc_engine.training.data.footage.storyboard import read_storyboard
from studio.domain.errors import NotThere, Refused, WrongUse
from studio.domain.footage_edits import CaptionShot, LeaveOut, MoveCut, StyleFootage
from studio.jobs import queue
from studio.service.footage import MOST_OF_FOLDER, FootageLibrary
from studio.service.storage import NO_FOOTAGE
from studio.store.database import Database
from studio.store.footage_files import FootageFiles
from tests.fakes.footage import write_footage
from tests.fakes.inline_studio import Studio


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


@pytest.fixture
def footage(studio: Studio) -> FootageLibrary:
    return studio.service.footage


def read(studio: Studio, film: Path) -> str:
    (made,) = studio.service.footage.add(str(film))
    studio.work()
    return made


def jobs(database: Database) -> int:
    with database.read() as session:
        return len(queue.jobs_of(session))


def test_a_folder_adds_its_videos_once(footage: FootageLibrary, database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    for name in ("b.mp4", "a.MOV", "notes.txt", ".hidden"):
        write_footage(folder / "made.mp4", (2,)).rename(folder / name)
    (folder / "deeper.mp4").mkdir()
    made = footage.add(f"  {folder}/ ")
    assert [footage.state(one).name for one in made] == ["a.MOV", "b.mp4"]
    assert footage.add(str(folder / "b.mp4")) == made[1:]
    assert {one.id for one in footage.listed()} == set(made)
    assert jobs(database) == 2


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere.mp4", "no file or folder"),
        ("~nobody-of-this-name/a.mp4", "no file or folder"),
        ("a\0b.mp4", "no file or folder"),
        ("notes.txt", "no video by its name"),
        ("empty", "no video in the folder"),
        ("full", "more than 100 videos"),
        ("broken.yaml", "broken.yaml"),
        ("gone.yaml", "which is not there"),
        ("long.yaml", "which is not there"),
        ("x" * 300 + ".mp4", "no file or folder"),
    ],
)
def test_a_path_that_is_no_video_is_refused(
    footage: FootageLibrary, tmp_path: Path, path: str, said: str
) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    for number in range(MOST_OF_FOLDER + 1):
        (tmp_path / "full" / f"{number}.mp4").touch()
    (tmp_path / "broken.yaml").write_text("shots: 3")
    (tmp_path / "gone.yaml").write_text("source: gone.mp4\nshots: [{start: 0, end: 1}]")
    (tmp_path / "long.yaml").write_text(f"source: {'x' * 300}.mp4\nshots: [{{start: 0, end: 1}}]")
    with pytest.raises(WrongUse, match=said):
        footage.add(path if path.startswith("~") else str(tmp_path / path))
    assert footage.listed() == []


def test_a_storyboard_is_read_again_with_all_edits(
    studio: Studio, footage: FootageLibrary, tmp_path: Path
) -> None:
    film = write_footage(tmp_path / "films" / "sea & sand.mp4", rate=12)
    made = read(studio, film)
    for edit in (
        MoveCut(shot=1, to=25),
        CaptionShot(shot=0, caption='Mira: "hello" — é'),
        LeaveOut(shot=2, on=True),
        StyleFootage(style="ink"),
    ):
        footage.edit(made, edit, footage.state(made).revision)
    edited = footage.state(made)
    name, text = footage.storyboard(made)
    assert name == "sea-sand.yaml"
    saved = footage.save_storyboard(made)
    assert saved == str(film.with_suffix(".yaml"))
    board = read_storyboard(Path(saved))
    assert (board.title, board.style) == ("sea & sand", "ink")
    assert [(shot.start, shot.end, shot.skip) for shot in board.shots] == [
        (0, 2.083, False),
        (2.083, 5, False),
        (5, 7.5, True),
    ]
    assert {shot.source for shot in board.shots} == {film}
    assert footage.save_storyboard(made) == saved  # its own file is written again

    footage.edit(made, CaptionShot(shot=0, caption="other"), edited.revision)
    assert footage.add(saved) == [made]
    again = footage.state(made)
    assert (again.shots, again.style, again.undo) == (edited.shots, "ink", "open a storyboard")
    footage.edit(made, CaptionShot(shot=0, caption="other"), again.revision)
    assert footage.open_storyboard(text, name) == [made]
    assert footage.state(made).shots == edited.shots

    footage.remove(made)
    (new,) = footage.add(saved)
    studio.work()
    assert new != made
    assert (footage.state(new).shots, footage.state(new).style) == (edited.shots, "ink")


def test_a_storyboard_for_a_video_that_waits_to_be_read(
    studio: Studio, footage: FootageLibrary, database: Database, tmp_path: Path
) -> None:
    film = write_footage(tmp_path / "sea.mp4", rate=12)
    board = tmp_path / "board.yaml"
    board.write_text("source: sea.mp4\nshots: [{start: 1, end: 2, caption: Mira}]")
    (made,) = footage.add(str(film))
    assert footage.add(str(board)) == [made]
    assert jobs(database) == 1
    studio.work()
    told = [(shot.start, shot.end, shot.caption, shot.left_out) for shot in footage.state(made).shots]
    assert told == [(0, 12, "", True), (12, 24, "Mira", False), (24, 90, "", True)]


def test_another_file_is_not_written_over(studio: Studio, footage: FootageLibrary, tmp_path: Path) -> None:
    made = read(studio, write_footage(tmp_path / "sea.mp4"))
    for text in ("title: mine", "source: other.mp4\nshots: [{start: 0, end: 1}]"):
        (tmp_path / "sea.yaml").write_text(text)
        with pytest.raises(Refused, match="there already"):
            footage.save_storyboard(made)
        assert (tmp_path / "sea.yaml").read_text() == text


def test_an_uploaded_video_is_kept_and_removed(
    studio: Studio, footage: FootageLibrary, tmp_path: Path
) -> None:
    sent = write_footage(tmp_path / "sent.mp4")
    with pytest.raises(WrongUse):
        footage.add_upload("notes.txt", sent)
    made = footage.add_upload("../Sea side.MP4", sent)
    assert not sent.exists()
    studio.work()
    there = footage.state(made)
    assert (there.name, there.location, there.missing, len(there.shots)) == (
        "Sea side.MP4",
        "uploaded",
        False,
        3,
    )
    with pytest.raises(Refused, match="uploaded"):
        footage.save_storyboard(made)
    name, text = footage.storyboard(made)
    assert footage.open_storyboard(text, name) == [made]
    bare = "source: Sea side.MP4\nshots: [{start: 0, end: 1, caption: Mira}]"
    assert footage.open_storyboard(bare, "bare.yaml") == [made]
    assert footage.state(made).shots[0].caption == "Mira"
    footage.remove(made)
    assert not FootageFiles(tmp_path).folder(made).exists()
    with pytest.raises(NotThere):
        footage.state(made)


def test_a_video_of_this_machine_stays_when_its_footage_is_removed(
    studio: Studio, footage: FootageLibrary, tmp_path: Path
) -> None:
    film = write_footage(tmp_path / "sea.mp4")
    made = read(studio, film)
    footage.remove(made)
    assert film.is_file()
    assert not FootageFiles(tmp_path).folder(made).exists()


def test_frames_that_are_not_there_are_refused(
    studio: Studio, footage: FootageLibrary, tmp_path: Path
) -> None:
    (made,) = footage.add(str(write_footage(tmp_path / "sea.mp4")))
    with pytest.raises(Refused, match="not been read"):
        footage.stills(made, [0])
    with pytest.raises(Refused, match="not been read"):
        footage.storyboard(made)
    studio.work()
    assert footage.stills(made, [0, 45, 89]).startswith(b"\xff\xd8")
    for frames in ([90], [], [0] * 9):
        with pytest.raises(WrongUse):
            footage.stills(made, frames)


def test_folders_of_footage_that_is_gone_are_freed(
    studio: Studio, footage: FootageLibrary, tmp_path: Path
) -> None:
    made = read(studio, write_footage(tmp_path / "sea.mp4"))
    left = FootageFiles(tmp_path).folder("0" * 16)
    shutil.copytree(FootageFiles(tmp_path).folder(made), left)
    assert studio.service.storage.unused() == ()
    for folder in (left, left.with_name(made)):
        os.utime(folder, (0, 0))
    (unused,) = studio.service.storage.unused()
    assert (unused.location, unused.reason) == (str(left), NO_FOOTAGE)
    assert unused.bytes > 0
    studio.service.storage.collect()
    assert not left.exists()
    assert footage.stills(made, [0])
