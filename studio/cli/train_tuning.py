"""`moc-studio train lora` and `train full`: tune a video model on footage, with Mixture of Contexts."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, get_args

from studio.cli.training_processes import add_processes, check_packages, check_processes, run_processes
from studio.domain.errors import WrongUse

if TYPE_CHECKING:
    from moc_engine.training.data.footage.reading_plan import FootageProgress
    from moc_engine.training.tuning.plan import TuningPlan

TUNING: Final = "moc_engine.evaluation.tuning_run"
"""The module that each training process runs; not imported here, so that wrong options fail quickly."""

FOOTAGE: Final = "footage"
"""The folder, in a run's, of the cache of footage that was none."""

_STAGES: Final = {"check": "looking at clips", "captions": "encoding captions", "encode": "encoding shots"}
_WORDS: Final = {
    "lora": "a LoRA for a Wan model, on your footage",
    "full": "all weights of a Wan model, on your footage",
}
_RESULTS: Final = {"lora": "lora/NAME.safetensors", "full": "model/"}


def add_to(kinds: Any) -> None:
    from moc_engine.training.tuning.recipe import Kind
    from moc_engine.training.tuning.run_options import add_options

    for kind in get_args(Kind):
        parser = kinds.add_parser(
            kind,
            help=_WORDS[kind],
            description="Tunes a Wan model with Mixture of Contexts: shots of a story are denoised at noise "
            "levels of their own, and attend to chunks of the clean shots before them. Writes "
            f"{_RESULTS[kind]}, which the studio uses as it is, checkpoints, curves and sample films to DIR. "
            "Memory and time are predicted first.",
        )
        add_options(parser, kind)
        add_processes(parser, "1")
        parser.add_argument("--force", action="store_true", help="start even if memory will not suffice")
        parser.add_argument(
            "--dry-run", action="store_true", help="cache the footage, predict memory and time, and stop"
        )
        parser.set_defaults(run=run, kind=kind)


def run(args: argparse.Namespace) -> int:
    from moc_engine.training.tuning.plan import write_plan
    from moc_engine.training.tuning.run_options import read_options

    try:
        plan: TuningPlan = read_options(args, args.kind)
    except ValueError as error:
        field, _, rest = str(error).partition(":")
        raise WrongUse(f"--{field.replace('_', '-')}:{rest}") from error
    check_processes(args.processes)
    check_packages(_needed(plan))
    plan, processes = _with_cache(plan, args.out), args.processes or 1
    if args.dry_run:
        with TemporaryDirectory() as folder:  # the plan of a run that is resumed stays as it is
            write_plan(Path(folder), plan)
            return run_processes(TUNING, [folder, "--dry-run"], processes)
    write_plan(args.out, plan)
    arguments = [str(args.out), *(["--resume"] if args.resume else []), *(["--force"] if args.force else [])]
    return run_processes(TUNING, arguments, processes)


def _with_cache(plan: TuningPlan, out: Path) -> TuningPlan:
    """The plan on a cache: footage that is none yet is cached in the run's folder."""
    from moc_engine.training.data.footage.cache_index import INDEX

    if (plan.data / INDEX).is_file():
        return plan
    from moc_engine.training.data.footage.caching import cache_footage

    stages: list[str] = []

    def told(progress: FootageProgress) -> None:
        if progress.stage not in stages:
            stages.append(progress.stage)
            print(f"footage: {_STAGES[progress.stage]} ({progress.total})", file=sys.stderr)

    folder = out / FOOTAGE
    report = cache_footage(plan.data, plan.model, folder, device=plan.settings.device or None, report=told)
    print(f"footage: {report.stories} stories in {folder}", file=sys.stderr)
    return replace(plan, data=folder)


def _needed(plan: TuningPlan) -> dict[str, str]:
    """The packages that a run needs, and what pip is told to install."""
    needed = {"accelerate": "accelerate", "peft": "peft", "matplotlib": "'moc-studio[train]'"}
    if plan.recipe.optimizer == "adamw8bit":
        needed["bitsandbytes"] = "bitsandbytes"
    if plan.settings.tracker:
        needed[plan.settings.tracker] = plan.settings.tracker
    return needed
