"""Runs the benchmark: `python -m moc_engine.evaluation.benchmark --device cpu`.

All cases take about 7 minutes on a CPU of two cores; `--only` chooses some, `--seconds` limits the time.
Results are written after every case, and merge with those that are in the file: the benchmark can be run in
pieces. `--publish` puts them where the repository keeps them: results, plots, RESULTS.md and README.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from moc_engine.evaluation.benchmark.cases import PARTS, case_names

OUT = Path("build/bench")


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 where something failed or was wrong, 2 where what is asked for cannot be done."""
    args = _parser().parse_args(arguments)
    from moc_engine.evaluation.benchmark.results import Refused

    try:
        return _run(args)
    except Refused as reason:
        print(reason, file=sys.stderr)
        return 2


def _run(args: argparse.Namespace) -> int:
    import torch

    from moc_engine.evaluation.benchmark.program import Program
    from moc_engine.evaluation.benchmark.results import Refused, load_measured
    from moc_engine.evaluation.benchmark.warm import compile_share

    if args.device == "cuda" and not torch.cuda.is_available():
        raise Refused("There is no CUDA device here; make bench measures on the CPU.")
    if args.publish and args.tiny:
        raise Refused("--publish: a tiny run, whose figures mean nothing, is not published.")
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    if args.compile_share:
        compile_share(device, *args.compile_share, tiny=args.tiny, only=args.only)
        return 0
    if args.auto_table:
        from moc_engine.evaluation.benchmark.auto_table import table_of

        print(json.dumps(table_of(load_measured(args.auto_table)), indent=1))
        return 0
    program = Program(device=device, tiny=args.tiny, only=args.only, seconds=args.seconds, out=args.out)
    failures = program.run()
    if args.publish:
        from moc_engine.evaluation.benchmark.publish import publish

        for path in publish(program.file):
            print(f"wrote {path}")
    return 1 if failures else 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m moc_engine.evaluation.benchmark", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--tiny", action="store_true", help="tiny sizes, to try the program; the figures mean nothing"
    )
    parser.add_argument(
        "--only",
        type=lambda text: tuple(part.strip() for part in text.split(",")),
        default=(),
        metavar="NAMES",
        help=f"parts ({', '.join(PARTS)}) or names of cases, separated by commas; the cases on the CPU: "
        f"{', '.join(case_names('cpu'))}; on a GPU: {', '.join(case_names('cuda'))}",
    )
    parser.add_argument(
        "--seconds", type=float, default=3600.0, help="starts no case after so many seconds, 3600 by default"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results, build/bench by default")
    parser.add_argument(
        "--threads", type=_positive, default=os.cpu_count() or 1, help="CPU threads, all by default"
    )
    parser.add_argument("--publish", action="store_true", help="put the results into the repository")
    parser.add_argument(
        "--auto-table",
        type=Path,
        metavar="RESULTS",
        help="measure nothing; print the rows of measured.json that a file of results gives",
    )
    parser.add_argument("--compile-share", nargs=2, type=int, metavar=("NTH", "OF"), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
