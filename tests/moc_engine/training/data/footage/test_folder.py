"""Stories are found in folders, tables, storyboards and videos that are cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.cuts import Cut
from moc_engine.training.data.footage.folder import FoundClip, FoundStory, find_footage


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def names(story: FoundStory) -> list[str]:
    return [clip.file.name for clip in story.clips]


def test_a_folder_of_clips_is_a_story_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path / "film", "shot 10.mp4", "shot 2.MOV", "Shot 1.mkv", ".hidden.mp4", "notes.doc")
    (tmp_path / "film" / "shot 2.txt").write_text("two")
    (tmp_path / "film" / "style.txt").write_text("ink")
    (story,) = find_footage(tmp_path / "film").stories
    assert (story.name, story.style) == ("film", "ink")
    assert names(story) == ["Shot 1.mkv", "shot 2.MOV", "shot 10.mp4"]
    assert [clip.caption for clip in story.clips] == ["", "two", ""]


def test_each_folder_is_a_story(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.mp4", "a/x/1.mp4", "a/x/2.mp4", "c/none.txt", ".cache/1.mp4")
    stories = find_footage(tmp_path).stories
    assert [(story.name, len(story.clips)) for story in stories] == [("a/x", 2), ("b", 1)]


def test_a_table_gives_captions_order_and_stories(tmp_path: Path) -> None:
    touch(tmp_path, "v/1.mp4", "v/2.mp4", "v/3.mp4", "v/4.mp4")
    (tmp_path / "v" / "3.txt").write_text("beside")
    (tmp_path / "metadata.csv").write_text(
        "file_name,caption,story\nv/4.mp4,four,first\nv/2.mp4,two,second\nv/1.mp4,one,first\nv/3.mp4,,\nv/9.mp4,x,\n"
    )
    found = find_footage(tmp_path)
    assert [(story.name, names(story)) for story in found.stories] == [
        ("first", ["4.mp4", "1.mp4"]),
        ("second", ["2.mp4"]),
        ("v", ["3.mp4"]),
    ]
    assert [clip.caption for story in found.stories for clip in story.clips] == [
        "four",
        "one",
        "two",
        "beside",
    ]
    (missing,) = found.problems
    assert (missing.file.name, missing.text) == ("9.mp4", "is in a table, and not there")


def test_a_storyboard_may_lie_elsewhere_and_leave_a_video_out(tmp_path: Path) -> None:
    touch(tmp_path, "film.mp4", "left out.mp4")
    (tmp_path / "cuts").mkdir()
    (tmp_path / "cuts" / "cut.yaml").write_text(
        "source: ../film.mp4\nshots:\n  - {start: 0, end: 1, caption: a}\n"
        "  - {start: 0, end: 1, source: ../left out.mp4, skip: true}\n"
    )
    (story,) = find_footage(tmp_path).stories
    assert (story.name, len(story.clips)) == ("cuts/cut", 1)
    assert story.clips[0].file.samefile(tmp_path / "film.mp4")


def test_storyboards_are_stories_and_their_videos_are_no_clips(tmp_path: Path) -> None:
    touch(tmp_path, "film.mp4", "other.mp4")
    (tmp_path / "cut.yaml").write_text(
        "title: x\nstyle: ink\nsource: film.mp4\nshots:\n  - {start: 0, end: 1, caption: a}\n"
        "  - {start: 1, end: 2, skip: true}\n  - {start: 2, end: 3, caption: b}\n"
    )
    cut, rest = find_footage(tmp_path).stories
    film = tmp_path / "film.mp4"
    assert cut == FoundStory(
        name="cut",
        style="ink",
        clips=(
            FoundClip(file=film, caption="a", start=0.0, end=1.0),
            FoundClip(file=film, caption="b", start=2.0, end=3.0),
        ),
    )
    assert names(rest) == ["other.mp4"]
    assert find_footage(tmp_path / "cut.yaml").stories == (cut,)


def test_videos_are_cut(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "c.txt").write_text("one shot")
    (tmp_path / "a.srt").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nMira\n\n2\n00:00:01,000 --> 00:00:03,000\nOtto"
    )

    def cut(file: Path) -> tuple[Cut, ...]:
        if file.name == "b.mp4":
            raise FootageError(f"{file} is empty")
        if file.name == "c.mp4":
            return (Cut(start_seconds=0.0, end_seconds=1.0),)
        return Cut(start_seconds=0.0, end_seconds=1.0), Cut(start_seconds=1.0, end_seconds=2.5)

    found = find_footage(tmp_path, cut)
    assert [(clip.caption, clip.start, clip.end) for clip in found.stories[0].clips] == [
        ("Mira", 0.0, 1.0),
        ("Otto", 1.0, 2.5),
    ]
    assert [story.name for story in found.stories] == [f"{tmp_path.name}/a", f"{tmp_path.name}/c"]
    assert found.stories[1].clips == (FoundClip(file=tmp_path / "c.mp4", caption="one shot"),)
    assert [(problem.file.name, problem.text) for problem in found.problems] == [("b.mp4", "is empty")]
    assert find_footage(tmp_path / "a.mp4", cut).stories[0].name == "a/a"


def test_what_cannot_be_read_is_a_problem_and_the_rest_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "1.txt").write_bytes(b"\xff")
    (tmp_path / "bad.yaml").write_text("title: [")
    (tmp_path / "metadata.jsonl").write_text("{")
    found = find_footage(tmp_path)
    assert [names(story) for story in found.stories] == [["2.mp4"]]
    assert {problem.file.name for problem in found.problems} == {"1.mp4", "bad.yaml", "metadata.jsonl"}
    assert all(problem.kind == "unreadable" for problem in found.problems)


def test_no_footage_is_told(tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="no footage at"):
        find_footage(tmp_path / "nowhere")
    with pytest.raises(FootageError, match="has no footage"):
        find_footage(tmp_path)


def test_stories_of_one_name_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4")
    (tmp_path / "a.yaml").write_text("source: x.mp4\nshots:\n  - {start: 0, end: 1}\n")
    assert [story.name for story in find_footage(tmp_path).stories] == ["a", "a (2)"]
