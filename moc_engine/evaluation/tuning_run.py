"""`python -m moc_engine.evaluation.tuning_run DIR`: one process of a run of tuning, whose plan lies in DIR.

`moc-studio train lora` and `train full` write the plan and start the processes; where it is there already,
`accelerate launch --module moc_engine.evaluation.tuning_run DIR` starts them too. Exit codes: 0 done,
1 failed, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from moc_engine.evaluation.process_outcome import exit_code, failed
from moc_engine.training.tuning.plan import read_plan
from moc_engine.training.tuning.start import start


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m moc_engine.evaluation.tuning_run", description="Tunes a model in this process."
    )
    parser.add_argument("out", type=Path, metavar="DIR", help="the folder of the run")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint")
    parser.add_argument("--force", action="store_true", help="start even if memory will not suffice")
    parser.add_argument("--dry-run", action="store_true", help="predict memory and time, and stop")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", "FSDP2-wrapped module")  # its output is changed by nobody

    def train() -> None:
        start(read_plan(args.out), args.out, resume=args.resume, force=args.force, dry_run=args.dry_run)

    try:
        return exit_code(train, args.out)
    except ValueError as error:  # an option that the model or the cache does not have
        return failed(f"--{error}", 2)


if __name__ == "__main__":
    sys.exit(main())
