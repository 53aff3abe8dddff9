"""Renders of each family of video models that are cancelled, or whose worker is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import torch

from moc_engine.models.backbone import Backbone
from moc_engine.models.loading import load_parts
from moc_engine.models.registry import LoadedParts
from moc_engine.render.renderer import ShotRenderer
from studio.worker.worker import Worker
from tests.fakes.families import FAMILIES
from tests.fakes.films import Film, TinyModel
from tests.fakes.killed_workers import NAME
from tests.fakes.staged import StagedRenderer
from tests.fakes.waiting import until
from tests.studio.worker.conftest import FilmOf

families = pytest.mark.parametrize("family", FAMILIES)


class Watched:
    """Loads a model; `part` is called before each part is loaded, `forward` before each pass through a
    transformer.
    """

    def __init__(self) -> None:
        self.part: Callable[[], None] = lambda: None
        self.forward: Callable[[], None] = lambda: None
        self.passes = 0

    def renderer(self, model: str | None) -> ShotRenderer:
        return ShotRenderer(model, device="cpu", load=self._load)

    def _load(
        self, source: str | Path | None, device: str | None, *, profile: str
    ) -> Generator[LoadedParts, None, Backbone]:
        loading = load_parts(source, device, profile=profile)
        while True:
            try:
                progress = next(loading)
            except StopIteration as stop:
                backbone: Backbone = stop.value
                break
            self.part()
            yield progress
        for expert in backbone.experts:
            expert.transformer.register_forward_pre_hook(self._pass)
        return backbone

    def _pass(self, *_: object) -> None:
        self.passes += 1
        self.forward()


@families
def test_a_render_is_cancelled_while_the_model_loads_and_within_a_step(family: str, new_film: FilmOf) -> None:
    watched = Watched()
    film = new_film(family, watched.renderer)
    before = film.studio.artifacts()

    def cancel() -> None:
        watched.part = watched.forward = lambda: None
        film.service.queue.cancel(job)
        until(lambda: film.studio.worker.job is None or film.studio.worker.job.cancelled)

    watched.part = cancel
    (job,) = film.order("a")
    film.studio.work()
    assert (film.job(job).state, film.job(job).error, watched.passes) == ("cancelled", None, 0)

    watched.forward = cancel
    (job,) = film.order("a")
    film.studio.work()
    assert (film.job(job).state, film.job(job).error) == ("cancelled", None)
    assert watched.passes in (1, 2)  # of the first step, whose two captions may be passes of their own
    assert film.studio.artifacts() == before
    assert list((film.root / "scratch").iterdir()) == []
    assert film.rendered("a").state().shots[0].state == "fresh"


@pytest.mark.parametrize("stage", ["memory", "decode"])
def test_a_render_is_cancelled_while_it_remembers_and_while_it_decodes(
    stage: str, finished_film: FilmOf
) -> None:
    film = finished_film("wan-t2v").copy()
    renderer = StagedRenderer(ShotRenderer(film.model.folder, device="cpu"))
    renderer.at = lambda moment: film.service.queue.cancel(job) if moment == f"{stage} 1" else None
    worker = Worker(film.root, lambda model: renderer, database=film.database, name=stage)
    take, before = film.take(2), film.studio.artifacts()
    (job,) = film.service.rendering.render(film.project, ("c",), again=True)
    assert worker.work_once()
    assert (film.job(job).state, film.take(2)) == ("cancelled", take)
    assert film.studio.artifacts() == before
    assert list((film.root / "scratch").iterdir()) == []


@pytest.fixture(scope="module")
def killed_films(
    tiny_models: Callable[[str], TinyModel], new_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Film]]:
    """Films of each family whose worker was killed while it rendered the second shot."""
    root = tmp_path_factory.mktemp("killed")
    films = {family: Film(tiny_models(family), root / family, new_database) for family in FAMILIES}
    for film in films.values():
        film.order()
    roots = [str(film.root) for film in films.values()]
    command = [sys.executable, "-W", "ignore", "-m", "tests.fakes.killed_workers", *roots]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield films.__getitem__
    for film in films.values():
        film.database.close()


@families
def test_a_film_goes_on_where_its_worker_was_killed(
    family: str, killed_films: FilmOf, finished_film: FilmOf
) -> None:
    film, unbroken = killed_films(family), finished_film(family)
    jobs = sorted(job.id for job in film.service.queue.state().jobs)
    assert [film.job(job).state for job in jobs] == ["done", "running", "queued"]
    film.service.queue.worker_died(NAME)
    film.studio.work()
    assert [film.job(job).state for job in jobs] == ["done"] * 3
    for shot in range(3):
        assert film.take(shot).id == unbroken.take(shot).id
        assert torch.equal(film.latents(shot), unbroken.latents(shot))
