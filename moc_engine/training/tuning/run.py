"""The run of tuning: resumable at every checkpoint, on a CPU, one GPU or several (through accelerate).

    OUT/run.json                  the plan, which every process reads
    OUT/checkpoint.pt             to continue from
    OUT/lora/ or OUT/model/       the averaged weights so far, with a card
    OUT/samples/                  films of a held-out story
    OUT/history.json, curve.png   the loss, and what was measured on held-out stories
    OUT/tracked/                  the same for TensorBoard, if asked for

Every file is written atomically. What a step computes is decided by seed and step alone, so that a run which
was killed and resumed has the curve and the weights of one that was not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, ProjectConfiguration
from rich.console import Console
from torch import Tensor, nn

from moc_engine.errors import CheckpointError
from moc_engine.files import atomic_file, remove_abandoned
from moc_engine.training import checkpoint
from moc_engine.training.checkpoint import Checkpoint
from moc_engine.training.curve import History, draw
from moc_engine.training.options import CHECKPOINT
from moc_engine.training.schedule import rate_at
from moc_engine.training.tuning.average import WeightAverage
from moc_engine.training.tuning.held_out_evaluator import TuningEvaluator
from moc_engine.training.tuning.memory_gain import MemoryGain
from moc_engine.training.tuning.optimizers import optimizer_of
from moc_engine.training.tuning.order import Item
from moc_engine.training.tuning.plan import TuningPlan
from moc_engine.training.tuning.results import write_results
from moc_engine.training.tuning.run_needs import StepClock, in_words
from moc_engine.training.tuning.samples import sample_film
from moc_engine.training.tuning.sharding import gathered, shard, spread
from moc_engine.training.tuning.subject import TuningSubject

LONGEST_WAIT: Final = timedelta(hours=6)
"""For which processes wait for the one that measures, renders or saves."""

TRACKED: Final = "tracked"
"""The folder, in a run's, of a tracker that writes files, such as TensorBoard."""

REPORT_EVERY: Final = 15.0
"""Seconds between two lines about the progress."""


def accelerator_of(plan: TuningPlan, out: Path, tracker: Any = None) -> Accelerator:
    """What a run in a folder computes on; `tracker` is one of accelerate's kind in place of the plan's."""
    on_cpu = plan.settings.device == "cpu" or not torch.cuda.is_available()
    return Accelerator(
        cpu=on_cpu,
        mixed_precision=plan.recipe.precision,
        project_config=ProjectConfiguration(project_dir=str(out), logging_dir=str(out / TRACKED)),
        log_with=tracker if tracker is not None else plan.settings.tracker or None,
        kwargs_handlers=[
            DistributedDataParallelKwargs(gradient_as_bucket_view=True),
            InitProcessGroupKwargs(timeout=LONGEST_WAIT),
        ],
    )


