"""The cut of a project: which pieces of which takes, and what is made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import pytest

from studio.domain.edits import SetFilm, Skip, Split, Trim
from studio.domain.errors import Refused
from studio.domain.project import Project
from studio.exchange.cut import cut, write_export
from studio.exchange.mp4 import read_recipe
from studio.store.artifacts import Artifacts
from studio.store.takes import StoredTake
from tests.fakes.projects import project, rendered
from tests.fakes.renderer import write_clip

COLOURS = {"a": (200, 40, 40), "b": (40, 200, 40), "c": (40, 40, 200)}


@pytest.fixture
def told(tmp_path: Path) -> tuple[Project, dict[str, StoredTake], Artifacts]:
    """Three rendered shots of 3 s, each in a colour of its own."""
    artifacts = Artifacts(tmp_path)
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
    clips = cut(edited, takes, artifacts)
    assert [(clip.number, clip.piece.first, clip.piece.frames) for clip in clips] == [
        (2, 0, 4),
        (3, 4, 8),
        (4, 2, 6),
    ]
    film = tmp_path / "film.mp4"
    write_export("film.mp4", "A film", clips, film)
    with av.open(film) as container:
        frames = [frame.to_ndarray(format="rgb24").mean(axis=(0, 1)) for frame in container.decode(video=0)]
    assert [int(colour.argmax()) for colour in frames] == [1] * 12 + [2] * 6
    shots = read_recipe(film)["shots"]
    assert [(shot["number"], shot["first_frame"], shot["frames"]) for shot in shots] == [
        (2, 0, 4),
        (3, 4, 8),
        (4, 2, 6),
    ]


def test_subtitles_follow_the_cut(
    told: tuple[Project, dict[str, StoredTake], Artifacts], tmp_path: Path
) -> None:
    done, takes, artifacts = told
    clips = cut(Trim(shot="a", trim=0.0, seconds=1.0).apply(done, takes), takes, artifacts)
    write_export("subtitles.srt", "A film", clips, tmp_path / "x.srt")
    assert "00:00:01,000 --> 00:00:04,000\nOtto runs" in (tmp_path / "x.srt").read_text()
    write_export("captions.vtt", "A film", clips, tmp_path / "x.vtt")
    assert (tmp_path / "x.vtt").read_text().startswith("WEBVTT")
    write_export("contact-sheet.png", "A film", clips, tmp_path / "x.png")
    assert cv2.imread(str(tmp_path / "x.png")) is not None


def test_what_is_missing_is_named(told: tuple[Project, dict[str, StoredTake], Artifacts]) -> None:
    done, takes, artifacts = told
    without = replace(done, chosen={"a": done.chosen["a"]})
    with pytest.raises(Refused, match="shots 2, 3 have no take yet"):
        cut(without, takes, artifacts)
    with pytest.raises(Refused, match="shot 3 has no take yet"):
        cut(done.choosing("c", None), takes, artifacts)
    with pytest.raises(Refused, match="nothing to export"):
        cut(Skip(shots=("a", "b", "c"), on=True).apply(done, takes), takes, artifacts)


def test_takes_of_two_kinds_make_no_film(told: tuple[Project, dict[str, StoredTake], Artifacts]) -> None:
    done, takes, artifacts = told
    other = SetFilm(size=(96, 64)).apply(done, takes)
    name = done.chosen["b"]
    mixed = {**takes, name: replace(takes[name], inputs=replace(takes[name].inputs, size=(96, 64)))}
    with pytest.raises(Refused, match="shot 1, 3 in 64x64 at 4 fps; shot 2 in 96x64"):
        cut(other, mixed, artifacts)
