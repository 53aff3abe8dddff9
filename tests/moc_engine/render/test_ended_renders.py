"""Renders that are cancelled, fail, or are refused."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from moc_engine.config import RoutingChoice, Steering
from moc_engine.contract import (
    StepEvent,
)
from moc_engine.errors import EngineError, ModelNotFound, OutOfMemory, RenderCancelled
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from tests.fakes.tiny_renders import STEPS, finish, rendered_story, request


class CancelAt:
    """Set once it has been asked `asked` times."""

    def __init__(self, asked: int) -> None:
        self.left = asked

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_cancelling_at_any_moment_leaves_nothing(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 2)
    wanted = request(tmp_path / "deep" / "new", context)
    counter = CancelAt(10**6)
    finish(renderer, wanted, counter)
    moments = 10**6 - counter.left
    assert moments >= 2 + STEPS + 4
    for moment in range(moments):
        output = tmp_path / "deep" / f"cancelled {moment}"
        with pytest.raises(RenderCancelled):
            finish(renderer, replace(wanted, output=output), CancelAt(moment))
        assert not output.exists()
    finish(renderer, wanted)


def test_cancel_takes_effect_within_a_step(renderer: ShotRenderer, tmp_path: Path) -> None:
    cancel = threading.Event()
    rendering = renderer.render(request(tmp_path / "new"), cancel)
    for event in rendering:
        if isinstance(event, StepEvent) and event.stage == "denoise":
            break
    cancel.set()
    with pytest.raises(RenderCancelled):
        next(rendering)


def test_an_abandoned_render_leaves_nothing(renderer: ShotRenderer, tmp_path: Path) -> None:
    rendering = renderer.render(request(tmp_path / "new"))
    for event in rendering:
        if event.stage == "write":
            break
    assert list((tmp_path / "new").iterdir())
    rendering.close()
    assert not (tmp_path / "new").exists()


class Failing:
    """A cancel token that fails when asked for the n-th time, as a device might in any stage."""

    def __init__(self, error: Exception, asked: int) -> None:
        self.error = error
        self.left = asked

    def is_set(self) -> bool:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return False


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_running_out_of_memory_says_what_to_lower(
    renderer: ShotRenderer, tmp_path: Path, error: Exception
) -> None:
    context = rendered_story(renderer, tmp_path / "story", 1)
    wanted = request(tmp_path / "new", context)
    for asked, words in (
        (0, "“load”: choose a smaller model"),
        (1, "“memory”: shorten the earlier shots"),
        (4, "“denoise”: shorten the shot, choose a smaller size"),
        (10, "“decode”: choose a smaller size"),
    ):
        with pytest.raises(OutOfMemory, match=words):
            finish(renderer, wanted, Failing(error, asked))
        assert not wanted.output.exists()
    finish(renderer, wanted)


def test_other_failures_pass_through(renderer: ShotRenderer, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        finish(renderer, request(tmp_path / "new"), Failing(RuntimeError("broken"), 4))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seconds": 0.0}, "seconds"),
        ({"seconds": float("nan")}, "seconds"),
        ({"fps": 0.0}, "fps"),
        ({"size": (97, 54)}, "size"),
        ({"steering": Steering(pins=(0,))}, "pins: shot 0"),
    ],
)
def test_requests_without_sense_are_refused(
    renderer: ShotRenderer, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        finish(renderer, request(tmp_path / "new", **changes))
    assert not list(tmp_path.iterdir())


def test_a_context_that_cannot_be_is_refused(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 2)
    with pytest.raises(ValueError, match="context: must hold shots before 1"):
        finish(renderer, request(tmp_path / "new", context, shot=1))
    with pytest.raises(ValueError, match="context"):
        finish(renderer, request(tmp_path / "new", context[::-1], shot=2))
    missing = replace(context[1], latents=LocalFile(tmp_path / "nowhere"))
    with pytest.raises(EngineError, match="the latents of shot 2 cannot be read"):
        finish(renderer, request(tmp_path / "new", (context[0], missing)))
    torn = tmp_path / "torn.safetensors"
    assert context[1].latents is not None
    with context[1].latents.open() as stream:
        torn.write_bytes(stream.read()[:1000])
    damaged = context[0], replace(context[1], latents=LocalFile(torn))
    with pytest.raises(EngineError, match="the latents of shot 2 cannot be read"):
        finish(renderer, request(tmp_path / "new", damaged))
    save_file({"latents": torch.zeros(3, 2, 2, 2)}, torn)
    with pytest.raises(EngineError, match="the take of shot 2 was made by another model"):
        finish(renderer, request(tmp_path / "new", damaged))


def test_a_missing_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere"):
        finish(ShotRenderer(tmp_path / "nowhere"), request(tmp_path / "new"))


def test_cuda_graphs_without_a_gpu_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"CUDA graphs \(--cuda-graphs\) need a CUDA device; .* on cpu"):
        finish(ShotRenderer(model, device="cpu", cuda_graphs=True), request(tmp_path / "new"))


def test_a_backend_that_cannot_render_is_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="'masked' does not support the attended mass"):
        finish(ShotRenderer(model, device="cpu", backend="masked"), request(tmp_path / "new"))
    first = request(tmp_path / "new", routing=RoutingChoice(backend="gathered"))
    with pytest.raises(EngineError, match="'gathered' does not support a shot without a history"):
        finish(ShotRenderer(model, device="cpu"), first)
    assert not list(tmp_path.iterdir())
