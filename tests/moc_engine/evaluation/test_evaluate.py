from pathlib import Path
from typing import get_args

import pytest
import torch

from moc_engine.config import Router, RoutingConfig, SamplerConfig
from moc_engine.evaluation.evaluate import EvaluationPool, evaluate_model
from moc_engine.evaluation.generation.settings import EvaluationSettings, GenerationSettings
from moc_engine.models.animatic.model import ModelConfig, build, save

TINY = ModelConfig(layers=1, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)
QUICK = GenerationSettings(routing=RoutingConfig(), sampler=SamplerConfig(steps=1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stories": 0}, "stories"),
        ({"shots": 0}, "shots"),
        ({"tokens": 0}, "tokens"),
        ({"cast": 9}, "cast"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}: must be"):
        EvaluationSettings(**wrong)  # type: ignore[arg-type]


def test_stories_are_held_out_and_always_the_same() -> None:
    one, other = EvaluationSettings(seed=3), EvaluationSettings(seed=4)
    assert [s.caption for s in one.story(2).shots] == [s.caption for s in one.story(2).shots]
    assert [s.caption for s in one.story(2).shots] != [s.caption for s in other.story(2).shots]


def test_several_processes_give_the_same_result_as_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save(build(TINY), tmp_path)
    short = EvaluationSettings(stories=12, shots=2, tokens=2, generation=QUICK)
    told: list[int] = []
    with EvaluationPool(2) as pool:
        found = pool.evaluate(tmp_path, short, report=told.append)
    assert told == [6, 12]
    assert len(found.values("count")) == 12 * 2
    assert {"count", "setting", "pruned"} <= set(found.metrics())
    with EvaluationPool(1) as pool:
        alone = pool.evaluate(tmp_path, short)
    for metric, figure in found.summaries().items():
        assert alone.summaries()[metric].mean == pytest.approx(figure.mean, abs=1e-4), metric


def test_the_share_of_pruned_pairs_is_that_of_the_budget() -> None:
    torch.manual_seed(0)
    model = build(TINY)
    for router in get_args(Router):
        generation = GenerationSettings(
            router=router, routing=RoutingConfig(top_k=3), sampler=SamplerConfig(steps=1)
        )
        found = evaluate_model(model, EvaluationSettings(stories=1, shots=3, tokens=2, generation=generation))
        pruned = {"dense": 0.0, "own": 1.0}.get(router, 1 - (3 + 3) / (8 + 16))
        assert found.values("pruned") == pytest.approx([pruned]), router
