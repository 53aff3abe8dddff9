"""`moc-studio train`: trains the embedded model."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from typing import Any, Final

from studio.domain.errors import Interrupted, StudioError, WrongUse

TRAINING: Final = "moc_engine.evaluation.training_run"
"""The module that each training process runs; not imported here, so that wrong options fail quickly."""


def add_to(subparsers: Any) -> None:
    from moc_engine.training.options import add_options

    parser = subparsers.add_parser(
        "train",
        help="train the embedded model",
        description="Trains the embedded model from scratch, from a model's weights with --from, or "
        "continues a run with --resume. Writes weights, checkpoints and the curves of loss and evaluations "
        "to DIR.",
    )
    parser.add_argument("model", choices=["animatic"], help="which model")
    add_options(parser)
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="train in N processes of one thread each, one per GPU if there are any; each adds its own "
        "stories to the batch (default: 2 for cpu, refine and trial with 2 or more cores, otherwise 1)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from moc_engine.training.launch import launch, usual_processes
    from moc_engine.training.options import read_options

    try:
        options = read_options(args)
    except ValueError as error:
        raise WrongUse(f"--{error}") from error
    if args.processes is not None and args.processes < 1:
        raise WrongUse(f"--processes: must be 1 or more, got {args.processes}")
    for package in ("accelerate", "matplotlib"):
        if find_spec(package) is None:
            raise StudioError(f"training needs {package}: {sys.executable} -m pip install -e '.[train]'")
    code = launch(TRAINING, options.arguments(), args.processes or usual_processes(options.preset))
    if code == Interrupted.exit_code:
        raise Interrupted("interrupted")
    if code < 0:
        raise StudioError(f"a training process was ended by signal {-code}; continue with --resume")
    return code
