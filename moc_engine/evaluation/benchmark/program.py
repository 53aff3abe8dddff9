"""The order of a run: compiling in parallel, then case by case; results are written after each."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from moc_engine.evaluation.benchmark.attention import Contestants, measure_case
from moc_engine.evaluation.benchmark.cases import (
    DENOISING,
    LATE,
    PARTS,
    Part,
    attention_cases,
    case_names,
)
from moc_engine.evaluation.benchmark.contestants import contestants
from moc_engine.evaluation.benchmark.heading import heading
from moc_engine.evaluation.benchmark.results import Refused, Results, machine, versions
from moc_engine.evaluation.benchmark.timing import ROUNDS
from moc_engine.evaluation.benchmark.warm import compile_in_parallel

Measure = Callable[[], dict[str, Any]]


@dataclass(kw_only=True)
class Program:
    """A run on a device: of all cases, or of those named in `only` by case or part.

    No case is started after `seconds`. Results are in `out`, in one file for each kind of machine. `say`
    prints progress; `contestants` are compared.
    """

    device: torch.device
    out: Path
    tiny: bool = False
    only: Sequence[str] = ()
    seconds: float = 3600.0
    contestants: Contestants | None = None
    say: Callable[[str], None] = print
    file: Path = field(init=False)

    def __post_init__(self) -> None:
        kind = machine(self.device)["kind"]
        self.file = self.out / f"{kind}{'-tiny' if self.tiny else ''}.json"

    def run(self) -> int:
        """Measures every case. Returns the number of faults: what failed, and what was wrong.

        Raises `Refused` for names that are not known, and where the file of results has another format.
        """
        started, failures = time.monotonic(), 0
        known = case_names(self.device.type, tiny=self.tiny)
        unknown = [name for name in self.only if name not in known and name not in PARTS]
        if unknown:
            raise Refused(
                f"--only: there is no part or case {unknown[0]!r}; parts are {', '.join(PARTS)}; "
                f"cases are {', '.join(known)}"
            )
        results = Results(self.file, self.device, tiny=self.tiny)
        chosen = [name for name, part, _ in self._cases() if self._measures(name, part)]
        here = machine(self.device)
        for line in heading(here, versions(), chosen, tiny=self.tiny, seconds=self.seconds):
            self.say(line)
        if self.device.type == "cuda":
            self.say("compiling")
            compile_in_parallel(self.device, tiny=self.tiny, only=self.only)
        for name, part, measure in self._cases():
            if not self._measures(name, part):
                continue
            if time.monotonic() - started > self.seconds:
                self.say(f"{name}: left out, the time is up")
                continue
            self.say(f"{name} ({part}{', tiny' if self.tiny else ''}):")
            try:
                case = measure()
                results.add(name, case)
                failures += sum(bool(entry.failed or entry.wrong) for entry in case.get("entries", ()))
                failures += sum("wrong" in point for point in case.get("points", ()))
            except ImportError as error:
                self.say(f"  skipped: {error}")
                results.add(name, {"part": part, "skipped": f"needs a package that is not there: {error}"})
            except Exception as error:
                traceback.print_exc()
                results.add(name, {"part": part, "skipped": f"failed: {type(error).__name__}: {error}"})
                failures += 1
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        self.say(f"results: {self.file}")
        return failures

    def _measures(self, name: str, part: Part) -> bool:
        return not self.only or name in self.only or part in self.only

    def _cases(self) -> Iterator[tuple[str, Part, Measure]]:
        chosen = self.contestants or partial(contestants, compiled=not self.tiny)
        budget, rounds = (0.2, 3) if self.tiny else (20.0, ROUNDS)
        for case in attention_cases(self.device.type, tiny=self.tiny):
            measure = partial(
                measure_case, case, self.device, chosen, seconds=budget, rounds=rounds, say=self.say
            )
            yield case.name, case.part, measure
        if self.device.type == "cpu":
            yield LATE, "late", self._late
        yield DENOISING, "film", self._film

    def _late(self) -> dict[str, Any]:
        from moc_engine.evaluation.benchmark.late_shots import TINY, measure_late_shots

        with TemporaryDirectory() as folder:
            if self.tiny:
                return measure_late_shots(Path(folder), late=TINY, rendered=2, rounds=1, say=self.say)
            return measure_late_shots(Path(folder), seconds=150.0, say=self.say)

    def _film(self) -> dict[str, Any]:
        from moc_engine.evaluation.benchmark.film import FEW_LAYERS, TINY, WAN_1_3B, measure_film

        size = TINY if self.tiny else WAN_1_3B if self.device.type == "cuda" else FEW_LAYERS
        return measure_film(size, self.device, say=self.say)
