"""The models that projects name: their identities, and which shots are outdated by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from moc_engine.errors import EngineError
from studio.domain.planner import ShotStatus, shot_statuses
from studio.domain.project import Project
from studio.store.casting import with_inferred_cast
from studio.store.model_identity import ANIMATIC, ModelIdentities, family
from studio.store.takes import StoredTake


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model's identity, and whether it reads the words of `moc_engine.vocabulary` alone."""

    identity: str
    known_words_only: bool


class Models:
    """Identities of models, as far as their files have been read."""

    def __init__(self, identities: ModelIdentities) -> None:
        self._identities = identities

    def of(self, project: Project) -> Model:
        """The project's model. Its name is its identity if it is missing, or too large to be read here.

        The worker reads the files of a large model before it renders.
        """
        name = project.board.settings.model
        try:
            identity = self._identities.known(name) or str(name)
            return Model(identity=identity, known_words_only=family(name) == ANIMATIC)
        except EngineError:
            return Model(identity=str(name), known_words_only=False)

    def statuses(self, project: Project, takes: Mapping[str, StoredTake]) -> tuple[ShotStatus, ...]:
        """The status of each shot, with the project's model."""
        return shot_statuses(with_inferred_cast(project), takes, self.of(project).identity)
