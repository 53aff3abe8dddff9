"""What the shots to render will need of this machine, told before anything runs."""

from __future__ import annotations

from dataclasses import dataclass

from moc_engine.config import MemoryChoice
from moc_engine.memory.film_need import ContextBudget
from moc_engine.profiles import GIB
from moc_engine.render_need import RenderNeed, render_needs
from studio.domain.named_pictures import references
from studio.domain.planner import chosen_take
from studio.service.library import MachineMemory, ModelLibrary
from studio.store import projects, takes
from studio.store.database import Database


@dataclass(frozen=True, kw_only=True)
class RenderingMemory:
    """How the studio's worker was told to use memory: a profile, and GiB of the device and of main memory for
    the memories of earlier shots. They are the engine's own where None.
    """

    profile: str = "auto"
    context_memory: float | None = None
    context_host_memory: float | None = None


@dataclass(frozen=True, kw_only=True)
class ProfileNeedState:
    """Bytes that the longest shot needs under a profile, what it does, and whether this machine has them."""

    profile: str
    does: str
    device: int
    host: int
    fits: bool


@dataclass(frozen=True, kw_only=True)
class RenderNeedState:
    """Bytes that the longest shot of a film needs with all others in its context, and those there are.

    `device` is of the GPU, 0 where there is none; `remembered` of earlier shots, of which each step brings
    `per_step` to the GPU and which lie in files where memory is short (`disk`). `fits` says whether it will
    do. `profile` is what renders: the worker chose it itself if `by_itself`. `profiles` has the needs under
    each one, which are a GPU's where this machine has none.
    """

    profile: str
    by_itself: bool
    device: int
    device_total: int
    host: int
    host_total: int
    disk: int
    remembered: int
    per_step: int
    fits: bool
    profiles: tuple[ProfileNeedState, ...]


class Needs:
    """Predicts the memory of renders."""

    def __init__(self, database: Database, library: ModelLibrary, rendering: RenderingMemory) -> None:
        self._database = database
        self._library = library
        self._rendering = rendering

    def of(self, project: str) -> RenderNeedState | None:
        """The need of the film's longest shot, with the most reference pictures of a shot. None where it
        has no shots, or for models that are not here or whose size is not predicted, such as the embedded
        one: it fits every machine.
        """
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        lengths, pictures = [], 0
        for nth, shot in enumerate(found.board.shots):
            if not shot.skip:
                pictures = max(pictures, len(references(found.board, nth)))
                take = chosen_take(found, known, shot.id)
                lengths.append(shot.trim + shot.seconds if take is None else take.inputs.seconds)
        if not lengths:
            return None
        settings, machine, asked = found.settings, self._library.machine, self._rendering
        longest = lengths.pop(lengths.index(max(lengths)))
        needs = render_needs(
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
            references=pictures,
            gpu=machine.device,
            main=machine.main,
            profile=asked.profile,
            budget=ContextBudget(device=_bytes(asked.context_memory), host=_bytes(asked.context_host_memory)),
        )
        if needs is None:
            return None
        need = needs.chosen
        return RenderNeedState(
            profile=need.profile.name,
            by_itself=asked.profile == "auto",
            device=need.device,
            device_total=machine.device or 0,
            host=need.host,
            host_total=machine.main,
            disk=need.disk,
            remembered=need.remembered,
            per_step=need.per_step,
            fits=_fits(need, machine),
            profiles=tuple(
                ProfileNeedState(
                    profile=one.profile.name,
                    does=str(one.profile),
                    device=one.device,
                    host=one.host,
                    fits=_fits(one, machine),
                )
                for one in needs.profiles
            ),
        )


def _fits(need: RenderNeed, machine: MachineMemory) -> bool:
    return need.device <= (machine.device or 0) and need.host <= machine.main


def _bytes(gibibytes: float | None) -> int | None:
    return None if gibibytes is None else int(gibibytes * GIB)
