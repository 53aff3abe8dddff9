"""Tiny models and caches of footage to tune on, and plans of runs that take seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel

from moc_engine.models.finding import find_model
from moc_engine.models.wan.defaults import TrainedOn
from moc_engine.training.data.footage.cache_index import CacheIdentity
from moc_engine.training.data.footage.dataset import CacheWriter, TrainingShot, TrainingStory
from moc_engine.training.data.footage.model_identity import encoders_of, identity_of
from moc_engine.training.tuning.plan import RunSettings, TuningPlan
from moc_engine.training.tuning.recipe import SparsityStage, TuningRecipe
from tests.fakes.wan_folders import TEXT_WIDTH, wan_t2v_folder

STAGES = (SparsityStage(until=0.5, top_k=None), SparsityStage(until=1.0, top_k=2))


def tiny_identity(base: Path) -> CacheIdentity:
    """What a cache for a tiny model is known by."""
    return identity_of(encoders_of(find_model(base), "cpu"), "tiny", 16.0)


def cache_folder(
    folder: Path, base: Path, *, stories: int = 6, frames: Sequence[int] = (1, 2, 1), side: int = 4
) -> Path:
    """A cache of stories for a tiny model: each has a colour of its own in all of its shots."""
    draws = torch.Generator().manual_seed(5)
    with CacheWriter(folder, tiny_identity(base), torch.randn(1, TEXT_WIDTH, generator=draws)) as cache:
        for number in range(stories):
            colour = torch.randn(16, 1, 1, 1, generator=draws)
            shots = tuple(
                TrainingShot(
                    latents=colour + 0.1 * torch.randn(16, length, side, side, generator=draws),
                    states=torch.randn(3, TEXT_WIDTH, generator=draws),
                    caption=f"a fox runs {nth}",
                    seconds=(1 + 4 * (length - 1)) / 16,
                )
                for nth, length in enumerate(frames)
            )
            style = torch.randn(2, TEXT_WIDTH, generator=draws)
            cache.add(TrainingStory(name=f"story {number}", style_states=style, shots=shots, style="at dawn"))
    return folder


def base_folder(folder: Path, *, told: TrainedOn | None = None, **transformer: Any) -> Path:
    """A tiny Wan 2.1 with random weights; `transformer` are fields of its transformer's configuration.

    `told` is what it says that it was trained on, as toon models do; without, it is as published.
    """
    wan_t2v_folder(folder)
    if told is not None:
        index = folder / "model_index.json"
        index.write_text(json.dumps({**json.loads(index.read_text()), "trained_on": asdict(told)}))
    if transformer:
        config = json.loads((folder / "transformer" / "config.json").read_text())
        torch.manual_seed(0)
        WanTransformer3DModel.from_config({**config, **transformer}).save_pretrained(folder / "transformer")
    return folder


def run_plan(
    folder: Path, *, settings: dict[str, Any] | None = None, held_out: int = 1, **recipe: Any
) -> TuningPlan:
    """A plan on a tiny model and a cache, which are made in `folder` unless they are there."""
    if not (folder / "base").exists():
        base_folder(folder / "base")
    if not (folder / "cache").exists():
        cache_folder(folder / "cache", folder / "base")
    plain: dict[str, Any] = {
        "steps": 4,
        "rank": 2,
        "alpha": 4.0,
        "shots": (2, 3),
        "stages": STAGES,
        "learning_rate": 1e-2,
        "warm_up": 1,
        "ema": 0.9,
        "precision": "no",
        "checkpointing": False,
    }
    quiet = {"sample_minutes": 0.0, "device": "cpu", "evaluation_steps": 2}
    return TuningPlan(
        model=str(folder / "base"),
        data=folder / "cache",
        preset="standard",
        recipe=TuningRecipe(**{**plain, **recipe}),
        held_out=held_out,
        settings=RunSettings(**{**quiet, **(settings or {})}),
    )
