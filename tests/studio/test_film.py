from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import pytest

from moc_engine.errors import RenderCancelled
from studio.errors import DamagedFolder, OutputFailed
from studio.exchange.mp4 import read_recipe
from studio.film import Film, ShotBegins, ShotEnds, assemble, shoot, slug
from studio.planner import plan
from studio.storyboard import CastMember, Settings, Shot, Storyboard
from studio.takes import FilmFolder, Take
from tests.fakes.renderer import FakeRenderer

BOARD = Storyboard(
    title="A test",
    size=(96, 64),
    fps=8.0,
    style="at night",
    cast=(CastMember(name="Mira", look="red"), CastMember(name="Otto")),
    shots=(
        Shot(id="a", caption="Mira waves", seconds=1.0),
        Shot(id="b", caption="Otto sits", seconds=0.5),
        Shot(id="c", caption="Mira and Otto dance", seconds=1.5, pins=("a",), bans=("b",), boosts={"a": 0.5}),
    ),
    settings=Settings(steps=4, top_k=5),
)


@pytest.fixture
def folder(tmp_path: Path) -> FilmFolder:
    made = FilmFolder(tmp_path / "film")
    made.prepare()
    return made


def shot_all(
    board: Storyboard,
    folder: FilmFolder,
    renderer: FakeRenderer,
    *,
    resume: bool = False,
    only: Sequence[int] | None = None,
    cancel: threading.Event | None = None,
) -> tuple[dict[int, Take], list[object]]:
    planned = plan(board, "m", finished=folder.takes(), chosen=folder.chosen(), resume=resume, only=only)
    events: list[object] = []
    shooting = shoot(board, planned, folder, lambda: renderer, cancel)
    while True:
        try:
            events.append(next(shooting))
        except StopIteration as stop:
            return stop.value, events


def make(board: Storyboard, folder: FilmFolder, renderer: FakeRenderer) -> Film:
    takes, _ = shot_all(board, folder, renderer)
    return assemble(board, takes, folder)


def test_a_film_and_what_goes_with_it(folder: FilmFolder) -> None:
    film = make(BOARD, folder, FakeRenderer())
    assert film.path == folder.root / "a-test.mp4"
    assert film.frames == 8 + 4 + 12
    with av.open(film.path) as container:
        assert len(list(container.decode(video=0))) == film.frames
    assert "00:00:01,500 --> 00:00:03,000\nMira and Otto dance" in film.subtitles.read_text()
    assert film.captions.read_text().startswith("WEBVTT")
    assert film.contact_sheet.read_bytes().startswith(b"\x89PNG")
    assert folder.record()["film"] == "a-test.mp4"
    assert not list(folder.root.rglob(".part-*"))


def test_the_renderer_is_asked_for_what_the_storyboard_says(folder: FilmFolder) -> None:
    renderer = FakeRenderer()
    takes, _ = shot_all(BOARD, folder, renderer)
    first, _, third = renderer.requests
    assert first.caption == "Mira waves. Mira is red."
    assert (first.global_caption, first.cast, first.size) == ("at night", ("Mira", "Otto"), (96, 64))
    assert (third.shot, third.seconds, third.fps) == (2, 1.5, 8.0)
    assert [(take.shot, take.id) for take in third.context] == [(0, takes[0].id), (1, takes[1].id)]
    assert third.context[0].caption == "Mira waves. Mira is red."
    assert third.context[0].latents == takes[0].latents
    assert third.context[0].latents.exists()
    assert (third.steering.pins, third.steering.bans, third.steering.boosts) == ((0,), (1,), {0: 0.5})
    assert third.routing is not None
    assert third.routing.top_k == 5
    assert third.sampler is not None
    assert third.sampler.steps == 4
    assert third.recipe["caption"] == "Mira and Otto dance"


def test_what_nobody_set_is_left_to_the_model(folder: FilmFolder) -> None:
    renderer = FakeRenderer()
    shot_all(replace(BOARD, settings=Settings()), folder, renderer)
    assert (renderer.requests[0].routing, renderer.requests[0].sampler) == (None, None)


def test_a_take_is_on_disk_before_it_is_told(folder: FilmFolder) -> None:
    planned = plan(BOARD, "m")
    for event in shoot(BOARD, planned, folder, FakeRenderer):
        if isinstance(event, ShotEnds):
            assert event.take.clip.exists()
            assert event.take.id in folder.takes()
            assert folder.chosen()[event.index] == event.take.id


def test_shots_begin_and_end_in_order(folder: FilmFolder) -> None:
    _, events = shot_all(BOARD, folder, FakeRenderer())
    marks = [(type(e).__name__, e.index) for e in events if isinstance(e, ShotBegins | ShotEnds)]
    assert marks == [(kind, i) for i in range(3) for kind in ("ShotBegins", "ShotEnds")]


