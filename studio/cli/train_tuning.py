"""`moc-studio train lora` and `train full`: tune a video model on footage, with Mixture of Contexts."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, get_args

from studio.cli.footage_reading import FOOTAGE as KINDS_OF_FOOTAGE
from studio.cli.footage_reading import add_options as add_reading
from studio.cli.footage_reading import counted, problem_lines, read_options, watched
from studio.cli.training_processes import add_processes, check_packages, check_processes, run_processes
from studio.domain.errors import WrongUse, wrong_option

if TYPE_CHECKING:
    from moc_engine.training.data.footage.reading_plan import FootageOptions, FootageProgress
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
            f"Memory and time are predicted first. {KINDS_OF_FOOTAGE}",
        )
        add_options(parser, kind)
        add_reading(parser.add_argument_group("footage, where it is no cache yet"))
        add_processes(parser, "1")
        parser.add_argument("--force", action="store_true", help="start even if memory will not suffice")
        parser.add_argument(
            "--dry-run", action="store_true", help="cache the footage, predict memory and time, and stop"
        )
        parser.set_defaults(run=run, kind=kind)


def run(args: argparse.Namespace) -> int:
    from moc_engine.training.tuning.plan import alone_in, write_plan
    from moc_engine.training.tuning.run_options import read_options

    try:
        plan: TuningPlan = read_options(args, args.kind)
    except ValueError as error:
        field, _, rest = str(error).partition(":")
        raise WrongUse(f"--{field.replace('_', '-')}:{rest}") from error
    check_processes(args.processes)
    check_packages(_needed(plan))
    processes = args.processes or 1
    if args.dry_run:
        plan = _with_cache(plan, args)
        with TemporaryDirectory() as folder:  # the plan of a run that is resumed stays as it is
            write_plan(Path(folder), plan)
            return run_processes(TUNING, [folder, "--dry-run"], processes)
    with alone_in(args.out):
        plan = _with_cache(plan, args)
        write_plan(args.out, plan)
        again = [*(["--resume"] if args.resume else []), *(["--force"] if args.force else [])]
        return run_processes(TUNING, [str(args.out), *again], processes)


def _with_cache(plan: TuningPlan, args: argparse.Namespace) -> TuningPlan:
    """The plan on a cache: footage that is none yet is cached in the run's folder.

    A run that goes on has its cache there, whatever became of the footage. Raises `WrongUse`.
    """
    from moc_engine.training.data.footage.cache_index import INDEX
    from moc_engine.training.data.footage.reading_plan import FootageOptions

    options = read_options(args)
    folder: Path = args.out / FOOTAGE
    if (plan.data / INDEX).is_file():
        if options != FootageOptions():
            raise WrongUse(f"--data: {plan.data} is a cache already; how footage is read was decided for it")
        return plan
    if not (args.resume and (folder / INDEX).is_file()):
        _cache(plan, folder, options)
    return replace(plan, data=folder)


def _cache(plan: TuningPlan, folder: Path, options: FootageOptions) -> None:
    from moc_engine.training.data.footage.caching import cache_footage

    stages: list[str] = []
    with watched() as (report, check):

        def told(progress: FootageProgress) -> None:
            if progress.stage not in stages:
                stages.append(progress.stage)
                print(f"footage: {_STAGES[progress.stage]} ({progress.total})", file=sys.stderr)
            report(progress)

        device = plan.settings.device or None
        try:
            made = cache_footage(
                plan.data, plan.model, folder, options=options, device=device, report=told, check=check
            )
        except ValueError as error:
            raise wrong_option(error) from error
    for line in problem_lines(made.problems, options.policy):
        print(f"footage: {line}", file=sys.stderr)
    shots, stories = counted(made.shots, "shot"), counted(made.stories, "story", "stories")
    print(f"footage: {shots} in {stories}, cached in {folder}", file=sys.stderr)


def _needed(plan: TuningPlan) -> dict[str, str]:
    """The packages that a run needs, and what pip is told to install."""
    needed = {"accelerate": "accelerate", "peft": "peft", "matplotlib": "'moc-studio[train]'"}
    if plan.recipe.optimizer == "adamw8bit":
        needed["bitsandbytes"] = "bitsandbytes"
    if plan.settings.tracker:
        tracker = plan.settings.tracker
        needed[tracker] = f"'moc-studio[{tracker}]'" if tracker == "tensorboard" else tracker
    return needed
