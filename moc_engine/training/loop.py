"""The training loop: resumable at every checkpoint, on one CPU, one GPU or several (through accelerate).

A run's folder holds `checkpoint.pt` (to continue from), `model/` (the averaged weights so far, as a pipeline
folder with a card), `curve.png` and `history.json`. Every file is written atomically: a killed run loses only
the time since its last checkpoint.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from diffusers.training_utils import EMAModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError
from torch import Tensor

from moc_engine.errors import CheckpointError, ModelMismatch
from moc_engine.files import atomic_file, atomic_folder, remove_abandoned
from moc_engine.models.animatic.model import AnimaticPipeline, build, load, save, sizes_of
from moc_engine.models.animatic.scene import PATCH_FRAMES
from moc_engine.ops.routers.registry import BUILT_IN
from moc_engine.ops.routers.router import LearnedRouter
from moc_engine.training import checkpoint
from moc_engine.training.card import write_card
from moc_engine.training.checkpoint import Checkpoint, fixed_fields
from moc_engine.training.curve import History, draw
from moc_engine.training.data.stories import StoryBatch, StoryStream, loader
from moc_engine.training.denoiser import StoryDenoiser
from moc_engine.training.evaluator import Evaluator
from moc_engine.training.objective import channel_weights, draw_noise, flow_loss
from moc_engine.training.options import CHECKPOINT, TrainingOptions
from moc_engine.training.recipes import ROUTER_RATE, Recipe, recipe
from moc_engine.training.sampling import draw_rules, draw_starts
from moc_engine.training.schedule import rate_at


def train(options: TrainingOptions, evaluator: Evaluator) -> None:
    """Trains a model into a folder and prints its progress.

    Raises `CheckpointError` if the run cannot be resumed, and `OSError` if it cannot be written.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    Run(recipe(options), options.out, evaluator, options.origin).go(resume=options.resume)


