"""`python -m moc_engine.evaluation.toon.toon_training PRESET DIR`: trains a toon model in this process.

`moc-studio train toon` starts it. Exit codes: 0 done or the piece has ended, 1 failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from moc_engine.evaluation.process_outcome import exit_code
from moc_engine.evaluation.toon.toon_measure import measure
from moc_engine.evaluation.toon.toon_report import load_parts
from moc_engine.models.finding import find_model
from moc_engine.training.evaluator import Panels
from moc_engine.training.toon.drawn_stories import DrawnStory, read_drawn, story_file
from moc_engine.training.toon.toon_presets import PRESETS
from moc_engine.training.toon.toon_run import ToonRun
from moc_engine.training.tuning.subject import TuningSubject

WAYS: Final = {"moc": "recall, routed", "dense": "recall, dense", "own": "recall, own shot only"}


class RecallEvaluator:
    """Recall in the pixels of held-out stories after drawn shots, while a toon model is trained in `out`."""

    def __init__(self, preset: str, out: Path) -> None:
        self._plan, self._out = PRESETS[preset](), out

    @property
    def panels(self) -> Panels:
        return {"Recall in pixels": tuple(WAYS.values())}

    @cached_property
    def _stories(self) -> list[DrawnStory]:
        count = min(self._plan.held_out, self._plan.measured_stories)
        return [read_drawn(story_file(self._out / "stories", number)) for number in range(count)]

    def evaluate(self, subject: TuningSubject, step: int) -> Mapping[str, float]:
        parts = load_parts(find_model(self._out / "start"), subject.transformer)
        found = measure(
            parts,
            self._stories,
            fps=self._plan.drawing.fps,
            context="drawn",
            top_k=self._plan.top_k,
            steps=self._plan.steps,
            guidance=1.0,
        )
        return {
            words: found.figures[way]["recall"].mean
            for way, words in WAYS.items()
            if "recall" in found.figures[way]  # somebody returns
        }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m moc_engine.evaluation.toon.toon_training", description="Trains a toon model."
    )
    parser.add_argument("preset", choices=PRESETS)
    parser.add_argument("out", type=Path, metavar="DIR", help="the folder of the run")
    parser.add_argument("--minutes", type=float, metavar="N", help="end the piece after N minutes")
    args = parser.parse_args()
    run = ToonRun(
        args.preset,
        args.out,
        minutes=args.minutes,
        told=lambda line: print(line, flush=True),
        evaluators=(RecallEvaluator(args.preset, args.out),),
    )

    def train() -> None:
        done = run.go()
        print(f"the model is in {run.model}" if done else "not done: the same command goes on")

    return exit_code(train, args.out)


if __name__ == "__main__":
    sys.exit(main())