class TuningRun:
    """One process of a run of `plan` in the folder `out`, on a `subject`: the model and the stories.

    `evaluators` measure the held-out stories beside `MemoryGain`.
    """

    def __init__(
        self,
        plan: TuningPlan,
        out: Path,
        subject: TuningSubject,
        accelerator: Accelerator,
        evaluators: Sequence[TuningEvaluator] = (),
    ) -> None:
        self.plan, self.recipe, self.out = plan, plan.recipe, out
        self.subject = subject
        self.accelerator = accelerator
        self.evaluators: tuple[TuningEvaluator, ...] = (MemoryGain(), *evaluators)
        subject.to(accelerator.device)
        if plan.settings.shard and accelerator.num_processes > 1:
            shard(subject.transformer, subject.blocks)
            subject.renew_trained()
            self.model: nn.Module = subject.denoiser
        else:
            self.model = accelerator.prepare_model(subject.denoiser)
        self.trained = subject.trained
        self.parameters = list(self.trained.values())
        self.optimizer = optimizer_of(self.recipe, self.parameters)
        self.average = WeightAverage(self.parameters, self.recipe.ema)
        self.history = History()
        self.step = 0
        self.clock = StepClock()
        self.reported = time.monotonic()
        self.started = time.monotonic()
        self.earlier_seconds = 0.0  # spent by earlier calls
        self.console = Console(soft_wrap=True, highlight=False)

    @property
    def sharded(self) -> bool:
        return self.model is self.subject.denoiser and self.accelerator.num_processes > 1

    def go(self, *, resume: bool) -> None:
        """Trains until all steps of the recipe, or the minutes of this piece, are done."""
        settings = self.plan.settings
        if self.accelerator.is_main_process:
            remove_abandoned(self.out)
        if resume:
            self._restore()
            if _due(self.step, settings.evaluation_steps) and not self._is_measured():
                self._evaluate()  # the piece before ended at this step
        if self.accelerator.log_with:
            # what a killed piece told of later steps than it saved is told again
            kept = {"tensorboard": {"purge_step": self.step + 1}}
            self.accelerator.init_trackers("tuning", _flat(asdict(self.recipe)), init_kwargs=kept)
        saved = sampled = time.monotonic()
        while self.step < self.recipe.steps:
            with self.clock.step(self._work()):
                loss = self._train_step()
            self.history.loss.append((self.step, loss))
            self.step += 1
            self._track({"loss": loss, "learning rate": self.optimizer.param_groups[0]["lr"]})
            self._report(loss)
            now = time.monotonic()
            save, sample, stop = self._any_process(
                now - saved > settings.save_minutes * 60,
                settings.sample_minutes > 0 and now - sampled > settings.sample_minutes * 60,
                settings.minutes is not None and now - self.started > settings.minutes * 60,
            )
            if stop:
                break
            if _due(self.step, settings.evaluation_steps):
                self._evaluate()
            if sample or _due(self.step, settings.sample_steps):
                self._sample()
                sampled = time.monotonic()
            if save or _due(self.step, settings.save_steps):
                self._save()
                saved = time.monotonic()
        if self.step >= self.recipe.steps:
            if not self._is_measured():
                self._evaluate()
            if settings.sample_steps or settings.sample_minutes:
                self._sample()
        self._save()
        if self.accelerator.is_main_process:
            left = self.recipe.steps - self.step
            hint = f", {left} left: continue with --resume" if left > 0 else ""
            self.console.print(f"{self.out}: {self.step} steps done{hint}")
        self.accelerator.end_training()

    def _work(self) -> float:
        return self.subject.work(self.step, self.accelerator.num_processes)

    def _train_step(self) -> float:
        """One step; the mean loss of all its stories, those of other processes included."""
        recipe, accelerator = self.recipe, self.accelerator
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * rate_at(
                self.step, steps=recipe.steps, warm_up=recipe.warm_up, cool_down=recipe.cool_down
            )
        torch.manual_seed(int(np.random.SeedSequence((recipe.seed, 3, self.step)).generate_state(1)[0]))
        processes, rank = accelerator.num_processes, accelerator.process_index
        items = self.subject.stories.items(self.step, processes)
        groups = [
            alike
            for part in range(recipe.accumulation)
            for alike in self.subject.stories.alike(self._own(items, part, processes, rank))
        ]
        total = torch.zeros((), device=accelerator.device)
        self.model.train()
        for number, alike in enumerate(groups, start=1):
            with self._synchronised(number == len(groups)):
                with accelerator.autocast():
                    loss = self.subject.loss(self.model, alike.items, self.step)
                share = alike.share / recipe.accumulation
                accelerator.backward(loss * share)
            total += loss.detach() * share
        nn.utils.clip_grad_norm_(self.parameters, recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.step()
        mean: Tensor = accelerator.reduce(total, reduction="mean")
        return float(mean)

    def _own(self, items: Sequence[Item], part: int, processes: int, rank: int) -> Sequence[Item]:
        """The items of one of the accumulated batches that this process computes."""
        first = (part * processes + rank) * self.recipe.batch
        return items[first : first + self.recipe.batch]

    @contextmanager
    def _synchronised(self, last: bool) -> Iterator[None]:
        """Gradients are exchanged between processes with the last part of a step alone."""
        with nullcontext() if last or self.sharded else self.accelerator.no_sync(self.model):
            yield

    def _evaluate(self) -> None:
        """Measures the averaged weights on the held-out stories, by all processes alike."""
        if not self.subject.stories.held_out:
            return
        self.model.eval()
        found: dict[str, float] = {}
        with self.average.applied(), self.accelerator.autocast(), torch.no_grad():
            for evaluator in self.evaluators:
                found |= evaluator.evaluate(self.subject, self.step)
        self.history.add_evaluation(self.step, found)
        self._track(found)
        self.accelerator.wait_for_everyone()

    def _is_measured(self) -> bool:
        return any(points[-1][0] == self.step for points in self.history.recall.values())

    def _sample(self) -> None:
        """Renders the shots of a held-out story with the averaged weights, by all processes alike."""
        if not self.subject.stories.held_out:
            return
        self.model.eval()
        with self.average.applied(), torch.no_grad():
            sample_film(
                self.subject,
                self.out / "samples" / f"step-{self.step:06d}",
                steps=self.plan.settings.sampler_steps,
                keep=self.accelerator.is_main_process,
            )
        self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        """Writes checkpoint, results and curve, by the main process."""
        main = self.accelerator.is_main_process
        if main or self.sharded:
            names = list(self.trained)
            weights = gathered([self.trained[name].detach() for name in names], keep=main)
            averages = gathered(self.average.averages, keep=main)
            optimizer = gathered(self.optimizer.state_dict(), keep=main)
        if main:
            state = Checkpoint(
                step=self.step,
                seconds=self._seconds(),
                recipe=self._fixed(),
                origin=self.subject.name,
                model=dict(zip(names, weights, strict=True)),
                optimizer=optimizer,
                average={"steps": self.average.steps, "averages": averages},
                history=self.history,
            )
            checkpoint.write(state, self.out / CHECKPOINT)
            write_results(self.out, self.plan, self.subject, state, averages or weights)
            with atomic_file(self.out / "history.json") as part:
                part.write_text(json.dumps(asdict(self.history)))
            draw(self.history, self.out / "curve.png", self._panels())
        self.accelerator.wait_for_everyone()

    def _panels(self) -> dict[str, Sequence[str]]:
        return {title: names for evaluator in self.evaluators for title, names in evaluator.panels.items()}

    def _fixed(self) -> dict[str, Any]:
        return {**self.plan.fixed_fields(), **self.subject.fixed_fields()}

    def _restore(self) -> None:
        state = checkpoint.read(self.out / CHECKPOINT, self._fixed())
        try:
            for name, parameter in self.trained.items():
                if state.model[name].shape != parameter.shape:
                    raise ValueError(f"{name} has the shape {tuple(state.model[name].shape)}")
                with torch.no_grad():
                    parameter.copy_(spread(state.model[name], parameter))
            self._restore_optimizer(state.optimizer)
            averages = [
                spread(value, like)
                for value, like in zip(state.average["averages"], self.average.averages, strict=True)
            ]
            self.average.restore(int(state.average["steps"]), averages)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self.out / CHECKPOINT} is of another model: {error}") from error
        self.step = state.step
        self.earlier_seconds = state.seconds
        self.history = state.history

    def _restore_optimizer(self, state: Mapping[str, Any]) -> None:
        """Loads the optimizer's state, each tensor as large as a weight spread as the weight is."""
        own: dict[int, Any] = {}
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for number, values in state["state"].items():
            like = parameters[number]
            own[number] = {
                name: spread(value, like)
                if isinstance(value, Tensor) and value.shape == like.shape
                else value
                for name, value in values.items()
            }
        self.optimizer.load_state_dict({**state, "state": own})

    def _seconds(self) -> float:
        """Duration of the run so far, including earlier calls."""
        return self.earlier_seconds + time.monotonic() - self.started

    def _any_process(self, *flags: bool) -> list[bool]:
        """For each flag, whether any process sets it: all act alike although their clocks differ."""
        votes = torch.tensor(flags, dtype=torch.float32, device=self.accelerator.device)
        agreed: Tensor = self.accelerator.reduce(votes, reduction="sum")
        return [bool(vote > 0) for vote in agreed]

    def _track(self, values: Mapping[str, float]) -> None:
        if self.accelerator.log_with:
            self.accelerator.log(dict(values), step=self.step)

    def _report(self, loss: float) -> None:
        """Prints a line every few seconds."""
        if not self.accelerator.is_main_process or time.monotonic() - self.reported < REPORT_EVERY:
            return
        self.reported = time.monotonic()
        recent = np.mean([value for _, value in self.history.loss[-50:]])
        left = self.clock.seconds(self._work() * (self.recipe.steps - self.step))
        said = "" if left is None else f"  {in_words(left)} left"
        found = "".join(f"  {name} {points[-1][1]:.3f}" for name, points in self.history.recall.items())
        self.console.print(f"step {self.step} of {self.recipe.steps}  loss {recent:.4f}{said}{found}")


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as trackers take them: numbers and texts."""
    return {
        name: value if isinstance(value, int | float | str) else str(value) for name, value in values.items()
    }
