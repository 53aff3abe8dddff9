"""Whether cast members and sets keep their looks over a film."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Final

from moc_engine.errors import TraceError
from moc_engine.model_index import EMBEDDED
from moc_engine.trace.drift import Appearance, Drift, ShotSightings, drift_of
from moc_engine.vocabulary import described_cast
from studio.domain.project import Project
from studio.domain.storyboard import Shot
from studio.inspect.consistency import reason
from studio.inspect.figures import (
    Figure,
    drift_figure,
)
from studio.service.traces import Traces
from studio.store.model_identity import identify
from studio.store.takes import StoredTake

REMEDY: Final = EMBEDDED.parent / "remedy.json"
"""What `moc-studio eval remedy --save` found for the embedded model."""


@dataclass(frozen=True, kw_only=True)
class DriftedAppearance:
    """An appearance that differs from the look it should have, why, and steering that may correct it.

    `pin` and `bans` let the shot attend to the right look alone. `pin` is None if the shot could not see it.
    """

    shot: str
    index: int
    name: str
    distance: float
    reason: str
    pin: str | None
    bans: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ConsistencyReport:
    """Which appearances drifted.

    `unseen` counts takes whose trace does not record looks. `helped` is (corrected, tried), as measured for
    the embedded model. `by_features`: the model's features were compared, not what the scene holds.
    """

    figure: Figure
    names: tuple[str, ...]
    drifted: tuple[DriftedAppearance, ...]
    unseen: int
    helped: tuple[int, int] | None
    by_features: bool


class Consistency:
    """Compares the appearances that traces record."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def report(self, project: str) -> ConsistencyReport:
        """How far cast members and sets are from the look they should have, shot by shot."""
        known = self._traces.project(project)
        scenes, unseen = [], 0
        for index, take in known.shown().items():
            try:
                visible, seen = self._traces.sightings(known, take)
            except TraceError:
                unseen += 1
                continue
            unseen += not seen
            described = frozenset(described_cast(take.caption, take.inputs.cast))
            scenes.append(
                ShotSightings(
                    index=index,
                    take=take.id,
                    visible=visible,
                    seen=seen,
                    described=described,
                    model=take.inputs.model,
                )
            )
        drifts = drift_of(scenes)
        shots = known.project.board.shots
        return ConsistencyReport(
            figure=drift_figure(drifts, len(shots)),
            names=tuple(drift.name for drift in drifts),
            drifted=tuple(
                DriftedAppearance(
                    shot=shots[seen.index].id,
                    index=seen.index,
                    name=drift.name,
                    distance=seen.distance or 0.0,
                    reason=reason(
                        drift.name,
                        seen,
                        banned=_banned(known.takes[seen.take], drift, seen),
                    ),
                    pin=None if seen.share is None else _steered(shots[seen.anchor], drift.name, seen),
                    bans=tuple(
                        _steered(shots[index], drift.name, seen)
                        for index in (drift.misleading(seen) if seen.part else ())
                    ),
                )
                for drift in drifts
                for seen in drift.appearances
                if seen.drifted
            ),
            unseen=unseen,
            helped=_measured(known.project),
            by_features=any(not seen.part for drift in drifts for seen in drift.appearances),
        )


def _banned(take: StoredTake, drift: Drift, seen: Appearance) -> bool:
    """Whether the take was banned from the appearance that decides the look."""
    right = {other.take for other in drift.appearances if other.index == seen.anchor}
    return any(name in take.inputs.bans for other in right for name in (other, f"{other}/{drift.name}"))


def _steered(shot: Shot, name: str, seen: Appearance) -> str:
    """The target to pin or ban: a cast member in the shot, or the shot if the model knows no parts."""
    return f"{shot.id}/{name}" if seen.part else shot.id


def _measured(project: Project) -> tuple[int, int] | None:
    """(corrected, tried) drifted looks, as `moc-studio eval remedy` measured for the embedded model."""
    if project.board.settings.model is not None or not REMEDY.is_file():
        return None
    found = json.loads(REMEDY.read_text())
    return (found["helped"], found["tried"]) if found["model"] == _embedded() else None


@cache
def _embedded() -> str:
    return identify(None)