def test_resuming_needs_no_renderer_where_all_is_there(folder: FilmFolder) -> None:
    takes, _ = shot_all(BOARD, folder, FakeRenderer())
    planned = plan(BOARD, "m", finished=folder.takes(), resume=True)
    shooting = shoot(BOARD, planned, folder, lambda: pytest.fail("no renderer is needed"))
    with pytest.raises(StopIteration) as stop:
        next(shooting)
    assert {i: take.id for i, take in stop.value.value.items()} == {i: take.id for i, take in takes.items()}


def test_cancelling_keeps_what_is_done_and_nothing_half_done(folder: FilmFolder) -> None:
    cancel = threading.Event()

    def cancel_in_second(shot: int, step: int) -> None:
        if (shot, step) == (1, 2):
            cancel.set()

    with pytest.raises(RenderCancelled):
        shot_all(BOARD, folder, FakeRenderer(cancel_in_second), cancel=cancel)
    assert [take.shot for take in folder.takes().values()] == [0]
    assert len(list(folder.root.glob("takes/*"))) == 1

    renderer = FakeRenderer()
    shot_all(BOARD, folder, renderer, resume=True)
    assert [request.shot for request in renderer.requests] == [1, 2]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_keeps_what_is_done(folder: FilmFolder, number: int) -> None:
    def fail_in_third(shot: int, step: int) -> None:
        if (shot, step) == (2, 3):
            raise OSError(number, os.strerror(number))

    with pytest.raises(OutputFailed):
        shot_all(BOARD, folder, FakeRenderer(fail_in_third))
    assert len(folder.takes()) == 2
    assert not list(folder.root.rglob(".part-*"))
    assert sorted(folder.chosen()) == [0, 1]


def test_a_re_render_of_one_shot_keeps_the_rest(folder: FilmFolder) -> None:
    before, _ = shot_all(BOARD, folder, FakeRenderer())
    board = replace(BOARD, shots=(BOARD.shots[0], replace(BOARD.shots[1], seed=99), BOARD.shots[2]))
    renderer = FakeRenderer()
    after, _ = shot_all(board, folder, renderer, only=[1])
    assert [request.shot for request in renderer.requests] == [1]
    assert [request.seed for request in renderer.requests] == [99]
    assert (after[0].id, after[2].id) == (before[0].id, before[2].id)
    assert after[1].id != before[1].id
    assert before[1].clip.exists()
    assert folder.chosen()[1] == after[1].id


def test_a_damaged_take_counts_as_missing(folder: FilmFolder) -> None:
    takes, _ = shot_all(BOARD, folder, FakeRenderer())
    takes[0].clip.write_bytes(b"short")
    takes[1].latents.unlink()
    (takes[2].folder / "take.json").write_text("{")
    assert folder.takes() == {}


def test_a_take_reads_back_as_it_was(folder: FilmFolder) -> None:
    takes, _ = shot_all(BOARD, folder, FakeRenderer())
    assert folder.takes() == {take.id: take for take in takes.values()}


def test_the_recipe_holds_all_that_is_needed(folder: FilmFolder) -> None:
    recipe = read_recipe(make(BOARD, folder, FakeRenderer()).path)
    board = recipe["storyboard"]
    assert (board["title"], board["seed"], board["cast"][0]["look"]) == ("A test", 0, "red")
    shots = recipe["shots"]
    assert [shot["number"] for shot in shots] == [1, 2, 3]
    assert [shot["seed"] for shot in shots] == [s.inputs.seed for s in plan(BOARD, "m")]
    assert shots[2]["context"] == [shots[0]["take"], shots[1]["take"]]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 99, "shots": []}'])
def test_a_record_that_cannot_be_read(folder: FilmFolder, content: str) -> None:
    (folder.root / "film.json").write_text(content)
    with pytest.raises(DamagedFolder):
        folder.record()
    assert folder.chosen() == {}


def test_the_record_is_json_a_script_can_read(folder: FilmFolder) -> None:
    make(BOARD, folder, FakeRenderer())
    record = json.loads((folder.root / "film.json").read_text())
    assert [shot["caption"] for shot in record["shots"]] == [shot.caption for shot in BOARD.shots]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("The Red Kite!", "the-red-kite"),
        ("Café & Ünï", "cafe-uni"),
        ("世界", "film"),
        ("../../etc/passwd", "etc-passwd"),
        ("a" * 200, "a" * 80),
    ],
)
def test_a_title_as_a_file_name(title: str, name: str) -> None:
    assert slug(title) == name
