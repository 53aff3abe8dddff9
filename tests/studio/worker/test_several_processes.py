"""A studio whose worker renders each shot by two processes together, with a tiny embedded model."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sqlalchemy import select

from moc_engine.models.animatic.model import save
from moc_engine.render.several_processes import SeveralProcesses
from moc_engine.trace.trace_file import read_trace
from studio.domain.edits.film import SetSettings
from studio.domain.settings import Settings
from studio.store.database import Database
from studio.store.tables import TakeRow
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.members import shot_renderer
from tests.fakes.models import tiny_animatic
from tests.fakes.process_groups import fork_context


def test_takes_say_how_many_processes_rendered_them_and_stay_current(
    tmp_path: Path, database: Database
) -> None:
    save(tiny_animatic(), tmp_path / "model")
    several = SeveralProcesses(partial(shot_renderer, tmp_path / "model"), 2, context=fork_context())
    studio = Studio(tmp_path, database, make_renderer=lambda model: several)
    project = studio.service.projects.create(BOARD)
    model = SetSettings(settings=Settings(model=str(tmp_path / "model"), steps=2))
    studio.service.editing.edit(project, model, base=0)
    jobs = studio.service.rendering.render(project)
    try:
        studio.work()
    finally:
        several.close()
    assert [job.error for job in studio.service.queue.jobs(jobs)] == [None, None, None]
    with database.read() as session:
        takes = session.scalars(select(TakeRow)).all()
    assert [take.device for take in takes] == ["cpu, 2 processes"] * 3
    traces = [read_trace(file) for file in studio.artifacts() if file.suffix == ".moc"]
    assert [trace.routing["processes"] for trace in traces] == [2, 2, 2]
    assert not any(shot.due for shot in studio.service.projects.state(project).shots)
