"""Attention to all keys honours the attention backend that diffusers is set to."""

from collections.abc import Callable

import pytest
import torch
from diffusers.models.attention_dispatch import attention_backend
from torch import Tensor

from moc_engine.config import RoutingConfig, Steering
from moc_engine.models.backbone import Backbone
from moc_engine.models.dense_attention import attend_densely, dense_backend
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.features import features
from moc_engine.render.memory_pass import compute_memory
from tests.fakes.hunyuan_folder import SHOT, bare_hunyuan
from tests.fakes.operations_run import FUSED, OperationsRun
from tests.fakes.prepared import VIDEO, bare_video

CPU = torch.device("cpu")


@torch.no_grad()
def denoised(backbone: Backbone, latents: Tensor) -> Tensor:
    grid = backbone.grid(latents.shape, "frame")
    context = AttentionContext(shot=0, grid=grid, history=None, routing=RoutingConfig(), steering=Steering())
    attention = DenoisingPass(context, backbone.angles, CPU, dense_backend=backbone.adapter.dense_backend)
    captions = backbone.family.captions("", "a cat", ())
    return backbone.velocity(latents[None], torch.tensor([500.0]), attention, captions)


def remembered(backbone: Backbone, latents: Tensor) -> Tensor:
    captions = backbone.family.captions("", "a cat", ())
    return compute_memory(backbone, latents, captions, chunking="frame", pooling="before", noise=0.0).v_NHTD


def looked_at(backbone: Backbone, latents: Tensor) -> Tensor:
    found = features(backbone, latents, backbone.family.captions("", "a cat", ()), noise=0.0)
    return torch.stack([found.tokens[key] for key in sorted(found.tokens) if key[1] == "value"])


WAN = [(denoised, "wan"), (remembered, "wan"), (looked_at, "wan")]


@pytest.mark.parametrize(("work", "model"), [*WAN, (denoised, "hunyuan"), (remembered, "hunyuan")])
def test_a_shot_alone_is_attended_to_by_the_backend_of_diffusers(
    work: Callable[[Backbone, Tensor], Tensor], model: str
) -> None:
    backbone, shape = (bare_video(CPU), VIDEO) if model == "wan" else (bare_hunyuan(CPU), SHOT)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with OperationsRun() as run:
        native = work(backbone, latents)
    assert run.names.count(FUSED) > backbone.adapter.layers
    with attention_backend("native"):  # what it is set to is also the default of all others, until here
        backbone.transformer.set_attention_backend("_native_math")
        with OperationsRun() as run:
            other = work(backbone, latents)
    refiner = getattr(backbone.transformer.config, "num_refiner_layers", 0)  # which diffusers leaves to torch
    assert run.names.count(FUSED) == refiner
    torch.testing.assert_close(other, native, atol=1e-5, rtol=1e-5)


def test_the_environments_backend_is_that_of_models_set_to_none() -> None:
    backbone = bare_video(CPU)
    assert backbone.adapter.dense_backend == "native"
    with attention_backend("_native_math"):  # DIFFUSERS_ATTN_BACKEND sets the same
        assert backbone.adapter.dense_backend == "_native_math"
        assert dense_backend(object()) == "_native_math"


@pytest.mark.parametrize("backend", ["native", "_native_math"])
def test_keys_outside_the_mask_are_not_attended_to(backend: str) -> None:
    q, k, v = torch.randn(3, 1, 2, 4, 8, generator=torch.Generator().manual_seed(0)).unbind()
    mask = torch.tensor([True, True, False, True])[None, None, None]
    out = attend_densely(q, k, v, mask, backend)
    kept = mask.flatten()
    torch.testing.assert_close(out, attend_densely(q, k[:, :, kept], v[:, :, kept]))
