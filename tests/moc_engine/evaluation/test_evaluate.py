from pathlib import Path

import pytest
import torch

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation.evaluate import EvaluationPool, evaluate_model, time_stories
from moc_engine.evaluation.generation.methods import CONTEXTS, method_names
from moc_engine.evaluation.generation.settings import EvaluationSettings, GenerationSettings
from moc_engine.evaluation.measures.scores import Scores
from moc_engine.models.animatic.model import AnimaticPipeline, ModelConfig, build, save, sizes_of
from moc_engine.ops.routers.registry import BUILT_IN

TINY = ModelConfig(layers=1, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)
QUICK = GenerationSettings(routing=RoutingConfig(), sampler=SamplerConfig(steps=1))
LEARNED = tuple(name for name, entry in BUILT_IN.items() if entry.parameters is not None)


def _with_routers() -> AnimaticPipeline:
    """A tiny model with parameters of all learned routers."""
    torch.manual_seed(0)
    model = build(TINY)
    model.routers = {
        name: entry.parameters(sizes_of(model)).requires_grad_(False)
        for name, entry in BUILT_IN.items()
        if entry.parameters is not None
    }
    return model


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
    assert min(found.values("seconds")) > 0
    for metric, figure in found.summaries().items():
        if metric == "seconds":
            continue
        assert alone.summaries()[metric].mean == pytest.approx(figure.mean, abs=1e-4), metric


def test_every_method_attends_to_no_more_than_its_budget() -> None:
    model = _with_routers()
    own, earlier, chosen = 2 * 16, 16 + 32, 2 * 16  # tokens of a query, in both shots with a history
    for method in method_names():
        generation = GenerationSettings(
            router=method, routing=RoutingConfig(top_k=8), sampler=SamplerConfig(steps=1)
        )
        found = evaluate_model(model, EvaluationSettings(stories=1, shots=3, tokens=2, generation=generation))
        attended = {"dense": earlier, "own": 0}.get(method, chosen)
        if method in ("moba", "adaspa", *LEARNED, *CONTEXTS):  # not all that the budget allows
            assert found.values("pairs")[0] <= (own + chosen) / (own + earlier) + 1e-6
            assert found.values("pruned")[0] < 1
            continue
        assert found.values("pruned") == pytest.approx([1 - attended / earlier]), method
        assert found.values("pairs") == pytest.approx([(own + attended) / (own + earlier)]), method


def test_memory_is_measured_at_the_last_shot() -> None:
    model = _with_routers()
    token = 2 * 2 * 16 * 4  # bytes of keys and values of two heads in one layer
    tokens, means = 2 * 16, 2 * 8 * 2 * 16 * 4  # of two earlier shots
    for method in method_names():
        generation = GenerationSettings(router=method, routing=RoutingConfig(top_k=3), sampler=QUICK.sampler)
        settings = EvaluationSettings(stories=2, shots=3, tokens=2, generation=generation, costs=True)
        found = evaluate_model(model, settings)
        reads = method not in ("dense", "own", "packed", *CONTEXTS)
        kept = 0 if method == "own" else tokens * token + reads * means
        assert found.values("remembered_mib") == pytest.approx([kept / 2**20] * 2), method
        read = found.values("read_mib")[0] * 2**20
        match method:
            case "own":
                assert read == 0
            case "dense":
                assert read == tokens * token
            case "packed":
                assert read == 3 * 2 * token  # as many tokens as three chunks have
            case "named-cast" | "storymem" | "moba":
                assert read <= tokens * token
            case _:
                assert 0 < read <= tokens * token
        assert found.values("working_mib")[0] > 0


def test_costs_are_measured_only_where_they_are_asked_for() -> None:
    found = evaluate_model(build(TINY), EvaluationSettings(stories=1, shots=2, tokens=2, generation=QUICK))
    assert "remembered_mib" not in found.metrics()


def test_a_device_times_the_stories_of_a_batch() -> None:
    scores = Scores()
    settings = EvaluationSettings(stories=12, shots=1, tokens=2, generation=QUICK)
    time_stories(build(TINY), settings, scores)
    assert len(scores.values("gpu_seconds")) == 10
    assert min(scores.values("gpu_seconds")) > 0
