"""A HunyuanVideo pipeline under every profile: loaded, rendered with a history and a LoRA, decoded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from moc_engine.config import SamplerChoice
from moc_engine.contract import ContextTake, Lora, RenderRequest, RenderResult, finish
from moc_engine.profiles import PROFILES, Profile, profile_named
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.trace_file import read_trace
from tests.fakes.hunyuan_folder import hunyuan_folder, hunyuan_transformer
from tests.fakes.loras import diffusers_keys, factors, save_lora

TOLERANCE = {"full": 1e-4, "fp8": 0.1, "int8": 0.1}
"""The largest error of latents, relative to their norm, by the form of the weights."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "hunyuan"
    hunyuan_folder(made)
    return made


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = diffusers_keys(factors(hunyuan_transformer(), rank=1))
    return save_lora(tmp_path_factory.mktemp("loras") / "look.safetensors", state)


def two_shots(renderer: ShotRenderer, lora: Path, output: Path) -> list[RenderResult]:
    results: list[RenderResult] = []
    context: tuple[ContextTake, ...] = ()
    for shot in range(2):
        request = RenderRequest(
            previews=0,
            shot=shot,
            caption="a fox runs",
            global_caption="dawn",
            cast=(),
            seconds=9 / 24,
            fps=24,
            size=(64, 32),
            seed=1,
            output=output / str(shot),
            context=context,
            sampler=SamplerChoice(steps=2),
            loras=(Lora(source=str(lora), weight=0.2),) if shot else (),
        )
        results.append(finish(renderer, request))
        context = (
            ContextTake(
                id="a",
                shot=0,
                latents=LocalFile(results[0].latents),
                caption="a fox runs",
                global_caption="dawn",
                cast=(),
                seconds=9 / 24,
            ),
        )
    return results


@pytest.fixture(scope="module")
def plain(folder: Path, lora: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RenderResult]:
    return two_shots(ShotRenderer(folder, device="cpu"), lora, tmp_path_factory.mktemp("plain"))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "profile", [*PROFILES, profile_named("12gb+int8", "cpu", 0)], ids=lambda profile: profile.name
)
def test_shots_render_the_same(
    profile: Profile, plain: list[RenderResult], folder: Path, lora: Path, tmp_path: Path
) -> None:
    renderer = ShotRenderer(folder, device="cpu", profile=profile.name)
    for own, other in zip(two_shots(renderer, lora, tmp_path), plain, strict=True):
        ours, theirs = (load_file(result.latents)["latents"] for result in (own, other))
        assert torch.isfinite(ours).all()
        error = (ours - theirs).norm() / theirs.norm()
        assert error <= TOLERANCE[profile.weights]
        assert own.frames == other.frames == 9
        assert read_trace(own.trace).routing["profile"]["name"] == profile.name
        weights = "" if profile.weights == "full" else f", weights {profile.weights}"
        assert own.dtype == f"float32{weights}"
