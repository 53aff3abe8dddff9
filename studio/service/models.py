"""The models that projects name: their identities, and which shots are outdated by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from moc_engine.errors import EngineError
from studio.domain.planner import ShotStatus, shot_statuses
from studio.domain.project import Project
from studio.store.casting import with_inferred_cast
from studio.store.model_identity import ANIMATIC, family, identify
from studio.store.takes import StoredTake


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model's identity, and whether it reads the words of `moc_engine.vocabulary` alone."""

    identity: str
    known_words_only: bool


class Models:
    """Identities of models, remembered while the studio runs."""

    def __init__(self) -> None:
        self._models: dict[str | None, Model] = {}

    def of(self, project: Project) -> Model:
        """The project's model. One that is missing has its name as its identity: its takes stay valid."""
        name = project.board.settings.model
        if name not in self._models:
            try:
                self._models[name] = Model(identity=identify(name), known_words_only=family(name) == ANIMATIC)
            except EngineError:
                return Model(identity=str(name), known_words_only=False)
        return self._models[name]

    def statuses(self, project: Project, takes: Mapping[str, StoredTake]) -> tuple[ShotStatus, ...]:
        """The status of each shot, with the project's model."""
        return shot_statuses(with_inferred_cast(project), takes, self.of(project).identity)
