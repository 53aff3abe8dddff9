"""Two shots of each variant through the renderer: memories, portraits, traces, clips, and what is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from moc_engine.config import RoutingChoice, SamplerChoice
from moc_engine.contract import Guide, RenderRequest, RenderResult, finish
from moc_engine.models.base import ShotPictures, TakesPictures
from moc_engine.models.loading import load_backbone
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.trace_file import read_trace
from tests.fakes.short_shots import take_of
from tests.fakes.wan_folders import (
    fastwan_folder,
    wan22_i2v_folder,
    wan_a14b_folder,
    wan_i2v_folder,
    wan_ti2v_folder,
    wan_vace_folder,
)

WITH_PICTURE = (wan_ti2v_folder, wan_i2v_folder, wan22_i2v_folder, wan_vace_folder)


def first_shot(output: Path) -> RenderRequest:
    return RenderRequest(
        previews=0,
        shot=0,
        caption="a fox",
        global_caption="dawn",
        cast=("fox",),
        seconds=0.3,
        fps=16,
        size=(64, 32),
        seed=1,
        output=output,
        routing=RoutingChoice(top_k=2, full_below=0, backend="grouped"),
        sampler=SamplerChoice(steps=4),
    )


def second_shot(first: RenderRequest, result: RenderResult) -> RenderRequest:
    return replace(
        first,
        shot=1,
        caption="a fox runs",
        seed=2,
        output=first.output / "second",
        context=(take_of(first, result),),
    )


def last_frame(result: RenderResult) -> Path:
    """The last frame of a clip as a picture, as a shot that goes on from there is given it."""
    with av.open(result.clip) as clip:
        *_, last = clip.decode(video=0)
    file = result.clip.with_name("last.png")
    Image.fromarray(np.asarray(last.to_ndarray(format="rgb24"))).save(file)
    return file


@pytest.mark.parametrize("make", [*WITH_PICTURE, wan_a14b_folder, fastwan_folder])
def test_a_second_shot_reads_the_first_and_may_start_from_its_last_frame(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "model")
    renderer = ShotRenderer(tmp_path / "model", device="cpu")
    picture = tmp_path / "first.png"
    Image.fromarray(np.full((32, 64, 3), 200, np.uint8)).save(picture)
    sampler = SamplerChoice() if make is fastwan_folder else SamplerChoice(steps=4)
    first = replace(first_shot(tmp_path), sampler=sampler)
    if make in WITH_PICTURE:
        first = replace(first, first_frame=LocalFile(picture))
    made = finish(renderer, first)
    request = second_shot(first, made)
    if make in WITH_PICTURE:
        request = replace(request, first_frame=LocalFile(last_frame(made)))
    result = finish(renderer, request)
    trace = read_trace(result.trace)
    assert {link.source for link in trace.links()} == {0}
    assert trace.portraits is not None
    assert trace.portraits.names == ("fox",)
    latents = load_file(result.latents)["latents"]
    assert latents.isfinite().all()
    alone = finish(renderer, replace(request, context=(), output=tmp_path / "alone"))
    assert not torch.allclose(load_file(alone.latents)["latents"], latents, atol=1e-3)
    if make in WITH_PICTURE:
        other = replace(request, first_frame=LocalFile(picture), output=tmp_path / "other")
        assert not torch.allclose(load_file(finish(renderer, other).latents)["latents"], latents, atol=1e-3)


def test_a_picture_is_encoded_once_for_all_that_read_it(tmp_path: Path) -> None:
    wan22_i2v_folder(tmp_path)
    family = load_backbone(tmp_path, "cpu").family
    assert isinstance(family, TakesPictures)
    pictures = [np.full((32, 64, 3), level, np.uint8) for level in (10, 200)]
    first = family.condition(ShotPictures(first=pictures[0]), (16, 2, 4, 8))
    assert first is not None
    assert family.condition(ShotPictures(first=pictures[0].copy()), (16, 2, 4, 8)) is first
    for picture, shape in ((pictures[1], (16, 2, 4, 8)), (pictures[0], (16, 3, 4, 8))):
        other = family.condition(ShotPictures(first=picture), shape)
        assert other is not None
        assert other.channels_BCFHW is not None
        assert first.channels_BCFHW is not None
        assert other.channels_BCFHW.shape == (1, 20, *shape[1:])
        same = torch.allclose(other.channels_BCFHW[:, :, :2], first.channels_BCFHW, atol=1e-5)
        assert same == (picture is pictures[0])  # frames to come change nothing before them


def test_a_guide_starts_at_a_later_step_and_by_the_expert_of_its_noise(tmp_path: Path) -> None:
    wan_a14b_folder(tmp_path / "model")
    renderer = ShotRenderer(tmp_path / "model", device="cpu")
    first = first_shot(tmp_path)
    made = finish(renderer, first)
    request = replace(
        second_shot(first, made), guide=Guide(clip=LocalFile(made.clip), strength=0.5), seed=first.seed
    )
    guided = read_trace(finish(renderer, request).trace)
    assert guided.routing["experts"] == ["low", "low"]
    assert guided.step_groups[-1][1] == 2
    whole = read_trace(finish(renderer, replace(request, guide=None)).trace)
    assert whole.routing["experts"] == ["high", "high", "low", "low"]
