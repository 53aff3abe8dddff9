"""How many statements the transactions of a worker have, counted at the real store.

The simulation takes its costs from here each time it runs, so that it cannot differ from the program.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import event
from sqlalchemy.orm import Session

from studio.domain.inputs import RenderingModel
from studio.domain.messages import message
from studio.domain.project import Project
from studio.domain.storyboard import Shot, Storyboard
from studio.jobs import claims, queue, renders
from studio.jobs.job import Claim, Progress
from studio.jobs.order import RenderOrder
from studio.jobs.renders import CollectedTake, FrozenRequest, RenderClaim
from studio.store import projects
from studio.store.artifact_folder import ArtifactFolder
from studio.store.clock import database_time
from studio.store.database import Database
from studio.store.takes import StoredTake
from studio.store.upgrade import open_database

T = TypeVar("T")

_MODEL: Final = RenderingModel(identity="none@1")
_RENDERED_BEFORE: Final = 3


@dataclass(frozen=True, kw_only=True)
class Statements:
    """The statements of each transaction of a worker, with those that begin and end it.

    `ask` is what a worker without a job asks whether any waits, `claim` one that finds a job, `claim_nothing`
    one that does not; each takes `passing` more for each earlier film whose shots all must wait. `begin`,
    `freeze` and `commit` are those of a render; `beat`, `look` and `report` come while it runs.
    """

    ask: int
    claim: int
    claim_nothing: int
    passing: int
    begin: int
    freeze: int
    beat: int
    look: int
    report: int
    commit: int


def count_statements() -> Statements:
    """Counts them in a new studio, with a shot that has earlier ones as its context."""
    with tempfile.TemporaryDirectory(prefix="moc-scale-") as folder:
        database = open_database(Path(folder))
        try:
            with database.write() as session:
                project = projects.create(session, _film(), now=0.0)
            counting = _Counting(database, Path(folder))
            for shot in range(_RENDERED_BEFORE):
                _rendered(counting, project, f"{shot}", 0)
            return _rendered(counting, project, f"{_RENDERED_BEFORE}", _passing(counting))
        finally:
            database.close()


class _Counting:
    """Transactions with the number of their statements."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self.folder = folder

    def write(self, work: Callable[[Session], T]) -> tuple[T, int]:
        with _statements(self._database) as counted, self._database.write() as session:
            result = work(session)
        return result, len(counted) + 1  # COMMIT is no statement for the driver

    def read(self, work: Callable[[Session], T]) -> tuple[T, int]:
        with _statements(self._database) as counted, self._database.read() as session:
            result = work(session)
        return result, len(counted) + 1


@contextmanager
def _statements(database: Database) -> Iterator[list[str]]:
    counted: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        counted.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield counted
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def _film() -> Project:
    shots = tuple(Shot(id=f"{nth}", caption=f"shot {nth}", seconds=5.0) for nth in range(12))
    return Project(board=Storyboard(title="A film", shots=shots, fps=Fraction(16), size=(832, 480)))


def _passing(counting: _Counting) -> int:
    """The statements by which a claim grows with each film that renders a shot and has more that wait."""
    orders = [RenderOrder(shot=shot, reason="new", seconds=60.0) for shot in ("0", "1")]
    needed = []
    running = []
    for _ in range(3):
        film, _ = counting.write(lambda session: projects.create(session, _film(), now=0.0))
        counting.write(partial(queue.enqueue, project=film, orders=orders))
        claim, _ = counting.write(lambda session: claims.claim(session, "w"))
        assert claim is not None
        assert claim.project == film
        running.append(claim)
        nothing, statements = counting.write(lambda session: claims.claim(session, "v"))
        assert nothing is None
        needed.append(statements)
    for claim in running:
        counting.write(partial(claims.fail, claim=claim, problem=message("text", text="")))
    for job in counting.read(queue.jobs_of)[0]:
        if job.state == "queued":
            counting.write(partial(queue.cancel, job=job.id))
    assert needed[2] - needed[1] == needed[1] - needed[0]
    return needed[1] - needed[0]


def _rendered(counting: _Counting, project: str, shot: str, passing: int) -> Statements:
    """Renders a shot as a worker does, without a picture."""
    order = RenderOrder(shot=shot, reason="new", seconds=60.0)
    counting.write(lambda session: queue.enqueue(session, project, [order]))
    _, ask = counting.read(claims.is_due)
    found, claim = counting.write(lambda session: claims.claim(session, "w"))
    assert found is not None
    _, claim_nothing = counting.write(lambda session: claims.claim(session, "v"))
    render = RenderClaim(claim=found, project=project, order=order)
    _, begin = counting.write(lambda session: renders.begin(session, render))
    frozen, freeze = counting.write(lambda session: renders.freeze_request(session, render, _MODEL))
    _, report = counting.write(lambda session: claims.report(session, found, Progress(stage="denoise")))
    _, beat = counting.write(lambda session: claims.heartbeat(session, found))
    _, look = counting.read(lambda session: claims.goes_on(session, found))
    now, time = counting.read(database_time)
    _, commit = counting.write(
        lambda session: renders.commit_take(
            session, render, frozen, _collected(counting.folder, found, frozen, now)
        )
    )
    return Statements(
        ask=ask,
        claim=claim,
        claim_nothing=claim_nothing,
        passing=passing,
        begin=begin,
        freeze=freeze,
        beat=beat,
        look=look,
        report=report,
        commit=commit + time,
    )


def _collected(folder: Path, claim: Claim, frozen: FrozenRequest, now: float) -> CollectedTake:
    store, files = ArtifactFolder(folder), []
    for suffix in (".mp4", ".safetensors", ".moc", ".jpg"):
        file = folder / f"{claim.job}{suffix}"
        file.write_text(file.name)
        files.append(store.put(file))
    take = StoredTake(
        id=frozen.inputs.take_id,
        inputs=frozen.inputs,
        caption=frozen.caption,
        frames=81,
        context=tuple((shot, take.id) for _, shot, take in frozen.context),
        links={take.id: 0.1 for _, _, take in frozen.context},
        backend="none",
        timings={},
        own_share=0.5,
        clip=files[0].digest,
        latents=files[1].digest,
        trace=files[2].digest,
        thumbnail=files[3].digest,
        created=now,
    )
    return CollectedTake(take=take, artifacts=tuple(files), store=store)
