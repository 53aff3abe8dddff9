"""Takes the artifacts of a studio to another place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.domain.errors import Refused, StoreFailed
from studio.domain.messages import message
from studio.jobs import queue
from studio.store import artifact_home
from studio.store.artifacts import Artifacts
from studio.store.database import Database
from studio.store.tables import ArtifactRow


@dataclass(frozen=True, kw_only=True)
class Moved:
    """How many files were taken along, their bytes, and the names of those that were missing before."""

    files: int
    bytes: int
    missing: tuple[str, ...]


def move_artifacts(
    database: Database, source: Artifacts, target: Artifacts, told: Callable[[int, int], None]
) -> Moved:
    """Copies every file that has a row, checked by its content, and then lets the studio keep them there.

    What is there already is not copied again, so an interrupted move goes on. The old files stay. `told` is
    called with how many are done, and of how many. Raises `Refused` while a job runs, and where the place is
    another studio's.
    """
    with database.read() as session:
        _refuse_running(session)
    artifact_home.claim(database, target)
    done: dict[str, int] = {}
    missing: list[str] = []
    while True:
        with database.read() as session:
            rows = session.execute(select(ArtifactRow.digest, ArtifactRow.suffix)).all()
        for number, (digest, suffix) in enumerate(rows, start=1):
            if digest not in done:
                file = source.found(digest, suffix)
                done[digest] = 0
                if file is None:
                    missing.append(f"{digest}{suffix}")
                else:
                    with file.local() as path:
                        put = target.put(path)
                    if put.digest != digest:
                        raise StoreFailed(message("store-damages", url=str(file)))
                    done[digest] = put.bytes
            told(number, len(rows))
        with database.write() as session:
            _refuse_running(session)
            if done.keys() >= set(session.scalars(select(ArtifactRow.digest))):
                artifact_home.note(session, target.home)
                return Moved(files=len(done) - len(missing), bytes=sum(done.values()), missing=tuple(missing))


def _refuse_running(session: Session) -> None:
    if any(job.state == "running" for job in queue.jobs_of(session)):
        raise Refused(message("artifacts-in-use"))
