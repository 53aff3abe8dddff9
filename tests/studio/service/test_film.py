from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from moc_engine.config import RoutingChoice, SamplerChoice
from moc_engine.errors import RenderCancelled
from studio.domain.errors import DamagedFolder, OutputFailed, WrongUse
from studio.domain.film_plan import ChosenTake, PlannedShot, plan
from studio.domain.storyboard import CastMember, Settings, Shot, Storyboard
from studio.exchange.mp4 import read_recipe
from studio.exchange.takes import FilmFolder, Take
from studio.service.film import Film, ShotBegins, ShotEnds, assemble, check_formats, shoot
from tests.fakes.renderer import FakeRenderer

BOARD = Storyboard(
    title="A test",
    size=(96, 64),
    fps=Fraction(8),
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
    return FilmFolder(tmp_path / "film")


def planned_for(board: Storyboard, folder: FilmFolder, **options: Any) -> tuple[PlannedShot, ...]:
    record = folder.record()
    return plan(board, "m", finished=folder.takes(), chosen=record.shots if record else (), **options)


def chosen(folder: FilmFolder) -> list[str | None]:
    record = folder.record()
    assert record is not None
    return [choice.take for choice in record.shots]


def shot_all(
    board: Storyboard,
    folder: FilmFolder,
    renderer: FakeRenderer,
    *,
    resume: bool = False,
    only: Sequence[int] | None = None,
    cancel: threading.Event | None = None,
) -> tuple[dict[int, Take], list[object]]:
    planned = planned_for(board, folder, resume=resume, only=only)
    events: list[object] = []
    shooting = shoot(board, planned, folder, lambda: renderer, cancel)
    while True:
        try:
            events.append(next(shooting))
        except StopIteration as stop:
            return stop.value, events


def make(board: Storyboard, folder: FilmFolder, renderer: FakeRenderer) -> Film:
    planned = planned_for(board, folder)
    takes, _ = shot_all(board, folder, renderer)
    return assemble(board, planned, takes, folder)


def test_a_film_and_what_goes_with_it(folder: FilmFolder) -> None:
    film = make(BOARD, folder, FakeRenderer())
    assert film.path == folder.root / "a-test.mp4"
    assert film.frames == 8 + 4 + 12
    with av.open(film.path) as container:
        assert len(list(container.decode(video=0))) == film.frames
    assert "00:00:01,500 --> 00:00:03,000\nMira and Otto dance" in film.subtitles.read_text()
    assert film.captions.read_text().startswith("WEBVTT")
    assert film.contact_sheet.read_bytes().startswith(b"\x89PNG")
    record = folder.record()
    assert record is not None
    assert (record.title, record.film) == ("A test", "a-test.mp4")
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
    assert third.context[0].cast == ("Mira", "Otto")
    assert (third.routing.top_k, third.sampler.steps) == (5, 4)
    assert third.recipe["caption"] == "Mira and Otto dance"


def test_what_nobody_set_is_left_to_the_model(folder: FilmFolder) -> None:
    renderer = FakeRenderer()
    shot_all(replace(BOARD, settings=Settings()), folder, renderer)
    first = renderer.requests[0]
    assert (first.routing, first.sampler) == (RoutingChoice(), SamplerChoice())


def test_a_take_is_on_disk_before_it_is_told(folder: FilmFolder) -> None:
    planned = plan(BOARD, "m")
    for event in shoot(BOARD, planned, folder, FakeRenderer):
        if isinstance(event, ShotEnds):
            assert event.take.clip.exists()
            assert event.take.id in folder.takes()
            assert chosen(folder)[event.index] == event.take.id


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
    assert [take is not None for take in chosen(folder)] == [True, True, False]


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
    assert chosen(folder)[1] == after[1].id


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


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "3",
        "[" * 100_000,
        '{"format": 99, "shots": []}',
        '{"format": 1, "title": "x", "film": null}',
        '{"format": 1, "title": "x", "film": null, "shots": 3}',
        '{"format": 1, "title": "x", "film": null, "shots": [3]}',
        '{"format": 1, "title": "x", "film": null, "shots": [{"number": 1, "take": "y"}]}',
        '{"format": 1, "title": "x", "film": null, "shots": [{"caption": "x", "take": ["y"]}]}',
        b"\xff\xfe",
    ],
)
def test_a_record_that_cannot_be_read(folder: FilmFolder, content: str | bytes) -> None:
    folder.root.mkdir()
    (folder.root / "film.json").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DamagedFolder) as caught:
        folder.record()
    assert str(folder.root / "film.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_film_has_no_record(folder: FilmFolder) -> None:
    assert folder.record() is None


def test_a_record_reads_back_as_it_was(folder: FilmFolder) -> None:
    film = make(BOARD, folder, FakeRenderer())
    record = folder.record()
    assert record is not None
    assert record.shots == tuple(
        ChosenTake(caption=shot.caption, take=film.takes[index].id) for index, shot in enumerate(BOARD.shots)
    )


@pytest.mark.parametrize(
    "damage",
    [
        {"frames": "many"},
        {"timings": None},
        {"timings": {"denoise": "long"}},
        {"context": [[1]]},
        {"inputs": {}},
        {"inputs": []},
        {"bytes": []},
        {"bytes": {}},
        {"clip": None},
        {"caption": 3},
        {"id": "0" * 16},
        {"format": 2},
    ],
)
def test_a_take_with_a_damaged_record_counts_as_missing(
    folder: FilmFolder, damage: dict[str, object]
) -> None:
    takes, _ = shot_all(BOARD, folder, FakeRenderer())
    path = takes[1].folder / "take.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    assert sorted(take.shot for take in folder.takes().values()) == [0, 2]


@pytest.mark.parametrize("content", ["[]", "null", "[" * 100_000, b"\xff"])
def test_a_take_with_another_record_counts_as_missing(folder: FilmFolder, content: str | bytes) -> None:
    takes, _ = shot_all(BOARD, folder, FakeRenderer())
    damaged = content.encode() if isinstance(content, str) else content
    (takes[1].folder / "take.json").write_bytes(damaged)
    assert sorted(take.shot for take in folder.takes().values()) == [0, 2]


def test_an_interrupted_re_render_forgets_no_take(folder: FilmFolder) -> None:
    shot_all(BOARD, folder, FakeRenderer())
    before = chosen(folder)
    board = replace(BOARD, style="in the fog")
    cancel = threading.Event()

    def cancel_in_second(shot: int, step: int) -> None:
        if shot == 1:
            cancel.set()

    with pytest.raises(RenderCancelled):
        shot_all(board, folder, FakeRenderer(cancel_in_second), cancel=cancel)
    assert chosen(folder)[0] != before[0]
    assert chosen(folder)[1:] == before[1:]
    takes, _ = shot_all(board, folder, FakeRenderer(), only=[1])
    assert sorted(takes) == [0, 1, 2]


def test_a_skipped_shot_finds_its_take_again(folder: FilmFolder) -> None:
    before, _ = shot_all(BOARD, folder, FakeRenderer())
    one, two, three = BOARD.shots
    shot_all(replace(BOARD, shots=(one, replace(two, skip=True), three)), folder, FakeRenderer())
    record = folder.record()
    assert record is not None
    assert [choice.skipped for choice in record.shots] == [False, True, False]
    board = replace(
        BOARD, shots=(one, replace(two, lock=True), replace(three, lock=True)), style="in the fog"
    )
    after, _ = shot_all(board, folder, FakeRenderer())
    assert after[1].id == before[1].id


def test_a_locked_take_goes_where_its_shot_goes(folder: FilmFolder) -> None:
    before, _ = shot_all(BOARD, folder, FakeRenderer())
    one, two, three = BOARD.shots
    three = replace(three, lock=True, pins=(), bans=(), boosts={})
    board = replace(BOARD, shots=(Shot(id="new", caption="a ball", seconds=0.5), three, one, two))
    after, _ = shot_all(board, folder, FakeRenderer())
    assert after[1].id == before[2].id
    assert chosen(folder) == [after[i].id for i in range(4)]


def test_what_goes_with_a_film_speaks_of_its_takes(folder: FilmFolder) -> None:
    shot_all(BOARD, folder, FakeRenderer())
    one, two, three = BOARD.shots
    board = replace(BOARD, shots=(one, replace(two, caption="Otto jumps", seconds=3.0), three))
    planned = planned_for(board, folder, only=[0])
    takes, _ = shot_all(board, folder, FakeRenderer(), only=[0])
    film = assemble(board, planned, takes, folder)
    told = film.subtitles.read_text()
    assert "00:00:01,000 --> 00:00:01,500\nOtto sits" in told
    assert "Otto jumps" not in told
    record = folder.record()
    assert record is not None
    assert record.shots[1].caption == "Otto sits"


@pytest.mark.parametrize("change", [{"size": (64, 96)}, {"fps": 12.0}])
def test_takes_of_another_size_or_rate_are_refused_beforehand(
    folder: FilmFolder, change: dict[str, Any]
) -> None:
    shot_all(BOARD, folder, FakeRenderer())
    board = replace(BOARD, **change)
    with pytest.raises(
        WrongUse, match=r"shot 1, 3 in 96x64 at 8 fps; shot 2 in (64x96 at 8|96x64 at 12) fps"
    ):
        check_formats(planned_for(board, folder, only=[1]), folder.takes())
    one, two, three = board.shots
    locked = replace(board, shots=(one, two, replace(three, lock=True)))
    with pytest.raises(WrongUse, match="shot 3 in 96x64 at 8 fps"):
        check_formats(planned_for(locked, folder), folder.takes())
    check_formats(planned_for(board, folder), folder.takes())
    all_locked = replace(board, shots=tuple(replace(shot, lock=True) for shot in board.shots))
    check_formats(planned_for(all_locked, folder), folder.takes())


def test_nothing_is_left_where_nothing_was_rendered(folder: FilmFolder) -> None:
    def fail(shot: int, step: int) -> None:
        raise RenderCancelled

    with pytest.raises(RenderCancelled):
        shot_all(BOARD, folder, FakeRenderer(fail))
    assert not folder.root.exists()


def test_the_record_is_json_a_script_can_read(folder: FilmFolder) -> None:
    make(BOARD, folder, FakeRenderer())
    record = json.loads((folder.root / "film.json").read_text())
    assert [shot["caption"] for shot in record["shots"]] == [shot.caption for shot in BOARD.shots]
