"""Each family of video models, tiny and with random weights, from a storyboard to a film by the worker."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from moc_engine.profiles import PROFILES
from studio.domain.edits.film import SetLane, SetSettings
from studio.domain.edits.shot_inputs import SetLoras
from studio.domain.settings import Settings
from studio.store import takes
from studio.store.database import Database
from studio.worker.renderers import RendererOptions
from studio.worker.worker import Worker
from tests.fakes.families import FAMILIES
from tests.fakes.films import SIZE, TinyModel
from tests.fakes.inline_studio import BOARD, Studio
from tests.studio.worker.conftest import FilmOf

families = pytest.mark.parametrize("family", FAMILIES)


def frames_in(film: Path) -> int:
    with av.open(film) as opened:
        return sum(1 for _ in opened.decode(video=0))


@families
def test_three_shots_become_a_film(family: str, finished_film: FilmOf) -> None:
    film = finished_film(family)
    state = film.state()
    assert [shot.state for shot in state.shots] == ["fresh"] * 3
    assert state.lacks.keys().isdisjoint(film.model.abilities)
    assert frames_in(film.service.files.export(film.project, "film.mp4")) == 12
    pictures = [film.picture] * 3 if "references" in film.model.abilities else []
    assert [picture for shot in range(3) for picture in film.take(shot).inputs.references] == pictures
    started = [film.take(shot).inputs.first_frame is not None for shot in range(3)]
    assert started == [not pictures and "first_frame" in film.model.abilities] * 3
    remembered = [film.take(0).id, film.take(1).id]
    assert film.take(2).inputs.context == tuple(remembered)
    assert film.take(2).links.keys() == set(remembered)


@families
def test_a_shot_shows_over_its_picture_what_it_remembers(family: str, finished_film: FilmOf) -> None:
    film = finished_film(family)
    attention, take = film.service.attention, film.take(2).id
    trace = film.trace(2)
    _, frames, height, width = film.latents(2).shape
    grid = height // 2, width // 2  # patches of 2 × 2 latents are a token
    assert grid[1] * SIZE[1] == grid[0] * SIZE[0]
    assert (trace.grid, len(trace.moments)) == (grid, frames)
    assert len(trace.token_map()) == frames * grid[0] * grid[1]
    assert np.allclose(trace.token_map().sum(axis=1), 1.0)
    for moment in trace.moments:
        heats = [np.array(attention.heat(film.project, take, moment, c)) for c in range(len(trace.context))]
        assert {heat.shape for heat in heats} == {grid}
        assert np.allclose(sum(heats), 1.0)
        attended = attention.at_point(film.project, take, moment, 0.9, 0.9)
        assert attended.own + sum(source.share for source in attended.drawn) == pytest.approx(1.0)
        past = [source for source in attended.drawn if source.kind == "history"]
        assert {source.take for source in past} <= {film.take(0).id, film.take(1).id}
        for source in past:
            assert heats[source.column][-1, -1] == pytest.approx(source.share)
    told = film.service.routing.story(film.project).rows[2]
    shares = [told.own, told.captions, told.elsewhere, *told.shares]
    assert sum(share for share in shares if share is not None) == pytest.approx(1.0, abs=1e-3)
    assert min(share for share in told.shares[:2] if share is not None) > 0


@families
def test_a_lora_of_a_shot_changes_its_take_and_is_recorded(family: str, finished_film: FilmOf) -> None:
    film = finished_film(family)
    if film.model.lora is None:
        assert "loras" in film.state().lacks
        return
    digest = hashlib.sha256(film.model.lora.read_bytes()).hexdigest()[:16]
    styled, latents = film.take(1), film.latents(1)
    assert [film.take(shot).inputs.loras for shot in range(3)] == [(), ((digest, 0.5, "both"),), ()]
    (told,) = film.trace(1).routing["loras"]
    assert (told["source"], told["weight"]) == (film.model.lora.name, 0.5)
    film.edit(SetLoras(shot="b", loras=()))
    try:
        assert film.state().shots[1].reasons[0] == "LoRAs changed"
        film.rendered("b")
        assert film.take(1).inputs.loras == ()
        assert not np.allclose(film.latents(1), latents, atol=1e-3)
    finally:
        film.service.editing.undo(film.project, film.state().revision)
    assert film.take(1) == styled


TOLERANCE = {"full": 1e-5, "fp8": 0.05}
"""The largest error of latents, relative to their norm, by the form of the weights."""


@families
def test_a_shot_is_the_same_under_every_profile(family: str, finished_film: FilmOf) -> None:
    film = finished_film(family)
    latents = film.latents(1)
    copy = film.copy()
    every = family in ("wan-t2v", "hunyuan")  # 80gb moves nothing, 12gb and 8gb differ by the size of groups
    for profile in PROFILES if every else PROFILES[1::2]:
        make = RendererOptions(profile=profile.name).make_renderer
        worker = Worker(film.root, make, database=film.database, name=profile.name)
        (job,) = film.service.rendering.render(copy.project, ("b",), again=True)
        assert worker.work_once()
        assert (profile.name, copy.job(job).error) == (profile.name, None)
        assert copy.trace(1).routing["profile"]["name"] == profile.name
        error = (copy.latents(1) - latents).norm() / latents.norm()
        assert error <= TOLERANCE[profile.weights], profile.name


@pytest.mark.parametrize(
    ("family", "use"),
    [
        ("wan-t2v", {"guide_strength": 0.5}),
        ("hunyuan", {"guide_strength": 0.5}),
        ("wan-vace", {"control_scale": 0.8}),
    ],
)
def test_a_draft_of_the_embedded_model_guides_or_controls_a_final(
    family: str,
    use: dict[str, Any],
    tiny_models: Callable[[str], TinyModel],
    database: Database,
    tmp_path: Path,
) -> None:
    studio = Studio(tmp_path, database, make_renderer=RendererOptions().make_renderer)
    story = replace(BOARD, shots=BOARD.shots[:1], settings=Settings(steps=2))
    project = studio.rendered(story)
    revision = studio.service.projects.state(project).revision
    real = Settings(model=str(tiny_models(family).folder), steps=4, guidance=1.0, **use)
    studio.service.editing.edit(project, SetSettings(settings=real), revision)
    suggested = studio.service.look_words.suggest(project, "a")
    assert suggested.caption.startswith("Mira waves. ")
    assert "The scene is " in suggested.caption
    studio.service.rendering.render(project)
    studio.work()
    finals = studio.service.projects.state(project)
    shot = finals.shots[0]
    assert (shot.state, shot.other_take is None) == ("fresh", False)
    with database.read() as session:
        inputs = takes.takes_of(session, project)[str(shot.take)].inputs
    assert (inputs.guide or inputs.control) == shot.other_take
    assert {name: getattr(inputs, name) for name in use} == use
    drafts = studio.service.editing.edit(project, SetLane(lane="draft"), finals.revision)
    assert (drafts.shots[0].take, drafts.shots[0].state) == (shot.other_take, "outdated")
    assert drafts.shots[0].reasons == ("steps changed",)
