"""Films of three shots by tiny models of each family, each in a studio of its own."""

from __future__ import annotations

import shutil
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from safetensors.torch import load_file
from torch import Tensor

from moc_engine.model_abilities import model_abilities
from moc_engine.models.loading import load_backbone
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.trace_file import read_trace
from studio.domain.edits.cast import SetCastPicture
from studio.domain.edits.edit import Edit
from studio.domain.edits.shot_inputs import SetFirstFrame
from studio.domain.settings import Lora, Settings
from studio.domain.storyboard import CastMember, Storyboard
from studio.service.job_state import JobState
from studio.service.state import ProjectState
from studio.store import takes
from studio.store.database_url import FILE
from studio.store.takes import StoredTake
from studio.store.upgrade import open_database
from studio.worker.renderers import MakeRenderer, RendererOptions
from tests.fakes.families import FAMILIES
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.loras import diffusers_keys, factors, save_lora

SIZE = (96, 64)


@dataclass(frozen=True, kw_only=True)
class TinyModel:
    """A tiny model of a family: its folder, what it can do, and a LoRA for it if it takes any."""

    family: str
    folder: Path
    abilities: frozenset[str]
    lora: Path | None

    @property
    def storyboard(self) -> Storyboard:
        """Three shots at 96 × 64, the second with the LoRA; each but the first remembers those before it."""
        distilled = self.family == "fastwan"  # to fixed steps without guidance
        settings = Settings(model=str(self.folder), top_k=2, full_below=0)
        if not distilled:
            settings = replace(settings, steps=2, guidance=2.0)
        if "negative_prompt" in self.abilities:
            settings = replace(settings, negative_prompt="blurred")
        if "two_experts" in self.abilities:
            settings = replace(settings, guidance_2=1.5)
        loras = () if self.lora is None else (Lora(file=str(self.lora), weight=0.5),)
        shots = tuple(
            replace(shot, caption="a fox runs at dawn", seconds=0.5, loras=loras if shot.id == "b" else ())
            for shot in BOARD.shots
        )
        cast = (CastMember(name="fox"),) if "references" in self.abilities else ()
        return replace(BOARD, size=SIZE, settings=settings, shots=shots, cast=cast)


def tiny_model(family: str, folder: Path) -> TinyModel:
    """Makes the model of a family in a new folder."""
    model = folder / "model"
    FAMILIES[family](model)
    able = model_abilities(str(model))
    assert able is not None
    lora = None
    if "loras" in able:
        parts = factors(load_backbone(model, "cpu").transformer)
        lora = save_lora(folder / "ink.safetensors", diffusers_keys(parts))
    return TinyModel(family=family, folder=model, abilities=able, lora=lora)


class Film:
    """The three shots of a model in a studio in the new folder `root`, of which nothing is rendered at first.

    Where the model can, the first shot starts from a picture and the others from a frame of the first, or
    `picture` is a reference of all.
    """

    def __init__(
        self, model: TinyModel, root: Path, new_database: Path, make_renderer: MakeRenderer | None = None
    ) -> None:
        root.mkdir(parents=True)
        shutil.copy(new_database, root / FILE)
        self.model, self.root, self.database = model, root, open_database(root)
        make = make_renderer or RendererOptions().make_renderer
        self.studio = Studio(root, self.database, make_renderer=make)
        self.service = self.studio.service
        self.project = self.service.projects.create(model.storyboard)
        self.picture = self.service.pictures.add(self.project, _picture(root / "fox.png"))
        if "references" in model.abilities:
            self.edit(SetCastPicture(name="fox", picture=f"picture:{self.picture}"))
        elif "first_frame" in model.abilities:
            for shot, frame in (("a", f"picture:{self.picture}"), ("b", "previous"), ("c", "shot:a")):
                self.edit(SetFirstFrame(shot=shot, first_frame=frame))

    def copy(self) -> Film:
        """A project of its own in the same studio, with the same takes."""
        other = copy(self)
        other.project = self.service.projects.duplicate(self.project)
        return other

    def state(self) -> ProjectState:
        return self.service.projects.state(self.project)

    def edit(self, edit: Edit) -> None:
        self.service.editing.edit(self.project, edit, self.state().revision)

    def order(self, *shots: str) -> list[int]:
        """Queues these shots, or those that are due."""
        return self.service.rendering.render(self.project, shots or "outdated")

    def job(self, job: int) -> JobState:
        (found,) = self.service.queue.jobs((job,))
        return found

    def rendered(self, *shots: str) -> Film:
        """Renders these shots, or those that are due; this film. Fails with what a job says."""
        jobs = self.order(*shots)
        self.studio.work()
        assert [self.job(job).error for job in jobs] == [None] * len(jobs)
        return self

    def take(self, shot: int) -> StoredTake:
        """The chosen take of a shot."""
        with self.database.read() as session:
            return takes.takes_of(session, self.project)[str(self.state().shots[shot].take)]

    def latents(self, shot: int) -> Tensor:
        with self.service.artifacts.file(self.take(shot).latents, ".safetensors").local() as file:
            return load_file(file)["latents"]

    def trace(self, shot: int) -> RoutingTrace:
        return read_trace(self.service.artifacts.file(self.take(shot).trace, ".moc"))


def _picture(file: Path) -> Path:
    width, height = SIZE
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))
    return file
