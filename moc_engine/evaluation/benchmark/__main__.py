"""Runs the benchmark: `python -m moc_engine.evaluation.benchmark --device cpu`.

Results are written after every case, and merge with those that are in the file: the benchmark can be run in
pieces. `--publish` puts them where the repository keeps them: results, plots, RESULTS.md and README.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from moc_engine.evaluation.benchmark.cases import PARTS

OUT = Path("build/bench")


def main(arguments: list[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    import torch

    from moc_engine.evaluation.benchmark.program import Program
    from moc_engine.evaluation.benchmark.warm import compile_share

    if args.device == "cuda" and not torch.cuda.is_available():
        print("there is no CUDA device", file=sys.stderr)
        return 1
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    if args.compile_share:
        compile_share(device, *args.compile_share, tiny=args.tiny, only=args.only)
        return 0
    if args.auto_table:
        from moc_engine.evaluation.benchmark.auto_table import table_of
        from moc_engine.evaluation.benchmark.results import load

        print(json.dumps(table_of(load(args.auto_table)), indent=1))
        return 0
    program = Program(device=device, tiny=args.tiny, only=args.only, seconds=args.seconds, out=args.out)
    failures = program.run()
    if args.publish:
        from moc_engine.evaluation.benchmark.publish import publish

        for path in publish(program.file):
            print(f"wrote {path}")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m moc_engine.evaluation.benchmark", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try the program in seconds")
    parser.add_argument(
        "--only",
        type=lambda text: tuple(part.strip() for part in text.split(",")),
        default=(),
        metavar="NAMES",
        help=f"parts ({', '.join(PARTS)}) or names of cases, separated by commas",
    )
    parser.add_argument("--seconds", type=float, default=3600.0, help="starts no case after so many seconds")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results, build/bench by default")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="CPU threads, all by default"
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
