"""`python -m moc_engine.evaluation.examined_training`: one process of a training run that is examined.

`moc-studio train animatic` starts the right number of them. Exit codes: 0 done, 1 failed, 2 wrong use,
130 interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
import warnings
from collections.abc import Mapping
from typing import Final

from moc_engine.config import SamplerConfig
from moc_engine.errors import EngineError
from moc_engine.evaluation.examination import Examination, examine_model
from moc_engine.evaluation.playback import Playback
from moc_engine.evaluation.questions import following, recall
from moc_engine.models.animatic.model import AnimaticPipeline
from moc_engine.training.examiner import Panels
from moc_engine.training.loop import train
from moc_engine.training.options import add_options, read_options
from moc_engine.training.recipes import Recipe

SEED: Final = 20_000
"""The seed of the stories that are examined during training; final figures use other stories."""


class StoryExaminer:
    """Renders a few held-out stories, without painting them, and reads them back."""

    @property
    def panels(self) -> Panels:
        return {
            "Remembers what captions leave unsaid": recall.METRICS,
            "Shows what captions say": following.METRICS,
        }

    def examine(self, pipeline: AnimaticPipeline, plan: Recipe) -> Mapping[str, float]:
        examination = Examination(
            stories=plan.examined_stories,
            shots=plan.examined_shots,
            seed=SEED,
            pictures=False,
            playback=Playback(
                routing=plan.routing, sampler=SamplerConfig(steps=plan.examined_steps, guidance=1.0)
            ),
        )
        return examine_model(pipeline, examination).headline()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m moc_engine.evaluation.examined_training",
        description="Trains the embedded model in this process.",
    )
    add_options(parser)
    try:
        options = read_options(parser.parse_args())
    except ValueError as error:
        return _failed(f"--{error}", 2)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and end the loaders too
    warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")  # so it is with autocast
    try:
        train(options, StoryExaminer())
    except EngineError as error:
        return _failed(error, 1)
    except OSError as error:
        return _failed(f"{error.filename or options.out}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return 130
    return 0


def _failed(message: object, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
