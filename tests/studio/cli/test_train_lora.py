"""A LoRA tuned on films without weights from elsewhere, from the command line to what it remembers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from moc_engine.contract import Lora
from moc_engine.models.finding import find_model
from moc_engine.models.loading import load_backbone
from moc_engine.models.wan.defaults import TrainedOn
from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.denoiser import TuningDenoiser
from moc_engine.training.tuning.memory_gain import fixed_draw
from moc_engine.training.tuning.plan import read_plan
from moc_engine.training.tuning.subject import TuningSubject
from studio.cli.main import main
from tests.fakes.coloured_films import films_folder, recalled
from tests.fakes.tuning_runs import base_folder

RECIPE = (
    *("--steps", "200", "--batch", "2", "--shots", "3", "--stages", "dense:0.5,1:1", "--rank", "16"),
    *("--alpha", "16", "--targets", "to_q,to_k,to_v,to_out.0,ffn.net.0.proj,ffn.net.2,proj_out"),
    *(
        "--learning-rate",
        "0.01",
        "--warm-up",
        "5",
        "--ema",
        "0.95",
        "--precision",
        "no",
        "--no-checkpointing",
    ),
    *("--drop-off", "0", "--drop-in", "0", "--memory-noise", "0", "--caption-dropout", "0"),
    *("--held-out", "4", "--evaluation-steps", "100", "--sample-minutes", "0", "--device", "cpu"),
)
"""A random base knows nothing: the LoRA is on all layers that read or write what its blocks compute, and of a
higher rank and learning rate than for a trained one."""

SHORT_CAPTIONS = TrainedOn(fps=16, frames=5, size=(64, 64), frame_step=4, caption_states=8)
"""As of a model that reads captions of a few words: the 512 states of Wan's are most of a tiny one's work."""

LEVEL = 0.9
"""The noise level at which colours are asked for: of two in three, noisy shots tell them by themselves."""


def test_a_lora_learns_to_remember_colours(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    base = base_folder(
        tmp_path / "base", told=SHORT_CAPTIONS, num_attention_heads=4, attention_head_dim=24, ffn_dim=192
    )
    cache, out = films_folder(tmp_path / "films", base), tmp_path / "fox"
    words = ("--model", str(base), "--data", str(cache), "--out", str(out))
    assert main(["train", "lora", *words, *RECIPE]) == 0
    said = capfd.readouterr().out
    assert "predicted: " in said
    assert f"{out}: 200 steps done" in said

    history = json.loads((out / "history.json").read_text())
    losses = [loss for _, loss in history["loss"]]
    assert np.mean(losses[-20:]) < 0.75 * np.mean(losses[:20])
    assert history["recall"]["gain of memory"][-1][1] > 0.03

    lora = out / "lora" / "fox.safetensors"
    with_memory, without = _recall(out, base, lora)
    assert with_memory > without + 0.15


@torch.no_grad()
def _recall(out: Path, base: Path, lora: Path) -> tuple[float, float]:
    """The share of held-out shots that get their colour, with memory and without, by the LoRA as loaded."""
    plan = read_plan(out)
    subject = TuningSubject(plan, find_model(plan.model), CachedFootage(plan.data))
    backbone = load_backbone(base, "cpu")
    assert backbone.loras is not None
    backbone.loras.use((Lora(source=str(lora)),))
    denoiser = TuningDenoiser(backbone.transformer)
    found = []
    nothing = torch.zeros(1, 3, 3, dtype=torch.bool)
    for rules in (StoryRules(routing=subject.last_routing), StoryRules(routing=None, candidates=nothing)):
        draws = torch.Generator().manual_seed(9)
        shares = []
        for story in 6 * subject.stories.held_out:
            batch = subject.batch([story])
            draw = fixed_draw(batch, LEVEL, draws)
            clean = draw.noisy(batch.latents) - LEVEL * denoiser(batch, draw, rules)
            shares.append(recalled(clean[0], batch.latents[0, 1:]))
        found.append(float(np.mean(shares)))
    return found[0], found[1]
