"""A Wan pipeline with random weights, driven by the same code as the embedded model."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from moc_engine.config import RoutingChoice, SamplerChoice
from moc_engine.contract import ContextTake, RenderRequest, finish
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import FindsNames
from moc_engine.models.loading import load_backbone
from moc_engine.models.wan.caption_room import TEXT_STATES
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.drift import sightings
from moc_engine.trace.trace_file import read_trace
from tests.fakes.models import save_tiny_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "video"
    save_tiny_video(folder)
    return folder


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Backbone:
    return load_backbone(folder, "cpu")


def test_captions_are_padded_with_zeros_that_count(backbone: Backbone) -> None:
    both = backbone.family.captions("a fox", "a fox runs", ())
    assert both.mask_BS is None
    assert both.states_BSE.shape == (1, TEXT_STATES, 16)
    assert not both.states_BSE[:, 7:].any()
    own = backbone.family.captions("", "a fox runs", ())
    assert torch.equal(own.states_BSE[:, :4], both.states_BSE[:, 3:7])
    dropped = backbone.family.captions("", "", ())
    assert dropped.states_BSE.shape == both.states_BSE.shape


def test_names_are_found_among_the_states(backbone: Backbone) -> None:
    """An end follows each caption, as the text encoder has it."""
    assert isinstance(backbone.family, FindsNames)
    mentions = backbone.family.mentions
    assert mentions("a dawn", "the Fox and a fox  runs", ("fox", "runs", "Mira")) == {
        "fox": [4, 7],
        "runs": [8],
    }
    assert mentions("", "a foxy runs", ("fox",)) == {}
    assert mentions("", "a fox runs", ("a fox", "fox")) == {
        "a fox": [0, 1]
    }  # who is meant, not whose name is in it
    assert mentions("", " ".join(["dawn"] * 600) + " fox", ("fox",)) == {}  # past what is read
    assert mentions("dawn " * 505, "a fox runs runs runs runs fox", ("fox",)) == {
        "fox": [505, 510]
    }  # the shot's own words stay
    assert mentions("a fox", "runs", ("fox",)) == {}  # in the shot's own caption alone
    assert mentions("", "今天小红在走路 fox", ("小红",)) == {"小红": [0]}  # one unknown token


@pytest.mark.parametrize(
    ("seconds", "size", "shape"),
    [
        (5.0, (832, 480), (4, 21, 60, 104)),
        (0.01, (16, 16), (4, 1, 2, 2)),
        (1.0, (100, 50), (4, 5, 6, 12)),
    ],
)
def test_latents_fit_the_patches(
    backbone: Backbone, seconds: float, size: tuple[int, int], shape: tuple[int, ...]
) -> None:
    assert backbone.family.latent_shape(seconds, size) == shape
    grid = backbone.grid(shape, "frame")
    assert (grid.frames, grid.height, grid.width) == (shape[1], shape[2] // 2, shape[3] // 2)


def test_frames_are_resampled_in_time_and_space(backbone: Backbone) -> None:
    latents = torch.randn(4, 2, 2, 4, generator=torch.Generator().manual_seed(0))  # 5 frames of 32 × 16
    frames = list(backbone.family.frames(latents, seconds=0.25, fps=32, size=(32, 16)))
    assert [frame.shape for frame in frames] == [(16, 32, 3)] * 8
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[1], frames[2])
    small = next(iter(backbone.family.frames(latents, seconds=0.25, fps=32, size=(16, 10))))
    assert small.shape == (10, 16, 3)
    assert backbone.family.picture(latents, seconds=0.25, size=(32, 16)).shape == (16, 32, 3)
    large = torch.randn(4, 2, 20, 80, generator=torch.Generator().manual_seed(0))
    assert backbone.family.picture(large, seconds=0.25, size=(640, 160)).shape == (64, 256, 3)


def test_a_story_of_two_shots_renders(folder: Path, tmp_path: Path) -> None:
    renderer = ShotRenderer(folder, device="cpu")
    context: list[ContextTake] = []
    for shot, caption in enumerate(("a fox", "a fox runs")):
        request = RenderRequest(
            previews=0,
            shot=shot,
            caption=caption,
            global_caption="dawn",
            cast=("fox", "owl"),
            seconds=0.6,
            fps=10,
            size=(64, 32),
            seed=shot,
            output=tmp_path / str(shot),
            context=tuple(context),
            routing=RoutingChoice(top_k=2, chunking="frame"),
            sampler=SamplerChoice(steps=2, guidance=3.0),
        )
        result = finish(renderer, request)
        context.append(
            ContextTake(
                id=caption,
                shot=shot,
                latents=LocalFile(result.latents),
                caption=caption,
                global_caption="dawn",
                cast=("fox", "owl"),
                seconds=0.6,
            )
        )
    with av.open(result.clip) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert len(frames) == result.frames == 6
    assert frames[0].shape == (32, 64, 3)
    assert load_file(result.latents)["latents"].shape == (4, 3, 4, 8)
    trace = read_trace(result.trace)
    assert trace.routing["full_attention"]  # few tokens, for which dense attention is faster
    assert trace.routing["tokens"] < trace.routing["full_below"]
    assert [chunk.name for chunk in trace.query] == ["frame 1", "frame 2", "frame 3"]
    assert [link.source for link in trace.links()] == [0]
    assert trace.caption_share() is None
    assert trace.grid == (2, 4)
    assert trace.portraits is not None
    assert trace.portraits.names == ("fox",)
    assert np.linalg.norm(trace.portraits.vectors, axis=1) == pytest.approx(1.0, abs=1e-3)
    assert trace.portraits.shares.sum() == pytest.approx(1.0, abs=1e-3)
    (fox,) = sightings(trace, ("fox", "owl"))
    assert (fox.name, fox.part, fox.sources) == ("fox", False, {"a fox": pytest.approx(1.0)})
