"""`moc-studio train animatic`: trains the embedded model."""

from __future__ import annotations

import argparse
from typing import Any, Final

from studio.cli.training_processes import add_processes, check_packages, check_processes, run_processes
from studio.domain.errors import WrongUse

TRAINING: Final = "moc_engine.evaluation.training_run"
"""The module that each training process runs; not imported here, so that wrong options fail quickly."""


def add_to(kinds: Any) -> None:
    from moc_engine.training.options import add_options

    parser = kinds.add_parser(
        "animatic",
        help="the embedded model, on generated stories",
        description="Trains the embedded model from scratch, from a model's weights with --from, or "
        "continues a run with --resume. Writes weights, checkpoints and the curves of loss and evaluations "
        "to DIR.",
    )
    add_options(parser)
    add_processes(parser, "2 for cpu, refine and trial with 2 or more cores, otherwise 1")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from moc_engine.training.launch import usual_processes
    from moc_engine.training.options import read_options

    try:
        options = read_options(args)
    except ValueError as error:
        raise WrongUse(f"--{error}") from error
    check_processes(args.processes)
    check_packages({"accelerate": "accelerate", "matplotlib": "'moc-studio[train]'"})
    return run_processes(TRAINING, options.arguments(), args.processes or usual_processes(options.preset))
