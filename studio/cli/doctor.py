"""`moc-studio doctor`: checks the installation."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studio.cli.installation import examine

_MARKS = {"ok": "✓", "note": "·", "missing": "✗"}


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="check the installation",
        description="Checks the installation and tells how to get what is missing, with exit code 1.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    checks = []
    for check in examine(Path()):
        checks.append(check)
        if not args.json:
            print(f"{_MARKS[check.state]} {check.name:<16} {check.found}", flush=True)
            if check.state == "missing":
                print(f"  {'':<16} → {check.remedy}")
    if args.json:
        print(json.dumps([asdict(check) for check in checks], indent=2, ensure_ascii=False))
    return 1 if any(check.state == "missing" for check in checks) else 0
