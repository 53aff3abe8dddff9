"""What is made of a project's cut: the film, its subtitles and the contact sheet."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from studio.domain.cut import cut_of
from studio.domain.edits.timeline import Skip, Split, Trim
from studio.domain.project import Project
from studio.exchange.exports import write_export
from studio.exchange.mp4 import recipe_in
from studio.exchange.recipe import read_recipe
from studio.store.artifacts import Artifacts
from studio.store.takes import StoredTake
from tests.fakes.artifact_stores import Store
from tests.fakes.pictures import read_picture
from tests.fakes.projects import project, rendered
from tests.fakes.renderer import write_clip

COLOURS = {"a": (200, 40, 40), "b": (40, 200, 40), "c": (40, 40, 200)}


@pytest.fixture
def told(store: Store, tmp_path: Path) -> tuple[Project, dict[str, StoredTake], Artifacts]:
    """Three rendered shots of 3 s, each in a colour of its own."""
    artifacts = store.opened()
    start = project("Mira waves", "Otto runs", "Mira sits", size=(64, 64), fps=4.0)
    done, takes = rendered(start)
    kept = {}
    for shot, take_id in done.chosen.items():
        clip = tmp_path / f"{shot}.mp4"
        write_clip(clip, COLOURS[shot], seconds=3.0, fps=4.0, size=(64, 64))
        take = takes[take_id]
        kept[take_id] = StoredTake(
            **{name: getattr(take, name) for name in take.__dataclass_fields__},
            backend="fake",
            timings={},
            own_share=None,
            clip=artifacts.put(clip).digest,
            latents="",
            trace="",
            thumbnail="",
            created=0.0,
        )
    return done, kept, artifacts


def test_the_cut_is_what_shows(
    told: tuple[Project, dict[str, StoredTake], Artifacts], tmp_path: Path
) -> None:
    done, takes, artifacts = told
    edited = Split(shot="b", at=1.0, id="b2").apply(done, takes)
    edited = Trim(shot="c", trim=0.5, seconds=1.5).apply(edited, takes)
    edited = Skip(shots=("a",), on=True).apply(edited, takes)
    clips = cut_of(edited, takes)
    assert [(clip.number, clip.first, clip.frames) for clip in clips] == [
        (2, 0, 4),
        (3, 4, 8),
        (4, 2, 6),
    ]
    film = tmp_path / "film.mp4"
    write_export("film.mp4", edited, clips, artifacts, film)
    with av.open(film) as container:
        frames = [frame.to_ndarray(format="rgb24").mean(axis=(0, 1)) for frame in container.decode(video=0)]
    assert [int(colour.argmax()) for colour in frames] == [1] * 12 + [2] * 6
    recipe = read_recipe(recipe_in(film))
    assert [(take.shot, take.first, take.frames) for take in recipe.takes] == [
        ("b", 0, 4),
        ("b2", 4, 8),
        ("c", 2, 6),
    ]
    assert recipe.board == edited.board


def test_subtitles_follow_the_cut(
    told: tuple[Project, dict[str, StoredTake], Artifacts], tmp_path: Path
) -> None:
    done, takes, artifacts = told
    clips = cut_of(Trim(shot="a", trim=0.0, seconds=1.0).apply(done, takes), takes)
    write_export("subtitles.srt", done, clips, artifacts, tmp_path / "x.srt")
    assert "00:00:01,000 --> 00:00:04,000\nOtto runs" in (tmp_path / "x.srt").read_text()
    write_export("captions.vtt", done, clips, artifacts, tmp_path / "x.vtt")
    assert (tmp_path / "x.vtt").read_text().startswith("WEBVTT")
    write_export("contact-sheet.png", done, clips, artifacts, tmp_path / "x.png")
    assert read_picture(tmp_path / "x.png").size


def test_both_halves_of_a_split_have_stills_of_their_own(
    told: tuple[Project, dict[str, StoredTake], Artifacts], tmp_path: Path
) -> None:
    """The bar moves to the right through a clip: where it stands says which frame is drawn."""
    done, takes, artifacts = told
    clips = cut_of(Split(shot="a", at=1.0, id="a2").apply(done, takes), takes)
    write_export("contact-sheet.png", done, clips, artifacts, tmp_path / "x.png")
    sheet = read_picture(tmp_path / "x.png")
    row = sheet[128 + 200, :, :].min(axis=1)  # through the first two stills, 400 pixels wide
    first, second = (float(np.nonzero(row[left : left + 400] > 200)[0].mean()) for left in (32, 456))
    assert first == pytest.approx(400 / 64 * (2 * 56 // 12 + 4), abs=12)
    assert second == pytest.approx(400 / 64 * (8 * 56 // 12 + 4), abs=12)
