"""Draws toon stories in worker processes, one file per story, with the truth beside the pictures.

A story depends only on seed and number, and a file that is there already is kept: a drawing that was ended
goes on where it stopped.

Shapes: N shots, F frames of each, Y and X sides in pixels, A characters that a shot can show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moc_engine.files import atomic_file
from moc_engine.models.animatic.rasterizer.blocking import boxes
from moc_engine.models.animatic.rasterizer.plates import PlateCache
from moc_engine.models.animatic.rasterizer.stage import Stage
from moc_engine.models.animatic.scene import CHARACTER_SLOTS, LATENT_RATE
from moc_engine.training.toon.toon_world import Shown, ToonWorld, sample_toon_story

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn: `shots` shots of `frames` frames each at `fps`, of `size` (width, height)."""

    world: ToonWorld
    shots: int
    frames: int
    fps: float
    size: tuple[int, int]
    seed: int

    @property
    def seconds(self) -> float:
        """The length of a shot."""
        return self.frames / self.fps


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnStory:
    """The pictures (N, F, Y, X, 3) of a story, its captions, and who is where.

    `boxes` (N, A, F, 4) are the characters' left, top, right and bottom as shares of the picture, 0 for one
    that a shot lacks.
    """

    pictures: Pixels
    boxes: Floats
    captions: tuple[str, ...]
    shown: tuple[tuple[Shown, ...], ...]


def draw(drawing: Drawing, number: int) -> DrawnStory:
    """The story of this number."""
    rng = np.random.default_rng((drawing.seed, number))
    story = sample_toon_story(rng, drawing.world, shots=drawing.shots, seconds=drawing.seconds)
    times = [(nth + 0.5) / drawing.fps for nth in range(drawing.frames)]
    pictures, places = [], []
    for shot in story.shots:
        stage = Stage(shot.scene, drawing.size, _plates())
        pictures.append(np.stack([stage.picture(time) for time in times]))
        at = [min(len(shot.scene) - 1, int(time * LATENT_RATE)) for time in times]
        places.append(boxes(shot.scene, drawing.size)[at][:, list(CHARACTER_SLOTS)].swapaxes(0, 1))
    return DrawnStory(
        pictures=np.stack(pictures),
        boxes=np.stack(places).astype(np.float32),
        captions=tuple(shot.caption for shot in story.shots),
        shown=tuple(shot.shown for shot in story.shots),
    )


@cache
def _plates() -> PlateCache:
    """Sets that are painted once in a process; sets without a tint of their own are all alike."""
    return PlateCache()


def draw_stories(drawing: Drawing, numbers: Sequence[int], folder: Path, *, workers: int) -> Iterator[int]:
    """Draws those of `numbers` whose files are not in `folder` yet, and yields each number that is there."""
    wanted = [number for number in numbers if not story_file(folder, number).exists()]
    yield from (number for number in numbers if number not in set(wanted))
    if workers < 2:
        for number in wanted:
            yield _draw_file(drawing, number, folder)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(
            _draw_file, *zip(*((drawing, n, folder) for n in wanted), strict=True), chunksize=8
        )


def story_file(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.npz"


def _draw_file(drawing: Drawing, number: int, folder: Path) -> int:
    write_drawn(draw(drawing, number), story_file(folder, number))
    return number


def write_drawn(story: DrawnStory, path: Path) -> None:
    truth = {"captions": story.captions, "shown": [[asdict(one) for one in shot] for shot in story.shown]}
    with atomic_file(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            pictures=story.pictures,
            boxes=story.boxes,
            truth=np.frombuffer(json.dumps(truth).encode(), np.uint8),
        )


def read_drawn(path: Path) -> DrawnStory:
    """Reads what `write_drawn` wrote; raises `OSError`, `KeyError` or `ValueError` for a damaged file."""
    with np.load(path, allow_pickle=False) as file:
        truth = json.loads(file["truth"].tobytes())
        return DrawnStory(
            pictures=file["pictures"],
            boxes=file["boxes"],
            captions=tuple(truth["captions"]),
            shown=tuple(tuple(_shown(one) for one in shot) for shot in truth["shown"]),
        )


def _shown(fields: dict[str, Any]) -> Shown:
    return Shown(**{**fields, "rgb": tuple(fields["rgb"])})
