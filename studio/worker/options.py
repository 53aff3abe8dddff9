"""The options of a worker, whatever command starts it. Light: all commands import it."""

from __future__ import annotations

import argparse
import os

from studio.jobs.job import LEASE
from studio.worker.renderers import RendererOptions


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds them, but for those that name the studio."""
    parser.add_argument("--name", default=f"worker-{os.getpid()}", help="the worker's name in the queue")
    parser.add_argument(
        "--lease",
        type=float,
        default=LEASE,
        metavar="SECONDS",
        help="seconds without a heartbeat after which its job goes to another worker (default: %(default)g)",
    )
    RendererOptions.add_to(parser)
