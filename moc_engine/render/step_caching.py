"""Skips blocks of denoising steps by diffusers' cache methods, within one render.

The caches belong to the steps of a shot alone: memories of takes and portraits are computed in full. Which
layers a step skipped is recorded (`TraceRecorder`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from diffusers import FirstBlockCacheConfig, MagCacheConfig, TaylorSeerCacheConfig
from torch import Tensor

from moc_engine.contract import CancelToken, StepCache
from moc_engine.models.backbone import Backbone, ExpertName
from moc_engine.models.base import ShotCondition, ShotPictures, TakesPictures
from moc_engine.render.denoise import denoise, draw_noises
from moc_engine.render.memory_pass import MemoryPass
from moc_engine.render.prepare import PreparedRender

SMALL_SHOT: Final = 0.5, (128, 128)
"""Seconds and size of the clip on which changes are measured."""

FLAT: Final = 127
"""The grey of its first frame, for models that need one."""


class ActiveStepCache:
    """The cache of one render's steps: `configs` of each expert's transformer, in diffusers' form.

    It has a state for each pass of a step, told apart by `entry`.
    """

    def __init__(self, configs: Mapping[ExpertName, Any]) -> None:
        self._configs = configs

    def enabled(self, expert: Backbone) -> AbstractContextManager[None]:
        """Within it the transformer of an expert skips blocks; afterwards it is as before."""
        return _enabled(expert.transformer, self._configs[expert.expert])

    def entry(self, expert: Backbone, name: str) -> AbstractContextManager[None]:
        """Within it the transformer of an expert runs one pass of a step, such as "cond" or "uncond"."""
        context: AbstractContextManager[None] = expert.transformer.cache_context(name)
        return context


class NoStepCache(ActiveStepCache):
    """All blocks run."""

    def __init__(self) -> None:
        super().__init__({})

    def enabled(self, expert: Backbone) -> AbstractContextManager[None]:
        return nullcontext()

    def entry(self, expert: Backbone, name: str) -> AbstractContextManager[None]:
        return nullcontext()


@contextmanager
def _enabled(transformer: Any, config: Any) -> Iterator[None]:
    transformer.enable_cache(config)
    try:
        yield
    finally:
        transformer.disable_cache()


@dataclass(eq=False)
class StepCaches:
    """Sets up caches for renders, and keeps what was measured of each transformer."""

    _ratios: WeakKeyDictionary[Any, dict[object, list[float]]] = field(default_factory=WeakKeyDictionary)

    def of(
        self, prepared: PreparedRender, backbone: Backbone, cancel: CancelToken | None = None
    ) -> ActiveStepCache:
        """The cache that a render asks for. What it must measure of the model is measured now, once.

        Raises `RenderCancelled` between the steps of a measurement once `cancel` is set.
        """
        method = prepared.request.step_cache
        if method is None:
            return NoStepCache()
        experts = backbone.experts_of(prepared.schedule)
        return ActiveStepCache(
            {one.expert: self._config(method, one, prepared, backbone, cancel) for one in experts}
        )

    def _config(
        self,
        method: StepCache,
        expert: Backbone,
        prepared: PreparedRender,
        model: Backbone,
        cancel: CancelToken | None,
    ) -> Any:
        match method:
            case "first-block":
                return FirstBlockCacheConfig(threshold=0.05)
            case "taylor":
                return TaylorSeerCacheConfig(
                    cache_interval=5, disable_cache_before_step=3, max_order=1, use_lite_mode=True
                )
            case "mag":
                ratios = self._magnitudes(expert, prepared, model, cancel)
                return MagCacheConfig(
                    threshold=0.06,
                    max_skip_steps=3,
                    retention_ratio=0.2,
                    num_inference_steps=len(ratios),
                    mag_ratios=ratios,
                )

    def _magnitudes(
        self, expert: Backbone, prepared: PreparedRender, model: Backbone, cancel: CancelToken | None
    ) -> list[float]:
        """How much the blocks change their input at each of an expert's steps, over the step before."""
        levels = tuple(step.level for step in prepared.schedule.steps)
        key = levels, tuple(lora.identity for lora in prepared.loras)
        known = self._ratios.setdefault(expert.transformer, {})
        if key not in known:
            for other, ratios in measured_ratios(prepared, model, cancel).items():
                self._ratios.setdefault(other.transformer, {})[key] = ratios
        return known[key]


@torch.no_grad()
def measured_ratios(
    prepared: PreparedRender, model: Backbone, cancel: CancelToken | None = None
) -> dict[Backbone, list[float]]:
    """The mean ratio of the sizes of the blocks' changes, step by step, in a small clip of one seed.

    It depends on the model and the schedule alone, so that equal requests render the same. Raises
    `RenderCancelled` before the next step once `cancel` is set.
    """
    shape = model.family.latent_shape(*SMALL_SHOT)
    grid = model.grid(shape, "frame")
    captions = model.family.captions("", "", ())
    condition = _flat_condition(model, shape)
    changes: dict[Backbone, list[Tensor]] = {}

    def velocity(latents: Tensor, timestep: Tensor, level: float) -> Tensor:
        expert = model.at(level)
        layers = expert.adapter.layers
        attention = MemoryPass(
            grid,
            expert.angles,
            "after",
            expert.device,
            layers=layers,
            dense_backend=expert.adapter.dense_backend,
        )
        with _measured_change(expert.adapter.blocks, changes.setdefault(expert, [])):
            return expert.velocity(latents, timestep, attention, captions, condition)

    noises = draw_noises((1, *shape), 0)
    latents, *added = (next(noises).to(model.device) for _ in range(1 + prepared.schedule.noises))
    for _ in denoise(velocity, latents, prepared.schedule, cancel, added):
        pass
    return {expert: _ratios(sizes) for expert, sizes in changes.items()}


def _flat_condition(model: Backbone, shape: Sequence[int]) -> ShotCondition | None:
    family = model.family
    if not (isinstance(family, TakesPictures) and family.needs_first_frame):
        return None
    width, height = SMALL_SHOT[1]
    picture = torch.full((height, width, 3), FLAT, dtype=torch.uint8).numpy()
    return family.condition(ShotPictures(first=picture), shape)


@contextmanager
def _measured_change(blocks: Sequence[Any], sizes: list[Tensor]) -> Iterator[None]:
    """Appends for each video token how far the blocks move it in the run within."""
    given: list[Tensor] = []

    def moved(module: Any, args: Any, out: Tensor | tuple[Tensor, ...]) -> None:
        video = out if isinstance(out, Tensor) else out[0]  # captions come behind it
        sizes.append((video - given.pop()).float().norm(dim=-1))

    hooks = [
        blocks[0].register_forward_pre_hook(lambda module, args: given.append(args[0])),
        blocks[-1].register_forward_hook(moved),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _ratios(sizes: Sequence[Tensor]) -> list[float]:
    later = [(now / (before + 1e-8)).mean() for before, now in pairwise(sizes)]
    return [1.0, *(float(ratio) for ratio in later)]
