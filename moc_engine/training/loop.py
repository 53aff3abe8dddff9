"""The training loop: resumable to the step, on one CPU, one GPU or several (through accelerate).

A run's folder holds `checkpoint.pt` (to go on from), `model/` (the averaged weights so far, as a pipeline
folder), `curve.png` and `history.json`. All are replaced at once; a kill costs the minutes since the last.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from diffusers.training_utils import EMAModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from moc_engine.animatic.model import AnimaticPipeline, build, save
from moc_engine.animatic.scene import PATCH_FRAMES
from moc_engine.evaluation.recall import recall_score
from moc_engine.training.attention import StoryRules
from moc_engine.training.curve import History, draw
from moc_engine.training.data import StoryBatch, StoryStream, loader
from moc_engine.training.denoiser import StoryDenoiser
from moc_engine.training.files import replacing
from moc_engine.training.objective import channel_weights, draw_noise, flow_loss
from moc_engine.training.recipes import Recipe, recipe
from moc_engine.training.schedule import rate_at, stage_at


def train(
    preset: str, out: Path, resume: bool = False, *, steps: int | None = None, minutes: float | None = None
) -> None:
    """Trains by the recipe `preset` into the folder `out`; prints what it does.

    `steps` overrides the recipe's length, on a resumed run too; `minutes` ends this call early, with a
    checkpoint. Raises `ValueError` for an unknown preset, for a folder that already holds a run without
    `resume`, and for `resume` where there is none.
    """
    plan = recipe(preset)
    if steps is not None:
        plan = replace(plan, steps=steps)
    if minutes is not None:
        plan = replace(plan, piece_minutes=minutes)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise ValueError(f"out: {out} holds a run already; resume it or choose another folder")
    if resume and not checkpoint.exists():
        raise ValueError(f"resume: there is no checkpoint in {out}")
    out.mkdir(parents=True, exist_ok=True)
    Run(plan, out).go(resume=resume)


class Run:
    """One process's part of a training run."""

    def __init__(self, plan: Recipe, out: Path) -> None:
        self.plan = plan
        self.out = out
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision=plan.precision,
            kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
        )
        torch.manual_seed(plan.seed)
        self.pipeline: AnimaticPipeline = build(plan.model)
        denoiser = StoryDenoiser(self.pipeline.transformer, self.pipeline.text_encoder)
        self.parameters = list(denoiser.parameters())
        optimizer = torch.optim.AdamW(
            _decayed(denoiser, plan.weight_decay), lr=plan.learning_rate, betas=(0.9, 0.98)
        )
        self.model, self.optimizer = self.accelerator.prepare(denoiser, optimizer)
        self.average = EMAModel(self.parameters, decay=plan.ema, use_ema_warmup=True, power=0.75)
        self.weights = channel_weights().to(self.accelerator.device)
        self.history = History()
        self.step = 0
        self.console = Console(soft_wrap=True, highlight=False)

    def go(self, *, resume: bool) -> None:
        """Trains until the recipe's steps or the minutes of this piece are done."""
        plan = self.plan
        if resume:
            self._restore()
        stream = StoryStream(
            self.pipeline.tokenizer,
            plan.stages,
            steps=plan.steps,
            seed=plan.seed,
            start=self.step,
            process=self.accelerator.process_index,
        )
        batches = iter(loader(stream, plan.workers))
        begun = examined = saved = time.monotonic()
        with self._progress() as (bar, task):
            while self.step < plan.steps:
                loss = self._train_step(next(batches).to(self.accelerator.device))
                self.history.loss.append((self.step, loss))
                self.step += 1
                bar.update(task, completed=self.step, loss=loss)
                now = time.monotonic()
                examine, keep, stop = self._agree(
                    now - examined > plan.evaluation_minutes * 60,
                    now - saved > plan.checkpoint_minutes * 60,
                    plan.piece_minutes is not None and now - begun > plan.piece_minutes * 60,
                )
                if stop:
                    break
                if examine:
                    self._evaluate()
                    examined = time.monotonic()
                if keep:
                    self._save()
                    self._tell(now - begun)
                    saved = time.monotonic()
        self._evaluate()
        self._save()
        if self.accelerator.is_main_process:
            left = plan.steps - self.step
            onward = f", {left} left: go on with --resume" if left else ""
            self.console.print(f"{self.out}: {self.step} steps done{onward}")
        self.accelerator.end_training()

    def _train_step(self, batch: StoryBatch) -> float:
        plan, device = self.plan, self.accelerator.device
        for group in self.optimizer.param_groups:
            group["lr"] = plan.learning_rate * rate_at(
                self.step, steps=plan.steps, warm_up=plan.warm_up, cool_down=plan.cool_down
            )
        lots = np.random.SeedSequence((plan.seed, self.accelerator.process_index, self.step))
        generator = torch.Generator().manual_seed(int(lots.generate_state(1)[0]))
        draw = draw_noise(batch.latents, generator, memory_noise=plan.memory_noise)
        stories, shots, frames = batch.latents.shape[:3]
        predicted = self.model(
            batch,
            clean=draw.clean(batch.latents),
            noisy=draw.noisy(batch.latents),
            clean_level=draw.clean_level,
            noise_level=draw.level,
            silent=(torch.rand(stories, shots, generator=generator) < plan.silent).to(device),
            starts=draw_starts(shots, frames // PATCH_FRAMES, plan.gaps, generator).to(device),
            rules=draw_rules(plan, stories, shots, self.step, generator, device),
        )
        loss = flow_loss(predicted, batch.latents, draw.level.to(device), self.weights)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.parameters, plan.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.step(self.parameters)
        return float(loss.detach())

    def _evaluate(self) -> None:
        """One small held-out examination with the averaged weights, by the main process."""
        if self.accelerator.is_main_process:
            self.average.store(self.parameters)
            self.average.copy_to(self.parameters)
            score = recall_score(
                self.pipeline,
                stories=self.plan.examined_stories,
                shots=self.plan.examined_shots,
                routing=self.plan.routing,
                steps=8,
            )
            self.average.restore(self.parameters)
            self.history.add_recall(self.step, score.headline())
        self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        """Checkpoint, averaged weights, curve: by the main process."""
        if self.accelerator.is_main_process:
            state = {
                "step": self.step,
                "model": self.accelerator.unwrap_model(self.model).state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average.state_dict(),
                "history": asdict(self.history),
            }
            with replacing(self.out / "checkpoint.pt") as fresh:
                torch.save(state, fresh)
            self.average.store(self.parameters)
            self.average.copy_to(self.parameters)
            with replacing(self.out / "model") as fresh:
                save(self.pipeline, fresh)
            self.average.restore(self.parameters)
            with replacing(self.out / "history.json") as fresh:
                fresh.write_text(json.dumps(asdict(self.history)))
            draw(self.history, self.out / "curve.png")
        self.accelerator.wait_for_everyone()

    def _restore(self) -> None:
        state: dict[str, Any] = torch.load(self.out / "checkpoint.pt", map_location="cpu", weights_only=True)
        self.step = int(state["step"])
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.average.to(self.accelerator.device)
        loss = [(int(step), float(value)) for step, value in state["history"]["loss"]]
        recall = {
            name: [(int(step), float(value)) for step, value in points]
            for name, points in state["history"]["recall"].items()
        }
        self.history = History(loss=loss, recall=recall)

    def _agree(self, *wishes: bool) -> list[bool]:
        """What any process wishes, all do: their clocks differ, and nobody may wait for the others alone."""
        votes = torch.tensor(wishes, dtype=torch.float32, device=self.accelerator.device)
        agreed: Tensor = self.accelerator.reduce(votes, reduction="sum")
        return [bool(vote > 0) for vote in agreed]

    def _tell(self, seconds: float) -> None:
        """A line for logs, where there is no terminal for the bar."""
        if self.accelerator.is_main_process and not self.console.is_terminal:
            recent = np.mean([loss for _, loss in self.history.loss[-100:]])
            recall = {name: round(points[-1][1], 3) for name, points in self.history.recall.items()}
            self.console.print(f"step {self.step}  {seconds / 60:.1f} min  loss {recent:.4f}  {recall or ''}")

    @contextmanager
    def _progress(self) -> Iterator[tuple[Progress, Any]]:
        bar = Progress(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not (self.accelerator.is_main_process and self.console.is_terminal),
        )
        with bar:
            yield bar, bar.add_task("train", total=self.plan.steps, completed=self.step, loss=float("nan"))


def _decayed(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, norms and tables do not."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def draw_starts(shots: int, frames: int, gaps: float, generator: torch.Generator) -> Tensor:
    """The token frame each shot begins at, (N): on end, or by chance far apart, in order always."""
    lengths = torch.full((shots,), frames)
    if torch.rand((), generator=generator) < gaps:
        longest = int(torch.randint(1, 33, (), generator=generator))
        lengths += torch.randint(0, longest, (shots,), generator=generator)
    return lengths.cumsum(0) - frames


def draw_rules(
    plan: Recipe, stories: int, shots: int, step: int, generator: torch.Generator, device: torch.device
) -> StoryRules:
    """How sparse this step is, with drop-off and drop-in, and random pins and bans."""
    lots = torch.rand(stories, shots, shots, generator=generator)
    top_k = stage_at(plan.stages, step / plan.steps).top_k
    return StoryRules(
        routing=None if top_k is None else replace(plan.routing, top_k=top_k),
        candidates=(lots >= plan.bans).to(device),
        pinned=(lots > 1.0 - plan.pins).to(device),
        generator=generator,
    )
