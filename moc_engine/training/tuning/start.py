"""Starts a run: predicts memory and time, refuses what cannot fit, and trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from moc_engine.errors import OutOfMemory
from moc_engine.models.finding import find_model
from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.data.footage.model_identity import check_cache
from moc_engine.training.tuning.held_out_evaluator import TuningEvaluator
from moc_engine.training.tuning.optimizers import check_optimizer
from moc_engine.training.tuning.plan import TuningPlan, alone_in
from moc_engine.training.tuning.prediction import predict
from moc_engine.training.tuning.run import TuningRun, accelerator_of
from moc_engine.training.tuning.run_needs import Prediction, free_bytes, in_words, size_in_words
from moc_engine.training.tuning.subject import TuningSubject


def start(
    plan: TuningPlan,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    dry_run: bool = False,
    evaluators: Sequence[TuningEvaluator] = (),
    tracker: Any = None,
    free: Callable[[torch.device], float] = free_bytes,
) -> None:
    """Carries out a plan in its folder, in this process of all that accelerate knows of.

    `tracker` is one of accelerate's kind in place of the plan's; `free` tells the memory of a device. Raises
    `OutOfMemory` before it begins where the memory will not suffice, unless `force`; `FolderInUse` while
    another process trains into the folder; `EngineError` and `ValueError` for a model, cache or checkpoint
    that does not go with the plan; `OSError` where the folder cannot be written.
    """
    accelerator = accelerator_of(plan, out, tracker)
    device, processes = accelerator.device, accelerator.num_processes
    sharded = plan.settings.shard and processes > 1
    check_optimizer(plan.recipe.optimizer, sharded=sharded, device=device.type)
    there = free(device)  # before the weights are read, which are predicted with the rest
    model, footage = find_model(plan.model), CachedFootage(plan.data)
    if accelerator.is_main_process:
        check_cache(footage, model)
    subject = TuningSubject(plan, model, footage)
    rate = None
    if accelerator.is_main_process:
        prediction = predict(subject, device, processes=processes, sharded=sharded)
        rate = prediction.rate
        _tell(prediction, plan, there, device)
        if prediction.total > there and not (force or dry_run):
            raise OutOfMemory(
                f"the run needs {size_in_words(prediction.total)} and {size_in_words(there)} are free: "
                "fewer --shots, smaller clips, --checkpointing, a smaller --rank, or --shard over "
                "several GPUs need less; --force starts it anyway"
            )
    if dry_run:
        return
    with alone_in(out) if accelerator.is_main_process else nullcontext():
        accelerator.wait_for_everyone()
        run = TuningRun(plan, out, subject, accelerator, evaluators)
        run.clock.rate = rate
        run.go(resume=resume)


def _tell(prediction: Prediction, plan: TuningPlan, free: float, device: torch.device) -> None:
    steps = plan.recipe.steps
    Console(soft_wrap=True, highlight=False).print(
        f"predicted: {prediction}, of {size_in_words(free)} free on {device}; "
        f"{in_words(prediction.seconds / steps)} a step, {in_words(prediction.seconds)} for {steps} steps"
    )
