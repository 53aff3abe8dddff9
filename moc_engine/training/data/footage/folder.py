"""Finds the stories of footage: clips in folders, videos cut into shots, and storyboards of them.

FOLDER/a.mp4, b.mp4, …      one story, its shots in the order of names, or of the folder's table
FOLDER/SUB/…                a story for each folder with clips
FOLDER/x.yaml               a storyboard of footage: a story; its videos are no clips of their own
a video, with `cut`         a story for each file, cut by PySceneDetect
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.clip_captions import (
    TABLES,
    Row,
    caption_beside,
    caption_of_piece,
    read_table,
    style_of,
)
from moc_engine.training.data.footage.cuts import Cut
from moc_engine.training.data.footage.problems import Problem
from moc_engine.training.data.footage.storyboard import SUFFIXES as STORYBOARDS
from moc_engine.training.data.footage.storyboard import FootageStoryboard, read_storyboard
from moc_engine.training.data.footage.video_reading import SUFFIXES as VIDEOS


@dataclass(frozen=True, kw_only=True)
class FoundClip:
    """A file, or the piece of it from `start` until `end` seconds (None: its end), as a shot."""

    file: Path
    caption: str = ""
    start: float = 0.0
    end: float | None = None


@dataclass(frozen=True, kw_only=True)
class FoundStory:
    """Clips in order; `style` is the global caption."""

    name: str
    clips: tuple[FoundClip, ...]
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class FoundFootage:
    """The stories of a folder or file, and what could not be read on the way."""

    stories: tuple[FoundStory, ...]
    problems: tuple[Problem, ...] = ()


def find_footage(source: Path, cut: Callable[[Path], tuple[Cut, ...]] | None = None) -> FoundFootage:
    """The stories of a folder, of one video or of one storyboard; where `cut` is given, videos are cut by it.

    Raises `FootageError` where there is no such folder or file, or no footage in it.
    """
    problems: list[Problem] = []
    if source.is_file():
        if source.suffix.lower() in STORYBOARDS:
            stories = [_of_storyboard(read_storyboard(source), source.stem)]
        else:
            stories = list(_of_files([source], source.stem, "", {}, cut, problems))
    elif source.is_dir():
        stories = list(_of_folder(source, cut, problems))
    else:
        raise FootageError(f"there is no footage at {source}")
    if not stories and not problems:
        raise FootageError(f"{source} has no footage: no videos and no storyboards")
    return FoundFootage(stories=tuple(_with_own_names(stories)), problems=tuple(problems))


def _of_folder(
    source: Path, cut: Callable[[Path], tuple[Cut, ...]] | None, problems: list[Problem]
) -> Iterator[FoundStory]:
    files = sorted((path for path in _walk(source)), key=_in_order)
    used: set[Path] = set()
    for path in files:
        if path.suffix.lower() in STORYBOARDS:
            try:
                board = read_storyboard(path)
            except FootageError as error:
                problems.append(Problem(kind="unreadable", file=path, text=_without(path, error)))
                continue
            used |= {shot.source.resolve() for shot in board.shots}  # those that are left out too
            yield _of_storyboard(board, path.relative_to(source).with_suffix("").as_posix())
    rows = _rows(files, problems)
    for row in rows.values():
        if not row.file.is_file():
            problems.append(Problem(kind="unreadable", file=row.file, text="is in a table, and not there"))
    videos = [path for path in files if path.suffix.lower() in VIDEOS and path.resolve() not in used]
    groups: dict[tuple[str, Path], list[Path]] = {}
    order = {path: at for at, path in enumerate(rows)}
    for path in sorted(videos, key=lambda path: order.get(path, len(order))):
        told = rows[path].story if path in rows else ""
        groups.setdefault((told or _name(path.parent, source), path.parent), []).append(path)
    for (name, folder), clips in sorted(groups.items(), key=lambda item: (_words(item[0][0]), item[0][1])):
        try:
            style = style_of(folder)
        except FootageError as error:
            problems.append(Problem(kind="unreadable", file=folder, text=_without(folder, error)))
            continue
        yield from _of_files(clips, name, style, rows, cut, problems)


def _of_files(
    files: Iterable[Path],
    name: str,
    style: str,
    rows: dict[Path, Row],
    cut: Callable[[Path], tuple[Cut, ...]] | None,
    problems: list[Problem],
) -> Iterator[FoundStory]:
    """One story of clips, or with `cut` one for each file."""
    clips: list[FoundClip] = []
    for file in files:
        try:
            found = list(_clips(file, rows.get(file), cut))
        except FootageError as error:
            problems.append(Problem(kind="unreadable", file=file, text=_without(file, error)))
            continue
        except OSError as error:
            problems.append(Problem(kind="unreadable", file=file, text=f"cannot be read: {error.strerror}"))
            continue
        if cut is None:
            clips += found
        else:
            yield FoundStory(name=f"{name}/{file.stem}", clips=tuple(found), style=style)
    if clips:
        yield FoundStory(name=name, clips=tuple(clips), style=style)


def _clips(file: Path, row: Row | None, cut: Callable[[Path], tuple[Cut, ...]] | None) -> Iterator[FoundClip]:
    """A file as one clip, or cut into pieces."""
    told = "" if row is None else row.caption
    pieces = () if cut is None else cut(file)
    if len(pieces) < 2:
        yield FoundClip(file=file, caption=told or caption_beside(file))
        return
    for piece in pieces:
        start, end = piece.start_seconds, piece.end_seconds
        yield FoundClip(file=file, caption=caption_of_piece(file, start, end), start=start, end=end)


def _of_storyboard(board: FootageStoryboard, name: str) -> FoundStory:
    clips = [
        FoundClip(file=shot.source, caption=shot.caption, start=shot.start, end=shot.end)
        for shot in board.shots
        if not shot.skip
    ]
    return FoundStory(name=name, clips=tuple(clips), style=board.style)


def _rows(files: Iterable[Path], problems: list[Problem]) -> dict[Path, Row]:
    rows: dict[Path, Row] = {}
    for path in files:
        if path.name in TABLES:
            try:
                rows |= {row.file: row for row in read_table(path)}
            except FootageError as error:
                problems.append(Problem(kind="unreadable", file=path, text=_without(path, error)))
    return rows


def _walk(folder: Path) -> Iterator[Path]:
    """The files below a folder that are not hidden; folders that are linked are not entered."""
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif path.is_file():
            yield path


def _name(folder: Path, source: Path) -> str:
    return source.resolve().name if folder == source else folder.relative_to(source).as_posix()


def _in_order(path: Path) -> tuple[list[tuple[int, int, str]], ...]:
    return tuple(_words(part) for part in path.parts)


def _words(name: str) -> list[tuple[int, int, str]]:
    """A name to sort by: shot 2 comes before shot 10."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part), "") if part[:1].isdecimal() else (1, 0, part.casefold()) for part in parts]


def _with_own_names(stories: Iterable[FoundStory]) -> Iterator[FoundStory]:
    """Each story with a name that no other one has."""
    seen: dict[str, int] = {}
    for story in stories:
        if not story.clips:
            continue
        number = seen[story.name] = seen.get(story.name, 0) + 1
        yield story if number == 1 else replace(story, name=f"{story.name} ({number})")


def _without(path: Path, error: BaseException) -> str:
    """An error's words without the file's name before them, where they begin with it."""
    return str(error).removeprefix(f"{path}").lstrip(", ")
