"""Step caches in renders of a Wan pipeline with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from moc_engine.config import SamplerChoice
from moc_engine.contract import ContextTake, RenderRequest, StepCache, finish
from moc_engine.errors import EngineError, RenderCancelled
from moc_engine.models.loading import load_backbone
from moc_engine.render.prepare import prepare
from moc_engine.render.renderer import ShotRenderer
from moc_engine.render.step_caching import StepCaches, measured_ratios
from moc_engine.step_caches import STEP_CACHES
from moc_engine.trace.trace_file import read_trace
from tests.fakes.models import save_tiny_video
from tests.fakes.short_shots import latents_of, short_shot, take_of
from tests.fakes.wan_folders import wan_a14b_folder

STEPS = 30

METHODS: tuple[StepCache, ...] = get_args(StepCache)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "video"
    save_tiny_video(folder)
    return folder


@pytest.fixture(scope="module")
def renderer(folder: Path) -> ShotRenderer:
    return ShotRenderer(folder, device="cpu")


@pytest.fixture(scope="module")
def first(renderer: ShotRenderer, tmp_path_factory: pytest.TempPathFactory) -> ContextTake:
    asked = replace(request(tmp_path_factory.mktemp("first") / "0"), shot=0)
    return take_of(asked, finish(renderer, asked))


def request(output: Path, cache: StepCache | None = None, *, guidance: float = 3.0) -> RenderRequest:
    sampler = SamplerChoice(steps=STEPS, guidance=guidance)
    return short_shot(output, shot=1, sampler=sampler, step_cache=cache)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("two_passes", [False, True])
def test_steps_that_were_skipped_are_told_and_leave_no_hole(
    folder: Path, first: ContextTake, method: StepCache, two_passes: bool, tmp_path: Path
) -> None:
    renderer = ShotRenderer(folder, device="cpu", two_passes=two_passes)
    plain = finish(renderer, replace(request(tmp_path / "plain"), context=(first,)))
    cached = finish(renderer, replace(request(tmp_path / "cached", method), context=(first,)))
    after = finish(renderer, replace(request(tmp_path / "after"), context=(first,)))

    trace = read_trace(cached.trace)
    skipped = dict(trace.routing["skipped"])
    assert trace.routing["step_cache"] == method
    assert skipped
    assert 0 not in skipped
    assert set(map(tuple, skipped.values())) == {(1,) if method == "first-block" else (0, 1)}
    shares = trace.table.sum(axis=-1)
    assert (shares == 65535).all()
    assert torch.isfinite(latents_of(cached)).all()
    assert not torch.equal(latents_of(cached), latents_of(plain))
    assert torch.equal(latents_of(after), latents_of(plain))
    assert "skipped" not in read_trace(after.trace).routing


@pytest.mark.parametrize("method", METHODS)
def test_equal_requests_render_the_same(folder: Path, method: StepCache, tmp_path: Path) -> None:
    renderer = ShotRenderer(folder, device="cpu")
    one = finish(renderer, request(tmp_path / "one", method))
    again = finish(renderer, request(tmp_path / "again", method))
    elsewhere = finish(ShotRenderer(folder, device="cpu"), request(tmp_path / "elsewhere", method))

    assert torch.equal(latents_of(one), latents_of(again))
    assert torch.equal(latents_of(one), latents_of(elsewhere))


def test_a_layer_that_did_not_run_shows_where_it_last_looked(
    renderer: ShotRenderer, first: ContextTake, tmp_path: Path
) -> None:
    cached = finish(renderer, replace(request(tmp_path / "cached", "taylor"), context=(first,)))
    trace = read_trace(cached.trace)
    skipped = {step for step, _ in trace.routing["skipped"]}
    groups = [set(range(*span)) for span in trace.step_groups]
    idle = [group for group, steps in enumerate(groups) if steps <= skipped]
    for group in idle:
        assert np.array_equal(trace.table[:, :, group], trace.table[:, :, group - 1])
    assert trace.weights == tuple(len(steps) for steps in groups)


def test_paged_histories_go_with_skipped_layers(folder: Path, first: ContextTake, tmp_path: Path) -> None:
    whole = ShotRenderer(folder, device="cpu")
    paged = ShotRenderer(folder, device="cpu", page_bytes=1)
    one, other = (
        finish(renderer, replace(request(tmp_path / str(nth), "first-block"), context=(first,)))
        for nth, renderer in enumerate((whole, paged))
    )
    assert torch.allclose(latents_of(one), latents_of(other), atol=1e-4)


def test_magnitudes_are_those_of_the_blocks_changes(folder: Path, tmp_path: Path) -> None:
    backbone = load_backbone(folder, "cpu")
    (ratios,) = measured_ratios(prepare(request(tmp_path, "mag"), backbone), backbone).values()
    assert len(ratios) == STEPS
    assert ratios[0] == 1.0
    assert all(0.5 < ratio < 2.0 for ratio in ratios)
    assert len(set(ratios)) > 1


def test_steps_that_choose_their_blocks_are_not_compiled(folder: Path, tmp_path: Path) -> None:
    renderer = ShotRenderer(folder, device="cpu", compiled=True)
    with pytest.raises(EngineError, match="the step cache taylor decides at each step which blocks run"):
        finish(renderer, request(tmp_path / "one", "taylor"))


def test_each_cache_says_what_it_costs() -> None:
    assert set(STEP_CACHES) == set(METHODS)


def test_two_experts_have_caches_of_their_own(tmp_path: Path) -> None:
    wan_a14b_folder(tmp_path / "model")
    renderer = ShotRenderer(tmp_path / "model", device="cpu", profile="8gb")
    result = finish(renderer, replace(request(tmp_path / "one", "mag"), shot=0))

    trace = read_trace(result.trace)
    skipped = {step for step, _ in trace.routing["skipped"]}
    experts = trace.routing["experts"]
    assert {experts[step] for step in skipped} == {"high", "low"}
    assert not {0, experts.index("low")} & skipped  # each begins with a step of its own


class SetAfter:
    """A cancel token that is set once it has been looked at so many times."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def test_measuring_a_model_ends_within_a_step_where_it_is_cancelled(folder: Path, tmp_path: Path) -> None:
    backbone = load_backbone(folder, "cpu")
    prepared, runs = prepare(request(tmp_path, "mag"), backbone), 0

    def counted(*_: object) -> None:
        nonlocal runs
        runs += 1

    hook = backbone.transformer.register_forward_pre_hook(counted)
    with pytest.raises(RenderCancelled):
        StepCaches().of(prepared, backbone, SetAfter(3))
    hook.remove()
    assert runs == 3
    renderer = ShotRenderer(folder, device="cpu")
    token = SetAfter(10)
    with pytest.raises(RenderCancelled):
        for event in renderer.render(request(tmp_path / "take", "mag"), token):
            assert event.stage != "decode"
    assert token.looks == -1  # it was not asked again
    assert finish(renderer, request(tmp_path / "take", "mag")).frames == 3


@pytest.mark.parametrize("method", METHODS)
def test_the_conditional_pass_keeps_its_cache_where_guidance_ends(
    folder: Path, method: StepCache, tmp_path: Path
) -> None:
    """In one batch the pass that goes on would be another one, whose cache begins anew."""
    ends = SamplerChoice(steps=STEPS, guidance=3.0, guidance_floor=0.6)
    renderers = (ShotRenderer(folder, device="cpu", two_passes=passes) for passes in (False, True))
    one, two = (
        finish(renderer, replace(request(tmp_path / str(nth), method), sampler=ends))
        for nth, renderer in enumerate(renderers)
    )
    assert torch.equal(latents_of(one), latents_of(two))
    skipped = {step for step, _ in read_trace(one.trace).routing["skipped"]}
    backbone = load_backbone(folder, "cpu")
    schedule = prepare(replace(request(tmp_path, method), sampler=ends), backbone).schedule
    first = next(nth for nth, step in enumerate(schedule.steps) if step.level < 0.6)
    assert skipped & set(range(first, first + 3))
