"""`python -m moc_engine.evaluation.training_run`: one process of a training run, evaluated as it goes.

`moc-studio train animatic` starts the right number of processes. Exit codes: 0 done, 1 failed, 2 wrong use,
130 interrupted. This is above `training` and `questions`: training does not know how models are evaluated.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping
from typing import Final

from moc_engine.config import SamplerConfig
from moc_engine.evaluation.evaluate import evaluate_model
from moc_engine.evaluation.generation.settings import EvaluationSettings, GenerationSettings
from moc_engine.evaluation.process_outcome import exit_code, failed
from moc_engine.evaluation.questions import following, recall
from moc_engine.models.animatic.model import AnimaticPipeline
from moc_engine.training.evaluator import Panels
from moc_engine.training.loop import train
from moc_engine.training.options import add_options, read_options
from moc_engine.training.recipes import Recipe

SEED: Final = 20_000
"""The seed of the stories used during training; final figures use other stories."""


class StoryEvaluator:
    """Generates a few held-out stories and measures them without painting frames."""

    @property
    def panels(self) -> Panels:
        return {
            "Memory of undescribed looks": recall.METRICS,
            "Captions followed": following.METRICS,
        }

    def evaluate(self, pipeline: AnimaticPipeline, plan: Recipe) -> Mapping[str, float]:
        settings = EvaluationSettings(
            stories=plan.evaluation_stories,
            shots=plan.evaluation_shots,
            seed=SEED,
            pictures=False,
            generation=GenerationSettings(
                router=plan.router,
                routing=plan.routing,
                sampler=SamplerConfig(steps=plan.evaluation_steps, guidance=1.0),
            ),
        )
        return evaluate_model(pipeline, settings).means()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m moc_engine.evaluation.training_run",
        description="Trains the embedded model in this process.",
    )
    add_options(parser)
    try:
        options = read_options(parser.parse_args())
    except ValueError as error:
        return failed(f"--{error}", 2)
    warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")  # expected with autocast
    return exit_code(lambda: train(options, StoryEvaluator()), options.out)


if __name__ == "__main__":
    sys.exit(main())
