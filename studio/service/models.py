"""The models of projects: their identities, and the shot statuses that depend on them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from moc_engine.abilities import ABILITIES
from moc_engine.errors import EngineError
from moc_engine.lora_check import check_lora
from moc_engine.model_abilities import model_abilities
from moc_engine.model_defaults import model_defaults
from moc_engine.own_settings import OwnSettings
from studio.domain.edits.edit import Edit
from studio.domain.edits.restore import Restore
from studio.domain.errors import Refused
from studio.domain.finished_take import FinishedTake
from studio.domain.inputs import RenderingModel
from studio.domain.messages import Message, message
from studio.domain.planner import (
    ShotStatus,
    after_rendering,
    shot_statuses,
    with_existing_takes,
)
from studio.domain.project import Project
from studio.domain.settings import Lora
from studio.domain.storyboard import Storyboard, all_loras, lora_files
from studio.jobs.estimate import Rates, measured_with
from studio.jobs.order import AnalysisOrder
from studio.store.inferred_cast import with_inferred_cast
from studio.store.lora_identity import LoraIdentities
from studio.store.model_identity import ANIMATIC, ModelIdentities, family
from studio.store.takes import StoredTake

_USUAL_STEPS: Final = 50
"""For models that do not tell theirs."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """The model of a project as planning knows it, and whether it reads the words of `moc_engine.vocabulary`
    alone. `own_settings` are those that it brings with it, if they are known.
    """

    rendering: RenderingModel
    known_words_only: bool
    own_settings: OwnSettings | None = None

    @property
    def usual_steps(self) -> int | None:
        """The denoising steps where none are set; None for the embedded model, whose time goes by length."""
        if self.known_words_only:
            return None
        return _USUAL_STEPS if self.own_settings is None else self.own_settings.sampler.steps


class Models:
    """Identities of models, as far as their files have been read."""

    def __init__(self, identities: ModelIdentities, loras: LoraIdentities) -> None:
        self._identities = identities
        self._loras = loras

    def of(self, project: Project) -> Model:
        """The project's model. Its name is its identity if it is missing, or too large to be read here.

        A job reads the files of a large model (`unread`), or the first render does.
        """
        name = project.settings.model
        try:
            identity = self._identities.known(name) or str(name)
            known_words_only = family(name) == ANIMATIC
        except EngineError:
            identity, known_words_only = str(name), False
        rendering = RenderingModel(
            identity=identity,
            abilities=model_abilities(name),
            loras=self._loras.known(lora_files(project.board)),
        )
        return Model(
            rendering=rendering, known_words_only=known_words_only, own_settings=model_defaults(name)
        )

    def check_loras(self, before: Project, after: Project) -> None:
        """Raises `Refused` for a LoRA that is added and that the model cannot be rendered with."""
        for problem in lora_problems(after.board, set(all_loras(before.board))):
            raise Refused(problem)

    def with_abilities(self, edit: Edit, project: Project, takes: Mapping[str, StoredTake]) -> Edit:
        """The edit; one that restores a take's settings with what the take's model cannot do.

        Of a take of another model than the project's that is not known.
        """
        if not isinstance(edit, Restore) or edit.take not in takes:
            return edit
        model = self.of(project).rendering
        is_its = takes[edit.take].inputs.model == model.identity
        return replace(edit, lacks=tuple(a for a in ABILITIES if not (is_its and model.can(a))))

    def unread(self, project: Project) -> tuple[AnalysisOrder, ...]:
        """The order to read the project's model, where it is too large to be read here and was not yet."""
        name = project.settings.model
        try:
            known = name is None or self._identities.known(name) is not None
        except EngineError:  # missing or damaged: a render will tell
            return ()
        return () if known else (AnalysisOrder(model=str(name)),)

    def read(self, model: str | None) -> None:
        """Reads the files of a model, however large, so that its identity is known."""
        for _ in self._identities.compute(model):
            pass

    def statuses(self, project: Project, takes: Mapping[str, StoredTake]) -> tuple[ShotStatus, ...]:
        """The status of each shot, with the project's model."""
        return shot_statuses(with_inferred_cast(project), takes, self.of(project).rendering)

    def after_rendering(
        self, project: Project, takes: Mapping[str, StoredTake], shots: Collection[str]
    ) -> tuple[Project, Mapping[str, FinishedTake]]:
        """The project once these shots are rendered, and its takes with placeholders for the new ones."""
        return after_rendering(with_inferred_cast(project), takes, self.of(project).rendering, shots)

    def with_existing_takes(self, project: Project, takes: Mapping[str, StoredTake]) -> Mapping[str, str]:
        """The chosen take of each shot, after choosing existing takes that match the shots' settings."""
        return with_existing_takes(with_inferred_cast(project), takes, self.of(project).rendering).current


def lora_problems(board: Storyboard, known: Collection[Lora] = ()) -> Iterator[Message]:
    """Why LoRAs of a film and its shots cannot be added to its model, but for those that are `known`."""
    name = board.settings.model
    model = RenderingModel(identity=str(name), abilities=model_abilities(name))
    for lora in dict.fromkeys(all_loras(board)):
        problem = None if lora in known else lora_problem(lora, name, model)
        if problem is not None:
            yield problem


def lora_problem(lora: Lora, name: str | None, model: RenderingModel) -> Message | None:
    """Why a LoRA cannot be added to the `model` of this name; None where nothing is known against it."""
    if lora.expert != "both" and not model.can("two_experts"):
        file = re.split(r"[\\/]", lora.file)[-1]
        return message("lora-for-one-expert", name=file, expert=lora.expert)
    try:
        check_lora(name, lora.file)
    except EngineError as error:
        return message("text", text=str(error))
    return None


def rates_of(takes: Collection[StoredTake], model: Model) -> Rates:
    """How fast a model rendered these takes; a guess where it rendered none of them."""
    return measured_with(takes, model.rendering.identity, model.usual_steps)


def time_is_known(takes: Collection[StoredTake], model: Model) -> bool:
    """Whether times can be told: for the embedded model, and for one that rendered some of these takes."""
    return model.usual_steps is None or any(take.inputs.model == model.rendering.identity for take in takes)
