"""A film by three workers at once is the film by one."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from studio.store import takes
from studio.store.takes import StoredTake
from studio.store.upgrade import open_database
from studio.worker.renderers import MakeRenderer, RendererOptions
from studio.worker.worker import Worker
from tests.fakes.films import Film
from tests.fakes.staged import StagedRenderer
from tests.studio.worker.conftest import FilmOf

PATIENCE = 120
"""Seconds in which a worker must come to its first render."""


def film_of(new_film: FilmOf, bans: Mapping[str, Sequence[str]]) -> Film:
    film: Film = new_film("wan-t2v")
    board = film.service.projects.storyboard(film.project)
    shots = [
        replace(board.shots[0], id=name, seed=nth, bans=tuple(bans.get(name, ())))
        for nth, name in enumerate("abcde")
    ]
    shots = [replace(shot, seconds=0.5 + nth % 2 / 2) for nth, shot in enumerate(shots)]
    film.project = film.service.projects.create(replace(board, shots=tuple(shots)))
    return film


def worked(film: Film, make: MakeRenderer, name: str) -> None:
    """Works in this thread, as a process of its own would, until nothing waits or runs."""
    database = open_database(film.root)
    try:
        worker = Worker(film.root, make, database=database, name=name)
        while any(job.state in ("queued", "running") for job in film.service.queue.state().jobs):
            if not worker.work_once():
                worker.stop.wait(0.05)
    finally:
        database.close()


def stored(film: Film) -> dict[str, StoredTake]:
    """The chosen take of each shot."""
    state = film.state()
    with film.database.read() as session:
        known = takes.takes_of(session, film.project)
    assert [(shot.state, shot.due) for shot in state.shots] == [("fresh", False)] * len(state.shots)
    return {shot.id: known[str(shot.take)] for shot in state.shots}


def test_three_workers_at_once_make_the_same_film_as_one(new_film: FilmOf) -> None:
    bans = {"b": ("a",), "c": ("a", "b"), "e": ("d",)}
    alone, together = film_of(new_film, bans), film_of(new_film, bans)
    alone.rendered()
    together.order()
    met = threading.Barrier(3)
    began = threading.local()
    loading = threading.Lock()  # diffusers changes torch's modules while it loads, for all threads

    def make(model: str | None) -> StagedRenderer:
        renderer = StagedRenderer(RendererOptions().make_renderer(model))

        def at(moment: str) -> None:
            if moment in ("load 0", "decode 0"):
                loading.acquire(timeout=PATIENCE)
            elif moment in ("denoise 0", "made"):
                loading.release()
            if moment == "denoise 0" and not getattr(began, "once", False):
                began.once = True
                met.wait(PATIENCE)  # a, b and c run at the same time

        renderer.at = at
        return renderer

    threads = [threading.Thread(target=worked, args=(together, make, f"worker {n}")) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one, three = stored(alone), stored(together)
    assert {shot: take.id for shot, take in three.items()} == {shot: take.id for shot, take in one.items()}
    assert {shot: take.latents for shot, take in three.items()} == {s: t.latents for s, t in one.items()}
    assert {shot: take.clip for shot, take in three.items()} == {
        shot: take.clip for shot, take in one.items()
    }
