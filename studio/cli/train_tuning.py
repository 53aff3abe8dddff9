"""`moc-studio train lora` and `train full`: tune a video model on footage, with Mixture of Contexts."""

from __future__ import annotations

import argparse
from typing import Any, Final, get_args

from studio.cli.training_processes import add_processes, check_packages, check_processes, run_processes
from studio.domain.errors import WrongUse

TUNING: Final = "moc_engine.evaluation.tuning_run"
"""The module that each training process runs; not imported here, so that wrong options fail quickly."""

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
        parser.add_argument("--dry-run", action="store_true", help="predict memory and time, and stop")
        parser.set_defaults(run=run, kind=kind)


def run(args: argparse.Namespace) -> int:
    from moc_engine.training.tuning.plan import TuningPlan, write_plan
    from moc_engine.training.tuning.run_options import read_options

    try:
        plan: TuningPlan = read_options(args, args.kind)
    except ValueError as error:
        field, _, rest = str(error).partition(":")
        raise WrongUse(f"--{field.replace('_', '-')}:{rest}") from error
    check_processes(args.processes)
    check_packages(_needed(plan))
    write_plan(args.out, plan)
    arguments = [str(args.out), *(["--resume"] if args.resume else []), *(["--force"] if args.force else [])]
    arguments += ["--dry-run"] if args.dry_run else []
    return run_processes(TUNING, arguments, args.processes or 1)


def _needed(plan: Any) -> dict[str, str]:
    """The packages that a run needs, and what pip is told to install."""
    needed = {"accelerate": "accelerate", "peft": "peft", "matplotlib": "'moc-studio[train]'"}
    if plan.recipe.optimizer == "adamw8bit":
        needed["bitsandbytes"] = "bitsandbytes"
    if plan.settings.tracker:
        needed[plan.settings.tracker] = plan.settings.tracker
    return needed
