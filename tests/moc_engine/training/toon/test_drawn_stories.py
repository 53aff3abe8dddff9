from pathlib import Path

import numpy as np

from moc_engine.training.toon.drawn_stories import (
    Drawing,
    draw,
    draw_stories,
    read_drawn,
    story_file,
    write_drawn,
)
from moc_engine.training.toon.toon_world import ToonWorld

SMALL = Drawing(world=ToonWorld(sets=("beach",)), shots=3, frames=2, fps=2.0, size=(40, 24), seed=5)


def test_a_drawn_story_has_pictures_captions_and_the_truth() -> None:
    story = draw(SMALL, 0)
    assert story.pictures.shape == (3, 2, 24, 40, 3)
    assert story.boxes.shape == (3, 3, 2, 4)
    assert len(story.captions) == len(story.shown) == 3
    for shot, everyone in enumerate(story.shown):
        slots = {shown.slot for shown in everyone}
        width = story.boxes[shot, :, :, 2] - story.boxes[shot, :, :, 0]
        assert {slot for slot in range(3) if width[slot].min() > 0.1} == slots


def test_a_story_depends_on_seed_and_number_alone() -> None:
    assert np.array_equal(draw(SMALL, 1).pictures, draw(SMALL, 1).pictures)
    assert not np.array_equal(draw(SMALL, 1).pictures, draw(SMALL, 2).pictures)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    story = draw(SMALL, 0)
    write_drawn(story, tmp_path / "a.npz")
    read = read_drawn(tmp_path / "a.npz")
    assert np.array_equal(read.pictures, story.pictures)
    assert np.array_equal(read.boxes, story.boxes)
    assert (read.captions, read.shown) == (story.captions, story.shown)


def test_drawing_goes_on_where_it_stopped(tmp_path: Path) -> None:
    assert list(draw_stories(SMALL, range(1), tmp_path, workers=1)) == [0]
    before = story_file(tmp_path, 0).stat().st_mtime_ns
    assert sorted(draw_stories(SMALL, range(3), tmp_path, workers=2)) == [0, 1, 2]
    assert story_file(tmp_path, 0).stat().st_mtime_ns == before
    assert np.array_equal(read_drawn(story_file(tmp_path, 2)).pictures, draw(SMALL, 2).pictures)
