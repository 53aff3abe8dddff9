"""What a run trains, and how it computes a loss: the transformer of a model, and the model's own settings.

model (folder or hub id) ─► transformer, LoRA added ─► TuningDenoiser
items of a step ─► batches of alike stories, draws of their own ─► loss
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from moc_engine.config import RoutingConfig
from moc_engine.errors import FootageError
from moc_engine.models.part_configs import part_config
from moc_engine.sources.part_files import weight_files
from moc_engine.sources.parts import PipelineParts
from moc_engine.training.data.footage.dataset import CachedFootage, TrainingStory
from moc_engine.training.tuning.batch import TuningBatch, collate
from moc_engine.training.tuning.denoiser import TuningDenoiser
from moc_engine.training.tuning.draws import draw_rules, draw_step
from moc_engine.training.tuning.identity import identity_loss, middle_tokens
from moc_engine.training.tuning.objective import flow_losses
from moc_engine.training.tuning.order import Item
from moc_engine.training.tuning.plan import TuningPlan
from moc_engine.training.tuning.run_stories import TuningStories
from moc_engine.training.tuning.tunable import transformer_part
from moc_engine.training.tuning.tuned_model import load_for_tuning
from moc_engine.training.tuning.work import step_work


class TuningSubject:
    """The model and the stories of a plan; weights are in main memory until `to`.

    Raises `ModelMismatch` and `ValueError` for a model that cannot be tuned so, `FootageError` for a cache of
    another model.
    """

    def __init__(self, plan: TuningPlan, model: PipelineParts, footage: CachedFootage) -> None:
        self.plan, self.recipe, self.model = plan, plan.recipe, model
        self.part = transformer_part(model, self.recipe)
        self.stories = TuningStories(footage, self.recipe, plan.held_out)
        self.rate = footage.identity.rate
        self._empty = footage.unconditional_states
        self._check(footage)
        self.tuned = load_for_tuning(model, self.recipe)
        self.transformer: Any = self.tuned.transformer
        self.denoiser = TuningDenoiser(
            self.transformer, checkpointing=self.recipe.checkpointing, memory=self.recipe.memory()
        )
        self.trained = self._trained()
        self.device = torch.device("cpu")

    @property
    def name(self) -> str:
        """What the base is called."""
        return self.model.name

    @property
    def blocks(self) -> Sequence[nn.Module]:
        return list(self.transformer.blocks)

    def to(self, device: torch.device) -> None:
        """Brings the transformer to a device."""
        self.device = device
        self.transformer.to(device)

    def renew_trained(self) -> None:
        """Finds the trained weights again, after they were replaced by sharded ones."""
        self.trained = self._trained()

    def _trained(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.transformer.named_parameters() if weight.requires_grad}

    def fixed_fields(self) -> dict[str, Any]:
        """What a run is resumed with alone: the content of the model's weights and of the cache."""
        return {"base": self.base_digest, "data": self.stories.digest}

    @cached_property
    def base_digest(self) -> str:
        """A digest of the base's weights: of the size and the first megabyte of each file."""
        path = self.model.part(self.part).path
        digest = hashlib.sha256()
        for file in [path] if path.is_file() else weight_files(path):
            digest.update(str(file.stat().st_size).encode())
            with file.open("rb") as stream:
                digest.update(stream.read(1 << 20))
        return digest.hexdigest()

    def loss(self, model: Callable[..., Tensor], items: Sequence[Item], step: int) -> Tensor:
        """The loss of alike items, by the denoiser or what it is wrapped in.

        What is drawn depends on the first item alone, so that it does not matter which process computes it.
        """
        batch = self.batch([self.stories.story(item) for item in items])
        generator = torch.Generator().manual_seed(seed_of(self.recipe.seed, 5, items[0].number))
        draw = draw_step(batch, self.recipe, self.tuned.levels, generator)
        rules = draw_rules(self.recipe, self.tuned.routing, batch, step, generator)
        with middle_tokens(self.blocks if self.recipe.identity else ()) as tokens:
            predicted = model(batch, draw, rules)
        loss = flow_losses(predicted, batch, draw, emphasis=self.recipe.emphasis).mean()
        for found in tokens:
            patch = tuple(self.transformer.config.patch_size)
            loss = loss + self.recipe.identity * identity_loss(found, batch, draw, patch)
        return loss

    def batch(self, stories: Sequence[TrainingStory]) -> TuningBatch:
        """Stories side by side on the device, captions padded as the family renders them."""
        return collate(stories, self._empty, caption_states=self.tuned.caption_states).to(self.device)

    def work(self, step: int, processes: int) -> float:
        """The operations of arithmetic of a step, in one process."""
        return self.work_of(self.stories.items(step, processes), step) / processes

    def work_of(self, items: Sequence[Item], step: int) -> float:
        """The operations of arithmetic of a step on these items."""
        shapes = [self.stories.shapes(item) for item in items]
        states = self.tuned.caption_states
        return step_work(self.transformer, self.recipe, shapes, step, caption_states=states)

    @property
    def last_routing(self) -> RoutingConfig | None:
        """The routing that the recipe ends with, as renders use it; None: dense."""
        top_k = self.recipe.stages[-1].top_k
        if top_k is None:
            return None
        return replace(self.recipe.routing(self.tuned.routing, top_k=top_k), drop_off=0.0, drop_in=0.0)

    def _check(self, footage: CachedFootage) -> None:
        """Raises `FootageError` where the cache cannot be this model's."""
        config = part_config(self.model, self.part)
        shot = self.stories.entries[0].shots[0]
        channels, width = int(config.get("in_channels", 16)), int(config.get("text_dim", 4096))
        found = self._empty.shape[1]
        if shot.shape[0] != channels or found != width:
            raise FootageError(
                f"{footage.folder} holds latents of {shot.shape[0]} channels and captions {found} wide, made "
                f"by {footage.identity.model}; {self.model.source} has {channels} and {width}: cache it again"
            )


def seed_of(*words: int) -> int:
    """A seed that is decided by these numbers."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])
