from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.errors import EngineError
from moc_engine.models.animatic.scene import CHANNELS, SLOTS
from moc_engine.models.backbone import Backbone
from moc_engine.ops import choosing
from moc_engine.render.captured_velocity import Capture, CapturedVelocity, capture_cuda_graph
from moc_engine.render.shot_denoising import shot_denoising
from tests.fakes.models import tiny_backbone
from tests.fakes.prepared import VIDEO, Shape, bare_video, histories_of, prepared_render
from tests.fakes.tape import capture_on_tape

CPU = torch.device("cpu")


def test_a_shape_is_run_then_captured_then_replayed() -> None:
    calls: list[int] = []
    total = torch.zeros(2)

    def velocity(latents: Tensor, timesteps: Tensor) -> Tensor:
        calls.append(len(latents))
        total[len(latents) - 1] += timesteps[0]
        return latents * timesteps[:, None] + 1.0

    captured = CapturedVelocity(velocity, capture_on_tape)
    kept = []
    for step in range(1, 6):
        for rows in (2, 1):
            latents, timesteps = torch.full((rows, 3), float(step)), torch.full((rows,), 10.0 * step)
            kept.append((captured(latents, timesteps), latents * 10.0 * step + 1.0))
    assert calls == [2, 1, 2, 1]  # run, and captured
    assert total.tolist() == [150.0, 150.0]  # once a step, what was captured included
    for out, expected in kept:  # none was overwritten by a later one
        torch.testing.assert_close(out, expected)


def test_what_cannot_be_captured_is_told() -> None:
    def refusing(work: object) -> tuple[Tensor, object]:
        raise RuntimeError("operation not permitted\nmore")

    captured = CapturedVelocity(lambda latents, _: latents, refusing)  # type: ignore[arg-type]
    x = torch.ones(1, 2)
    assert torch.equal(captured(x, x), x)
    with pytest.raises(EngineError, match=r"without them: operation not permitted$"):
        captured(x, x)


def denoised(backbone: Backbone, shape: Shape, capture: Capture | None, **routing: Any) -> tuple[Any, ...]:
    """The latents after each step, and the arrays of the trace, of a render after three takes."""
    sampler = SamplerConfig(steps=7, guidance=3.0, guidance_floor=0.5)
    render = prepared_render(backbone, shape, 3, RoutingConfig(**routing), sampler)
    denoising = shot_denoising(render, backbone, histories_of(backbone, render), capture=capture)
    latents = torch.stack([done.latents.cpu() for done in denoising.steps()])
    trace = denoising.finished_trace()
    return latents, trace.table, trace.picks, trace.token_table


@pytest.mark.parametrize("chunking", ["frame", "track"])
def test_a_captured_render_equals_one_that_is_not(chunking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Latents, and what was recorded at every step.

    Chunks are chosen by torch, as on a GPU; on a CPU numpy finds the best few, which no tape holds.
    """
    monkeypatch.setattr(choosing, "FEW", 0)
    for backbone, shape in ((bare_video(CPU), VIDEO), (tiny_backbone(), (CHANNELS, 6, SLOTS, 1))):
        for changes in ({"outer_shots": 3}, {"top_k": 2, "outer_shots": 2}):
            eager = denoised(backbone, shape, None, backend="gathered", chunking=chunking, **changes)
            replayed = denoised(
                backbone, shape, capture_on_tape, backend="gathered", chunking=chunking, **changes
            )
            for one, other in zip(replayed, eager, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_render_of_cuda_graphs_equals_one_without() -> None:
    backbone = bare_video(torch.device("cuda"), attention_head_dim=32)
    eager = denoised(backbone, VIDEO, None)
    replayed = denoised(backbone, VIDEO, capture_cuda_graph)
    torch.testing.assert_close(replayed[0], eager[0])
    for one, other in zip(replayed[1:], eager[1:], strict=True):
        np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)
