"""What a render holds of its context: one expert's history at a time, and no more of a longer story."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from moc_engine.config import MemoryChoice, MemoryConfig, SamplerChoice
from moc_engine.contract import ContextTake, RenderRequest, StageEvent, StepEvent
from moc_engine.memory.estimate import PAGE_BYTES, MemoryModel, estimated_memory
from moc_engine.models.finding import find_here
from moc_engine.models.sizes import model_size
from moc_engine.render.latents_file import latents_file
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from tests.fakes.wan_folders import wan_a14b_folder, wan_t2v_folder

FRAMES, STEPS = 12, 3
LATENTS = (16, FRAMES, 4, 8)
WIDTH, LAYERS = 24, 2
TAKE = 2 * 4 * LAYERS * FRAMES * (2 * 4) * WIDTH
"""Bytes of the keys and values of a take, of 2 × 4 tokens a frame."""


def context(folder: Path, count: int) -> tuple[ContextTake, ...]:
    folder.mkdir(exist_ok=True)
    takes = []
    for shot in range(count):
        file = folder / f"{shot}.safetensors"
        noise = torch.randn(LATENTS, generator=torch.Generator().manual_seed(shot))
        file.write_bytes(latents_file(noise, ""))
        take = ContextTake(
            id=str(shot),
            shot=shot,
            latents=LocalFile(file),
            caption="a fox",
            global_caption="",
            cast=(),
            seconds=1.0,
        )
        takes.append(take)
    return tuple(takes)


def request(folder: Path, takes: int) -> RenderRequest:
    return RenderRequest(
        previews=0,
        shot=takes,
        caption="a fox runs",
        global_caption="",
        cast=(),
        seconds=0.1,
        fps=16,
        size=(64, 32),
        seed=1,
        output=folder / "take",
        context=context(folder / "takes", takes),
        sampler=SamplerChoice(steps=STEPS),
        memory=MemoryChoice(policy="all", storage="full"),
    )


def new_bytes() -> int:
    """The bytes of all tensors that are there and were made since `gc.freeze`, models not counted."""
    storages = [x.untyped_storage() for x in gc.get_objects() if type(x) is Tensor]
    return sum({one.data_ptr(): one.nbytes() for one in storages}.values())


def held_in_each_step(renderer: ShotRenderer, wanted: RenderRequest) -> list[int]:
    """The bytes that a render holds after each denoising step, without those of the loaded model."""
    gc.collect()
    held = []
    try:
        for event in renderer.render(wanted):
            if event == StageEvent(stage="memory") and not gc.get_freeze_count():
                gc.freeze()  # nothing older is looked at again
            if isinstance(event, StepEvent) and event.stage == "denoise":
                held.append(new_bytes())
    finally:
        gc.unfreeze()
    return held


def model(make: Callable[..., None], folder: Path, **options: Any) -> Path:
    make(folder, **options)
    return folder


@pytest.mark.parametrize("copied_bytes", [None, 0], ids=["side by side", "in pages"])
def test_one_of_two_experts_histories_is_there_at_a_time(tmp_path: Path, copied_bytes: int | None) -> None:
    options: dict[str, Any] = {
        "device": "cpu",
        "memory_budget": 0,
        "spill": tmp_path / "spill",
        "copied_bytes": copied_bytes,
    }
    wanted = request(tmp_path, 6)
    one = ShotRenderer(model(wan_a14b_folder, tmp_path / "one", boundary=0.0), **options)
    two = ShotRenderer(model(wan_a14b_folder, tmp_path / "two"), **options)
    alone, both = held_in_each_step(one, wanted), held_in_each_step(two, wanted)
    assert max(alone) > 6 * TAKE / (1 if copied_bytes is None else LAYERS)
    assert max(both) < 1.1 * max(alone)


def test_a_second_experts_history_is_gathered_when_its_steps_begin(tmp_path: Path) -> None:
    renderer = ShotRenderer(model(wan_a14b_folder, tmp_path / "model"), device="cpu")
    events = list(renderer.render(request(tmp_path, 2)))
    stages = [event.stage for event in events if isinstance(event, StageEvent)]
    assert stages == ["load", "memory", "denoise", "memory", "denoise", "decode", "write"]
    read = [event.step for event in events if isinstance(event, StepEvent) and event.stage == "memory"]
    assert read == [1, 2, 3, 4]
    left = [event.seconds_left for event in events if isinstance(event, StepEvent) and event.stage != "load"]
    assert left[-1] == 0
    without = [
        event.stage for event in renderer.render(request(tmp_path, 0)) if isinstance(event, StageEvent)
    ]
    assert without == ["load", "memory", "denoise", "decode", "write"]


def test_a_render_holds_no_more_of_a_longer_story(tmp_path: Path) -> None:
    """Within a budget of one take and pages of a quarter of one; means and positions grow, a little."""
    folder = model(wan_t2v_folder, tmp_path / "model")
    held = {}
    for takes in (2, 12):
        renderer = ShotRenderer(
            folder,
            device="cpu",
            memory_budget=2 * TAKE,
            spill=tmp_path / "spill",
            page_bytes=TAKE // 4,
            copied_bytes=0,
        )
        held[takes] = max(held_in_each_step(renderer, request(tmp_path, takes)))
    small = FRAMES * (LAYERS * WIDTH * 4 + 8 * 24)  # the means and positions of a take
    assert held[12] <= held[2] + 10 * 3 * small
    assert 10 * 3 * small < 5 * TAKE  # what ten takes more would be in full is twice as much


@pytest.mark.parametrize(
    ("make", "paged", "budget"),
    [
        (wan_t2v_folder, False, 32 * TAKE),
        (wan_t2v_folder, True, 32 * TAKE),
        (wan_t2v_folder, True, 4 * TAKE),
        (wan_a14b_folder, False, 32 * TAKE),
        (wan_a14b_folder, True, 8 * TAKE),
    ],
)
def test_a_render_holds_what_is_predicted(
    make: Callable[..., None], paged: bool, budget: int, tmp_path: Path
) -> None:
    folder, takes = model(make, tmp_path / "model"), 8
    held = {}
    for count in (0, takes):
        renderer = ShotRenderer(
            folder,
            device="cpu",
            memory_budget=budget,
            spill=tmp_path / "spill",
            page_bytes=TAKE if paged else PAGE_BYTES,
            copied_bytes=0 if paged else None,
        )
        held[count] = max(held_in_each_step(renderer, request(tmp_path, count)))
    size = model_size(find_here(folder))
    assert size is not None
    memory = MemoryModel.of_size(size, LATENTS[2:], itemsize=4)
    predicted = estimated_memory(
        memory,
        [FRAMES] * takes,
        MemoryConfig(),
        device_budget=budget,
        host_budget=0,
        on_cpu=True,
        page_bytes=TAKE if paged else PAGE_BYTES,
        copied_bytes=0 if paged else None,
    )
    assert held[takes] - held[0] == pytest.approx(predicted.host + predicted.buffers, rel=0.2)
