"""The routing service: each call, with a real database and takes of flat colours whose traces are known."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moc_engine.trace.record import EMPTY
from moc_engine.trace.trace_file import write_trace
from studio.domain.edits.shot_inputs import Steer
from studio.domain.edits.timeline import Skip
from studio.domain.errors import NotThere, WrongUse
from studio.inspect.sources import NOBODY
from studio.service.studio import Service
from studio.service.traces import TraceSlice
from studio.store.database import Database
from studio.store.upgrade import open_database
from tests.fakes.artifact_paths import artifact_path, path_of
from tests.fakes.inline_studio import Studio
from tests.fakes.traces import third_shot

ALL = TraceSlice()


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str, list[str]]]:
    """A service, a rendered project and its chosen takes, for tests that only look."""
    root = tmp_path_factory.mktemp("shared")
    database = open_database(root)
    studio = Studio(root, database)
    project = studio.rendered()
    yield studio.service, project, takes_of(studio, project)
    database.close()


def takes_of(studio: Studio, project: str) -> list[str]:
    return [shot.take or "" for shot in studio.service.projects.state(project).shots]


Shared = tuple[Service, str, list[str]]


def test_the_story_map_is_what_takes_record(shared: Shared) -> None:
    service, project, _ = shared
    story = service.routing.story(project)
    assert [row.caption for row in story.rows] == ["Mira waves", "Otto runs", "Mira and Otto dance"]
    assert story.rows[1].shares == pytest.approx((0.5, None, None), abs=1e-3)
    assert story.rows[2].shares == pytest.approx((0.25, 0.25, None), abs=1e-3)
    assert story.full == ()
    assert [row.own for row in story.rows] == pytest.approx([1, 0.5, 0.5], abs=1e-3)
    assert story.figure["data"][0]["z"][2] == pytest.approx([0.25, 0.25, None], abs=1e-3)


def test_the_chunk_map_has_a_row_per_part_and_sums_to_one(shared: Shared) -> None:
    service, project, (first, second, third) = shared
    found = service.routing.chunk_map(project, third, ALL)
    assert found.query == ("the set", "Mira", "Otto", "prop 1" + EMPTY)
    assert found.layers == ("layer 1", "layer 2")
    assert found.heads == ("head 1", "head 2")
    assert found.groups == ("step 1", "step 2", "step 3", "step 4")
    assert "Mira drew most from Mira in shot 1" in found.words
    (drawn,) = found.figure["data"]
    assert np.array(drawn["z"]).sum(axis=-1) == pytest.approx(1, abs=1e-3)
    (only,) = service.routing.chunk_map(project, third, ALL, source=second).figure["data"]
    assert only["x"] == ["the set in shot 2", "Otto in shot 2", f"{NOBODY} in shot 2"]
    with pytest.raises(NotThere, match="could not look at that one"):
        service.routing.chunk_map(project, first, ALL, source=third)


def test_layers_heads_and_steps_are_told_apart(shared: Shared) -> None:
    service, project, takes = shared

    def kept(**choice: int) -> float:
        return service.attention.of_part(project, takes[2], 1, TraceSlice(**choice)).own

    assert kept() == pytest.approx(0.5, abs=1e-3)
    assert kept(layer=0) == pytest.approx(0.55, abs=1e-3)
    assert kept(layer=1) == pytest.approx(0.45, abs=1e-3)
    assert kept(head=0) == pytest.approx(0.525, abs=1e-3)
    assert kept(group=3) == pytest.approx(0.425, abs=1e-3)
    assert kept(layer=0, head=1, group=3) == pytest.approx(0.45, abs=1e-3)


@pytest.mark.parametrize("name", ["layer", "head", "group"])
@pytest.mark.parametrize("value", [-1, 9])
def test_what_there_is_not_of_layers_heads_and_steps_is_said(shared: Shared, name: str, value: int) -> None:
    service, project, takes = shared
    size = {"layer": 2, "head": 2, "group": 4}[name]
    calls: tuple[Callable[[TraceSlice], Any], ...] = (
        lambda choice: service.routing.chunk_map(project, takes[2], choice),
        lambda choice: service.attention.of_part(project, takes[2], 0, choice),
    )
    for call in calls:
        with pytest.raises(WrongUse, match=f"{name}: this take has {size}, counted from 0, got {value}"):
            call(TraceSlice(**{name: value}))


def test_what_a_part_looked_at_is_listed_with_where_to_see_it(shared: Shared) -> None:
    service, project, (first, second, third) = shared
    looked = service.attention.of_part(project, third, 1, ALL)
    assert (looked.part, looked.query, looked.box) == ("Mira", 1, None)
    assert looked.own == pytest.approx(0.5, abs=1e-3)
    best = looked.drawn[0]
    assert (best.label, best.name, best.shot, best.index, best.take) == (
        "Mira in shot 1",
        "Mira",
        "a",
        0,
        first,
    )
    assert best.share == pytest.approx(0.25 * (0.75 + 0.25 / 2), abs=1e-3)
    assert best.steerable
    assert best.length == 1.0
    assert best.at == pytest.approx(2.5 / 6)
    assert best.box == pytest.approx((0.1, 0.3, 0.3, 0.8), abs=1e-4)
    assert [item.share for item in looked.drawn] == sorted((i.share for i in looked.drawn), reverse=True)
    assert sum(item.share for item in looked.drawn) + looked.own == pytest.approx(1, abs=1e-3)
    assert {item.take for item in looked.drawn} == {first, second}
    assert not any(EMPTY in item.label for item in looked.drawn)
    assert all(item.picks == 2 * 2 * 4 * 2 for item in looked.drawn)  # layers, heads, steps, tokens
    for part in (-1, 4):
        with pytest.raises(NotThere, match="this take has 4 parts"):
            service.attention.of_part(project, third, part, ALL)


def test_pointing_finds_the_part_and_its_moment(shared: Shared) -> None:
    service, project, (_, _, third) = shared
    moment = service.attention.parts_at(project, third, 0.2)
    assert [part.name for part in moment.parts] == ["the set", "Mira", "Otto"]
    assert moment.grid is None
    assert service.attention.at_point(project, third, 0.2, 0.2, 0.5).part == "Mira"
    assert service.attention.at_point(project, third, 0.2, 0.5, 0.5).part == "Otto"
    everywhere = service.attention.at_point(project, third, 0.2, 0.95, 0.05)
    assert (everywhere.part, everywhere.box) == ("the set", (0, 0, 1, 1))
    with pytest.raises(NotThere, match="objects"):
        service.attention.heat(project, third, 0.2, 1)


def test_heads_tables_and_pages_tell_of_one_take(shared: Shared) -> None:
    service, project, (_, _, third) = shared
    assert len(service.routing.heads(project, third)) == 4
    assert service.routing.table(project, third, "csv").startswith(b"layer,heads,")
    with np.load(io.BytesIO(service.routing.table(project, third, "npz"))) as read:
        assert read["table"].shape == (2, 2, 4, 4, 7)
    assert service.routing.table(project, third, "parquet").startswith(b"PAR1")
    with pytest.raises(NotThere, match="no table of the kind exe"):
        service.routing.table(project, third, "exe")
    page = service.routing.page(project, third)
    assert "<h1>Test, shot 3</h1>" in page
    assert page.count("<h2>") == 6
    assert service.routing.page(project).count("<h2>") == 1


def test_two_takes_are_compared(studio: Studio) -> None:
    project = studio.rendered()
    left = takes_of(studio, project)[2]
    steer = Steer(shot="c", pins=(), bans=("a",), boosts={})
    studio.service.editing.edit(project, steer, base=0)
    studio.service.rendering.render(project, ("c",))
    studio.work()
    right = takes_of(studio, project)[2]
    assert left != right
    found = studio.service.routing.compare(project, left, right)
    assert [name for name, _ in found.shots[:2]] in (["shot 1", "shot 2"], ["shot 2", "shot 1"])
    assert dict(found.shots) == pytest.approx(
        {"shot 1": -0.25, "shot 2": 0.25, "the shot itself": 0}, abs=1e-3
    )
    same = studio.service.routing.compare(project, left, left)
    assert not any(change for _, change in same.shots)


def test_a_shot_that_may_see_nothing_says_so(studio: Studio) -> None:
    project = studio.rendered()
    studio.service.editing.edit(project, Steer(shot="c", pins=(), bans=("a", "b"), boosts={}), base=0)
    studio.service.rendering.render(project, ("c",))
    studio.work()
    take = takes_of(studio, project)[2]
    service = studio.service
    words = service.routing.chunk_map(project, take, ALL).words
    assert words == "All that came before was banned: everything in it is its own."
    looked = service.attention.of_part(project, take, 1, ALL)
    assert (looked.own, looked.drawn) == (1, ())
    assert service.routing.story(project).rows[2].shares == (0, 0, None)
    assert len(service.routing.heads(project, take)) == 4


def test_a_take_the_film_no_longer_shows_is_named_so(studio: Studio) -> None:
    project = studio.rendered()
    take = takes_of(studio, project)[2]
    studio.service.editing.edit(project, Skip(shots=("a",), on=True), base=0)
    service = studio.service
    gone = [item for item in service.attention.of_part(project, take, 1, ALL).drawn if item.shot is None]
    assert {item.label for item in gone} == {
        "the set in a take the film no longer shows",
        "Mira in a take the film no longer shows",
    }
    assert all(item.at is not None and item.box is not None for item in gone)  # its picture is still there
    assert service.routing.story(project).rows[2].elsewhere == pytest.approx(0.25, abs=1e-3)
    assert set(service.routing.shown(project)) == {1, 2}
    assert len(service.routing.captions(project)) == 3


def trace_file(studio: Studio, project: str, take: str) -> Path:
    shown = studio.service.routing.shown(project).values()
    (stored,) = (stored for stored in shown if stored.id == take)
    return artifact_path(studio.service.artifacts, stored.trace, ".moc")


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def newer(file: Path) -> None:
    with zipfile.ZipFile(file) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    parts["header.json"] = json.dumps({**json.loads(parts["header.json"]), "version": 99}).encode()
    with zipfile.ZipFile(file, "w") as new:
        for name, data in parts.items():
            new.writestr(name, data)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (Path.unlink, "There is no routing trace"),
    "truncated": (truncated, "The routing trace of this take is damaged"),
    "newer": (newer, "The routing trace of this take was written by a newer version"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_trace_is_told_and_the_rest_works(studio: Studio, damage: str) -> None:
    project = studio.rendered()
    first, second, third = takes_of(studio, project)
    spoil, words = DAMAGES[damage]
    spoil(trace_file(studio, project, second))
    service = studio.service
    calls: tuple[Callable[[], Any], ...] = (
        lambda: service.routing.chunk_map(project, second, ALL),
        lambda: service.attention.of_part(project, second, 0, ALL),
        lambda: service.attention.at_point(project, second, 0.0, 0.5, 0.5),
        lambda: service.attention.parts_at(project, second, 0.0),
        lambda: service.attention.heat(project, second, 0.0, 0),
        lambda: service.routing.heads(project, second),
        lambda: service.routing.compare(project, first, second),
        lambda: service.routing.table(project, second, "csv"),
        lambda: service.routing.page(project, second),
    )
    for call in calls:
        with pytest.raises(NotThere, match=words) as told:
            call()
        assert str(studio.service.artifacts) not in str(told.value)
    assert service.routing.story(project).rows[2].shares == pytest.approx((0.25, 0.25, None), abs=1e-3)
    assert service.routing.page(project)
    listed = {item.label: item for item in service.attention.of_part(project, third, 2, ALL).drawn}
    assert listed["Otto in shot 2"].share == pytest.approx(0.25 * (0.75 + 0.25 / 2), abs=1e-3)
    lost = listed["Otto in shot 2"].at, listed["Otto in shot 2"].box
    assert lost == (None, None)  # no more than where in its picture
    assert listed["the set in shot 1"].box == (0, 0, 1, 1)
    assert studio.service.projects.state(project).shots[1].take == second


def test_the_story_map_names_shots_that_attended_in_full(studio: Studio) -> None:
    project = studio.rendered()
    take = takes_of(studio, project)[1]
    write_trace(third_shot(routing={"full_attention": True}), trace_file(studio, project, take))
    assert studio.service.routing.story(project).full == (1,)


def test_a_grid_is_shown_as_heat(studio: Studio) -> None:
    """A take whose trace has its tokens as a grid: one frame of 1 × 3 tokens."""
    project = studio.rendered()
    take = takes_of(studio, project)[2]
    trace = third_shot()
    trace = replace(trace, query=(replace(trace.query[0], tokens=3),), grid=(1, 3), moments=(0.0,))
    trace = replace(trace, table=trace.table[:, :, :, :1], picks=trace.picks[:, :, :, :1])
    write_trace(trace, trace_file(studio, project, take))
    service = studio.service
    assert service.attention.parts_at(project, take, 0.0).grid == (1, 3)
    assert service.attention.heat(project, take, 0.0, 0) == [pytest.approx([0.5, 0.5, 0.8], abs=1e-3)]
    assert service.attention.at_point(project, take, 0.0, 0.9, 0.5).part == "Mira"
    with pytest.raises(NotThere, match="no chunk 99"):
        service.attention.heat(project, take, 0.0, 99)


def test_what_is_gone_is_said(shared: Shared) -> None:
    service, project, (first, *_) = shared
    for call in (
        lambda: service.routing.story("x"),
        lambda: service.routing.page("x"),
        lambda: service.routing.page(project, "x"),
        lambda: service.routing.chunk_map("x", first, ALL),
        lambda: service.routing.chunk_map(project, "x", ALL),
        lambda: service.attention.of_part(project, "x", 0, ALL),
        lambda: service.attention.at_point(project, "x", 0, 0, 0),
        lambda: service.attention.parts_at(project, "x", 0),
        lambda: service.attention.heat(project, "x", 0, 0),
        lambda: service.routing.heads(project, "x"),
        lambda: service.routing.compare(project, first, "x"),
        lambda: service.routing.compare(project, "x", first),
        lambda: service.routing.table(project, "x", "csv"),
    ):
        with pytest.raises(NotThere):
            call()


def test_a_first_shot_has_no_heads_to_look_back(shared: Shared) -> None:
    service, project, (first, _, third) = shared
    with pytest.raises(NotThere, match="saw no earlier shot"):
        service.routing.heads(project, first)
    assert service.routing.page(project, first).count("<h2>") == 2
    assert service.routing.page(project, third).count("<h2>") > 2


def test_nobody_drifts_who_remembers(shared: Shared) -> None:
    service, project, _ = shared
    found = service.consistency.report(project)
    assert set(found.names) == {"the set", "Mira", "Otto"}
    assert (found.drifted, found.unseen) == ((), 0)
    assert [max(line["y"]) for line in found.figure["data"]] == [0.0] * 3


def test_who_may_not_look_back_drifts_and_a_pin_mends_it(studio: Studio) -> None:
    project = studio.rendered()
    service = studio.service
    first, _, third = service.projects.state(project).shots
    ban = Steer(shot=third.id, bans=(f"{first.id}/Mira",))
    service.editing.edit(project, ban, service.projects.state(project).revision)
    service.rendering.render(project)
    studio.work()
    (drifted,) = service.consistency.report(project).drifted
    assert (drifted.name, drifted.index, drifted.pin, drifted.bans) == ("Mira", 2, f"{first.id}/Mira", ())
    assert drifted.distance == pytest.approx(2.0)
    assert drifted.reason == "Mira in shot 1 is banned there"
    assert drifted.pin is not None
    pin = Steer(shot=third.id, pins=(drifted.pin,))
    service.editing.edit(project, pin, service.projects.state(project).revision)
    service.rendering.render(project)
    studio.work()
    assert service.consistency.report(project).drifted == ()


def test_takes_that_tell_nothing_of_looks_are_counted(studio: Studio) -> None:
    project = studio.rendered()
    take = studio.service.projects.state(project).shots[1].take
    path_of(studio.service.files.media(project, take or "", "trace")).write_bytes(b"torn")
    found = studio.service.consistency.report(project)
    assert found.unseen == 1
    assert "Mira" in found.names
