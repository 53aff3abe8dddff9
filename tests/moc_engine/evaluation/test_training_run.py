from dataclasses import replace

import torch

from moc_engine.evaluation.questions import recall
from moc_engine.evaluation.training_run import StoryEvaluator
from moc_engine.models.animatic.model import build
from moc_engine.training.recipes import smoke


def test_a_model_in_training_is_evaluated_as_its_recipe_says() -> None:
    torch.manual_seed(0)
    plan = replace(smoke(), evaluation_stories=2, evaluation_shots=3)
    evaluator = StoryEvaluator()
    found = evaluator.evaluate(build(plan.model), plan)
    assert {"shape", "count", "pruned"} <= found.keys()
    assert "shape_in_pixels" not in found
    shown = [name for metrics in evaluator.panels.values() for name in metrics]
    assert set(recall.METRICS) < set(shown)
    assert len(shown) == len(set(shown))
