from __future__ import annotations

import pytest
import torch

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation.benchmark.parts import time_by_part
from moc_engine.render.shot_denoising import shot_denoising
from tests.fakes.prepared import VIDEO, bare_video, histories_of, prepared_render

CPU = torch.device("cpu")


@pytest.mark.parametrize("backend", ["gathered", "grouped"])
def test_a_step_is_told_apart_by_what_it_computes(backend: str) -> None:
    backbone = bare_video(CPU)
    routing = RoutingConfig(backend=backend, top_k=2)
    render = prepared_render(backbone, VIDEO, 2, routing, SamplerConfig(steps=1, guidance=1.0))
    denoising = shot_denoising(render, backbone, histories_of(backbone, render))
    denoising.begin(0)

    def step() -> None:
        with torch.no_grad():
            denoising.velocity(backbone, torch.zeros(1, *VIDEO), torch.tensor([500.0]))

    parts = time_by_part(step, CPU)
    expected = {"choosing", "trace", "linear layers", "norms", "caption attention", "rotary embedding"}
    expected |= {"routed chunks", "own shot" if backend == "grouped" else "other attention"}
    assert expected - parts.keys() == set()
    assert all(milliseconds > 0 for milliseconds in parts.values())
    assert list(parts.values()) == sorted(parts.values(), reverse=True)