class Run:
    """One process of a training run."""

    def __init__(self, plan: Recipe, out: Path, evaluator: Evaluator, origin: Path | None = None) -> None:
        self.plan = plan
        self.out = out
        self.evaluator = evaluator
        self.accelerator = Accelerator(
            cpu=plan.on_cpu or not torch.cuda.is_available(),
            mixed_precision=plan.precision,
            kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
        )
        torch.manual_seed(plan.seed)
        self.pipeline: AnimaticPipeline = build(plan.model)
        self.origin = None if origin is None else origin.resolve().name
        if origin is not None:
            _copy_weights(self.pipeline, origin)
        self.router = new_router(plan.router, self.pipeline)
        denoiser = StoryDenoiser(
            self.pipeline.transformer, self.pipeline.smoother, self.pipeline.text_encoder, self.router
        )
        self.parameters = [parameter for parameter in denoiser.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(_groups(denoiser, plan), lr=plan.learning_rate, betas=(0.9, 0.98))
        self.model, self.optimizer = self.accelerator.prepare(denoiser, optimizer)
        self.average = EMAModel(self.parameters, decay=plan.ema, use_ema_warmup=True, power=0.75)
        self.weights = channel_weights().to(self.accelerator.device)
        self.history = History()
        self.step = 0
        self.started = time.monotonic()
        self.earlier_seconds = 0.0  # spent by earlier calls
        self.console = Console(soft_wrap=True, highlight=False)

    def go(self, *, resume: bool) -> None:
        """Trains until all steps of the recipe, or the minutes of this piece, are done."""
        plan = self.plan
        if self.accelerator.is_main_process:
            remove_abandoned(self.out)
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
        evaluated = saved = time.monotonic()
        with self._progress() as (bar, task):
            while self.step < plan.steps:
                loss = self._train_step(next(batches).to(self.accelerator.device))
                self.history.loss.append((self.step, loss))
                self.step += 1
                bar.update(task, completed=self.step, loss=loss)
                now = time.monotonic()
                evaluate, save, stop = self._any_process(
                    now - evaluated > plan.evaluation_minutes * 60,
                    now - saved > plan.checkpoint_minutes * 60,
                    plan.piece_minutes is not None and now - self.started > plan.piece_minutes * 60,
                )
                if stop:
                    break
                if evaluate:
                    self._evaluate()
                    evaluated = time.monotonic()
                if save:
                    self._save()
                    self._log()
                    saved = time.monotonic()
        self._evaluate()
        self._save()
        if self.accelerator.is_main_process:
            left = plan.steps - self.step
            hint = f", {left} left: continue with --resume" if left > 0 else ""
            self.console.print(f"{self.out}: {self.step} steps done{hint}")
        self.accelerator.end_training()

    def _train_step(self, batch: StoryBatch) -> float:
        plan, device = self.plan, self.accelerator.device
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("rate", plan.learning_rate) * rate_at(
                self.step, steps=plan.steps, warm_up=plan.warm_up, cool_down=plan.cool_down
            )
        seeds = np.random.SeedSequence((plan.seed, self.accelerator.process_index, self.step))
        generator = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
        draw = draw_noise(batch.latents, generator, memory_noise=plan.memory_noise)
        stories, shots, frames = batch.latents.shape[:3]
        denoise = partial(
            self.model,
            batch,
            clean=draw.clean(batch.latents),
            noisy=draw.noisy(batch.latents),
            clean_level=draw.clean_level,
            noise_level=draw.level,
            without_caption=(torch.rand(stories, shots, generator=generator) < plan.caption_dropout).to(
                device
            ),
            starts=draw_starts(shots, frames // PATCH_FRAMES, plan.gaps, generator).to(device),
        )
        rules = draw_rules(plan, stories, shots, self.step, generator, device)
        loss_to = partial(flow_loss, level_BN=draw.level.to(device), weights_SC=self.weights)
        target: Tensor | None = None
        if self.router is not None and self.router.distilled:
            with torch.no_grad():
                target = denoise(rules=replace(rules, routing=None))
        predicted = denoise(rules=rules)
        loss = loss_to(predicted, batch.latents)
        if self.router is not None:
            loss = loss + self.router.take_loss()
        if target is not None:
            loss = loss + loss_to(predicted, target.float())
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.parameters, plan.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.step(self.parameters)
        return float(loss.detach())

    def _evaluate(self) -> None:
        """One small held-out evaluation with the averaged weights, by the main process."""
        if self.accelerator.is_main_process:
            self.average.store(self.parameters)
            self.average.copy_to(self.parameters)
            found = self.evaluator.evaluate(self.pipeline, self.plan)
            self.average.restore(self.parameters)
            self.history.add_evaluation(self.step, found)
        self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        """Writes checkpoint, averaged weights and curve, by the main process."""
        if self.accelerator.is_main_process:
            state = Checkpoint(
                step=self.step,
                seconds=self._seconds(),
                recipe=fixed_fields(self.plan),
                origin=self.origin,
                model=self.accelerator.unwrap_model(self.model).state_dict(),
                optimizer=self.optimizer.state_dict(),
                average=self.average.state_dict(),
                history=self.history,
            )
            checkpoint.write(state, self.out / CHECKPOINT)
            self.average.store(self.parameters)
            self.average.copy_to(self.parameters)
            self._save_model()
            self.average.restore(self.parameters)
            with atomic_file(self.out / "history.json") as part:
                part.write_text(json.dumps(asdict(self.history)))
            draw(self.history, self.out / "curve.png", self.evaluator.panels)
        self.accelerator.wait_for_everyone()

    def _save_model(self) -> None:
        with atomic_folder(self.out / "model") as part:
            try:
                save(self.pipeline, part)
            except SafetensorError as error:
                raise OSError(f"{self.out / 'model'}: {error}") from error
            card = write_card(
                self.plan,
                step=self.step,
                seconds=self._seconds(),
                processes=self.accelerator.num_processes,
                origin=self.origin,
                history=self.history,
            )
            (part / "README.md").write_text(card)

    def _restore(self) -> None:
        state = checkpoint.read(self.out / CHECKPOINT, fixed_fields(self.plan))
        try:
            self.accelerator.unwrap_model(self.model).load_state_dict(state.model)
            self.optimizer.load_state_dict(state.optimizer)
            self.average.load_state_dict(state.average)
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{self.out / CHECKPOINT} is of another model: {error}") from error
        self.average.to(self.accelerator.device)
        self.step = state.step
        self.earlier_seconds = state.seconds
        self.origin = state.origin
        self.history = state.history

    def _seconds(self) -> float:
        """Duration of the run so far, including earlier calls."""
        return self.earlier_seconds + time.monotonic() - self.started

    def _any_process(self, *flags: bool) -> list[bool]:
        """For each flag, whether any process sets it: all act alike although their clocks differ."""
        votes = torch.tensor(flags, dtype=torch.float32, device=self.accelerator.device)
        agreed: Tensor = self.accelerator.reduce(votes, reduction="sum")
        return [bool(vote > 0) for vote in agreed]

    def _log(self) -> None:
        """Prints a line if there is no terminal for the progress bar."""
        if self.accelerator.is_main_process and not self.console.is_terminal:
            recent = np.mean([loss for _, loss in self.history.loss[-100:]])
            recall = {name: round(points[-1][1], 3) for name, points in self.history.recall.items()}
            self.console.print(
                f"step {self.step}  {self._seconds() / 60:.1f} min  loss {recent:.4f}  {recall or ''}"
            )

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


def new_router(name: str, pipeline: AnimaticPipeline) -> LearnedRouter | None:
    """An untrained router for a model, which is given it; None for one without parameters.

    The weights of the model are frozen for a router that is distilled.
    """
    build = BUILT_IN[name].parameters if name in BUILT_IN else None
    if build is None:
        return None
    router = build(sizes_of(pipeline))
    pipeline.routers = {name: router}
    if router.distilled:
        for part in (pipeline.transformer, pipeline.smoother, pipeline.text_encoder):
            part.requires_grad_(False)
    return router


def _copy_weights(pipeline: AnimaticPipeline, origin: Path) -> None:
    """Copies the weights of another model of the same sizes; raises `ModelMismatch` for other sizes."""
    other = load(origin)
    try:
        for part in ("transformer", "smoother", "text_encoder"):
            getattr(pipeline, part).load_state_dict(getattr(other, part).state_dict())
    except RuntimeError as error:
        raise ModelMismatch(f"{origin} has other sizes than the recipe: {error}") from error
    if other.tokenizer.get_vocab() != pipeline.tokenizer.get_vocab():
        raise ModelMismatch(f"{origin} has another vocabulary")


def _groups(denoiser: StoryDenoiser, plan: Recipe) -> list[dict[str, Any]]:
    """Parameter groups: weight decay for matrices only, not for biases, norms, tables and routers."""
    routers = [] if denoiser.router is None else list(denoiser.router.parameters())
    of_router = {id(p) for p in routers}
    trained = [p for p in denoiser.parameters() if p.requires_grad and id(p) not in of_router]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": plan.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        {"params": routers, "weight_decay": 0.0, "rate": ROUTER_RATE},
    ]
    return [group for group in groups if group["params"]]
