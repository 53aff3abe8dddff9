"""What the shots to render will need of this machine, told before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

from moc_engine.config import MemoryChoice
from moc_engine.render_need import render_need
from studio.domain.planner import chosen_take
from studio.service.library import ModelLibrary
from studio.store import projects, takes
from studio.store.database import Database


@dataclass(frozen=True, kw_only=True)
class RenderNeedState:
    """Bytes that the longest shot of a film needs with all others in its context, and those there are.

    `device` is of the GPU, 0 where there is none; `remembered` of earlier shots, of which each step brings
    `per_step` to the GPU. `fits` says whether it will do.
    """

    profile: str
    device: int
    device_total: int
    host: int
    host_total: int
    remembered: int
    per_step: int
    fits: bool


class Needs:
    """Predicts the memory of renders."""

    def __init__(self, database: Database, library: ModelLibrary) -> None:
        self._database = database
        self._library = library

    def of(self, project: str) -> RenderNeedState | None:
        """The need of the film's longest shot. None where it has no shots, or for models that are not here or
        whose size is not predicted, such as the embedded one: it fits every machine.
        """
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        lengths = []
        for shot in found.board.shots:
            if not shot.skip:
                take = chosen_take(found, known, shot.id)
                lengths.append(shot.trim + shot.seconds if take is None else take.inputs.seconds)
        if not lengths:
            return None
        settings, machine = found.settings, self._library.machine
        longest = lengths.pop(lengths.index(max(lengths)))
        need = render_need(
            settings.model,
            size=found.board.size,
            seconds=longest,
            context=lengths,
            memory=MemoryChoice(
                policy=settings.memory_policy,
                keyframes=settings.keyframes,
                storage=settings.memory_storage,
                positions=settings.positions,
            ),
            guided=settings.guidance != 1,
            gpu=machine.device,
            main=machine.main,
        )
        if need is None:
            return None
        total = machine.device or 0
        return RenderNeedState(
            profile=need.profile,
            device=need.device,
            device_total=total,
            host=need.host,
            host_total=machine.main,
            remembered=need.remembered,
            per_step=need.per_step,
            fits=need.device <= total and need.host <= machine.main,
        )
