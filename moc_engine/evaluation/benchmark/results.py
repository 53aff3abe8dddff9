"""The results of the benchmark: what is written to JSON, one file for each kind of machine.

Results of several runs merge: a case that is measured again replaces the one measured before. Those of
another processor, or of another number of threads, are left behind.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import torch

from moc_engine.evaluation.benchmark.figures import Spread

FORMAT: Final = 1

TINY_RUN: Final = (
    "TINY: a case has a few tokens, whatever its name says. This tries the program; its times and ratios "
    "mean nothing."
)

KEPT: Final = Path(__file__).parents[1] / "results"
"""The newest results of each kind of machine."""


@dataclass(kw_only=True)
class Entry:
    """What was found of one contestant of a case.

    `errors` are relative errors by scale of the inputs. `skipped`, `wrong` or `failed` says why there are no
    times. `faster` is how many times as fast as the fastest dense attention it is,
    `growth` how many times longer than in the shortest story.
    """

    name: str
    kind: str
    note: str | None = None
    errors: dict[str, float] = field(default_factory=dict)
    skipped: str | None = None
    wrong: str | None = None
    failed: str | None = None
    attended_pairs: int | None = None
    pairs_ratio: float | None = None
    milliseconds: Spread | None = None
    faster: Spread | None = None
    efficiency: float | None = None
    growth: Spread | None = None
    extra_mebibytes: float | None = None


def machine(device: torch.device) -> dict[str, Any]:
    """The machine in words; `kind` names its file of results."""
    found: dict[str, Any] = {
        "kind": "cpu",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gibibytes": _memory_gibibytes(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found["gpu"] = properties.name
        found["gpu_memory_gibibytes"] = round(properties.total_memory / 2**30, 1)
        found["kind"] = re.sub(r"[^a-z0-9]+", "-", properties.name.lower()).strip("-")
    return found


def versions() -> dict[str, str | None]:
    return {
        "program": _version("moc-studio"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "triton": _version("triton"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def _memory_gibibytes() -> float | None:
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    found = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo.read_text(encoding="utf-8"), re.MULTILINE)
    return round(int(found[1]) / 2**20, 1) if found else None


class Refused(ValueError):
    """What the benchmark does not do, in a line for whoever asked for it."""


class Results:
    """The results of one kind of machine in a file, which is written after every case.

    Those of `tiny` sizes are marked: their times say nothing.
    """

    def __init__(self, file: Path, device: torch.device, *, tiny: bool = False) -> None:
        self._file = file
        self._measured: dict[str, Any] = {"machine": machine(device), "versions": versions()}
        found = load(file)["cases"] if file.exists() else {}
        here = plain(self._measured["machine"])
        before = {name: case for name, case in found.items() if case["machine"] == here}
        self.document: dict[str, Any] = {"format": FORMAT, **self._measured, "cases": before}
        if tiny:
            self.document["tiny"] = TINY_RUN

    def add(self, name: str, case: Mapping[str, Any]) -> None:
        """Adds a case and writes the file."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.document["date"] = now
        self.document["cases"][name] = plain({**case, "date": now, **self._measured})
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_name(f"{self._file.name}.part")  # a run that is cut leaves the file whole
        part.write_text(json.dumps(self.document, indent=1) + "\n", encoding="utf-8")
        part.replace(self._file)


def load(file: Path) -> dict[str, Any]:
    """The results in a file. Raises `Refused` where there are none, or those of another format."""
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{file}: no results can be read: {error}") from error
    if document.get("format") != FORMAT:
        raise Refused(f"{file.name}: results of format {document.get('format')}, not {FORMAT}")
    return document


def load_measured(file: Path) -> dict[str, Any]:
    """As `load`. Raises `Refused` for a tiny run, whose figures mean nothing."""
    document = load(file)
    if document.get("tiny"):
        raise Refused(f"{file.name}: a tiny run, whose figures mean nothing")
    return document


def plain(data: Any) -> Any:
    """Data as JSON has it: no dataclasses, floats of five digits, null for what is not finite."""
    match data:
        case Entry() | Spread():
            return plain(asdict(data))
        case Mapping():
            return {str(name): plain(value) for name, value in data.items() if value is not None}
        case list() | tuple():
            return [plain(value) for value in data]
        case float():
            return float(f"{data:.5g}") if math.isfinite(data) else None
        case _:
            return data
