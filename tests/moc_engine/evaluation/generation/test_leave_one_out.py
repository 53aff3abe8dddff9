"""Batched retakes equal the renderer's single ones: takes, traces and bans."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from moc_engine.config import RoutingChoice, RoutingConfig, SamplerChoice, SamplerConfig, Steering
from moc_engine.contract import ContextTake, RenderRequest
from moc_engine.evaluation.generation.leave_one_out import ShotVariants, leave_one_out, noise_seed
from moc_engine.models.animatic.model import save
from moc_engine.models.animatic.world import Story, sample_story
from moc_engine.models.backbone import Backbone
from moc_engine.models.loading import load_backbone
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.trace_file import read_trace
from tests.fakes.models import tiny_animatic

SAMPLER = SamplerConfig(steps=3, guidance=2.0, guidance_floor=0.5)
STORIES = [sample_story(np.random.default_rng(seed), shots=3, cast=2, tokens=2) for seed in (0, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("tiny") / "model"
    save(tiny_animatic(), folder)
    return folder


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Backbone:
    return load_backbone(folder, "cpu")


def _retaken(
    backbone: Backbone, routing: RoutingConfig, *, pairs: int | None = None
) -> dict[tuple[int, int], ShotVariants]:
    found = leave_one_out(
        backbone, STORIES, numbers=(4, 7), routing=routing, sampler=SAMPLER, seed=5, pairs=pairs
    )
    return {(variants.story, variants.shot): variants for variants in found}


def _rendered(
    folder: Path,
    out: Path,
    story: Story,
    takes: list[ShotVariants],
    routing: RoutingChoice,
    *,
    bans: tuple[int, ...],
    seed: int,
) -> tuple[NDArray[np.float32], RoutingTrace]:
    context = []
    for take in takes:
        latents = torch.from_numpy(take.take).permute(2, 0, 1)[..., None].contiguous()
        path = out / f"{take.shot}.safetensors"
        save_file({"latents": latents}, path)
        context.append(
            ContextTake(
                id=str(take.shot),
                shot=take.shot,
                latents=LocalFile(path),
                global_caption=story.global_caption,
                caption=story.shots[take.shot].caption,
                cast=story.cast,
                seconds=1.0,
            )
        )
    request = RenderRequest(
        previews=0,
        shot=2,
        caption=story.shots[2].caption,
        global_caption=story.global_caption,
        cast=story.cast,
        seconds=1.0,
        fps=6,
        size=(32, 18),
        seed=seed,
        output=out,
        context=tuple(context),
        steering=Steering(bans=bans),
        routing=routing,
        sampler=SamplerChoice(steps=3, guidance=2.0, guidance_floor=0.5),
    )
    work = ShotRenderer(folder, device="cpu").render(request)
    while True:
        try:
            next(work)
        except StopIteration as stop:
            latents = load_file(stop.value.latents)["latents"][..., 0].permute(1, 2, 0)
            return latents.numpy(), read_trace(stop.value.trace)


@pytest.mark.parametrize(("pooling", "chunking"), [("after", "track"), ("before", "frame")])
def test_takes_bans_and_traces_equal_those_of_the_renderer(
    folder: Path, backbone: Backbone, tmp_path: Path, pooling: str, chunking: str
) -> None:
    settings = {"top_k": 2, "pooling": pooling, "chunking": chunking}
    found = _retaken(backbone, RoutingConfig(**settings))  # type: ignore[arg-type]
    seen, before = found[7, 2], [found[7, 0], found[7, 1]]
    assert set(seen.without) == {0, 1}
    for bans, mine in (((), seen.take), ((0,), seen.without[0]), ((1,), seen.without[1])):
        out = tmp_path / str(bans)
        out.mkdir()
        theirs, trace = _rendered(
            folder,
            out,
            STORIES[1],
            before,
            RoutingChoice(**settings),  # type: ignore[arg-type]
            bans=bans,
            seed=noise_seed(5, 7, 2),
        )
        np.testing.assert_allclose(mine, theirs, atol=2e-4)
        if not bans:
            assert seen.trace is not None
            assert seen.trace.shot_shares() == pytest.approx(trace.shot_shares(), abs=1e-4)
            assert seen.trace.query == trace.query
            assert seen.trace.counts().tolist() == trace.counts().tolist()
    assert not np.allclose(seen.take, seen.without[0], atol=1e-4)


def test_a_story_does_not_depend_on_others_in_its_batch(backbone: Backbone) -> None:
    routing = RoutingConfig()
    both = _retaken(backbone, routing)
    alone = leave_one_out(backbone, STORIES[1:], numbers=(7,), routing=routing, sampler=SAMPLER, seed=5)
    for variants in alone:
        np.testing.assert_allclose(variants.take, both[7, variants.shot].take, atol=1e-4)


def test_the_first_shot_has_no_context(backbone: Backbone) -> None:
    first = _retaken(backbone, RoutingConfig())[4, 0]
    assert first.trace is None
    assert first.without == {}


def test_the_context_can_be_sampled(backbone: Backbone) -> None:
    every, some = _retaken(backbone, RoutingConfig()), _retaken(backbone, RoutingConfig(), pairs=1)
    for key, variants in some.items():
        assert len(variants.without) == min(1, key[1])
        for ban, values in variants.without.items():
            np.testing.assert_allclose(values, every[key].without[ban], atol=1e-4)
    with pytest.raises(ValueError, match="pairs"):
        _retaken(backbone, RoutingConfig(), pairs=0)
