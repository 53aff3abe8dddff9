"""Renders that remember less, in 8 bits, at other times, or from files, with tiny models of both kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from moc_engine.config import MemoryChoice, MemoryConfig, PartSteering, SamplerChoice
from moc_engine.contract import ContextTake, RenderRequest, RenderResult, StepEvent
from moc_engine.errors import EngineError
from moc_engine.memory.estimate import MemoryModel
from moc_engine.models.animatic.model import save
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.trace_file import read_trace
from tests.fakes.models import tiny_animatic
from tests.fakes.short_shots import latents_of
from tests.fakes.wan_folders import wan_euler_folder

STEPS = 3
PLAIN = MemoryChoice(policy="all", storage="full", positions="continue")

INT8_ERROR = {"wan": 0.0005, "animatic": 0.002}
"""The relative error of the latents of a third shot with memories in 8 bits, at most."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    save(tiny_animatic(), folder / "animatic")
    wan_euler_folder(folder / "wan")
    return {name: folder / name for name in ("animatic", "wan")}


@pytest.fixture(scope="module")
def stories(
    models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[ContextTake, ...]]:
    """Two finished takes of each model."""
    found: dict[str, tuple[ContextTake, ...]] = {}
    for name, model in models.items():
        renderer, folder = ShotRenderer(model, device="cpu"), tmp_path_factory.mktemp(f"story of {name}")
        for shot in range(2):
            wanted = request(folder / str(shot), found.get(name, ()), memory=PLAIN, seconds=0.6 + 0.5 * shot)
            take = finish(renderer, wanted)
            found[name] = (
                *found.get(name, ()),
                ContextTake(
                    id=f"take {shot}",
                    shot=shot,
                    latents=LocalFile(take.latents),
                    caption=wanted.caption,
                    global_caption="",
                    cast=wanted.cast,
                    seconds=wanted.seconds,
                ),
            )
    return found


def request(output: Path, context: Sequence[ContextTake], **changes: Any) -> RenderRequest:
    told: dict[str, Any] = {
        "shot": len(context),
        "caption": "Mira walks right on the beach",
        "global_caption": "",
        "cast": ("Mira", "Otto"),
        "seconds": 0.6,
        "fps": 4.0,
        "size": (64, 32),
        "previews": 0,
        "seed": len(context),
        "output": output,
        "context": tuple(context),
        "sampler": SamplerChoice(steps=STEPS, guidance=2.0),
    }
    return RenderRequest(**{**told, **changes})


def finish(renderer: ShotRenderer, wanted: RenderRequest) -> RenderResult:
    rendering = renderer.render(wanted)
    while True:
        try:
            next(rendering)
        except StopIteration as stop:
            result: RenderResult = stop.value
            return result


def relative(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


HEADS, WIDTH, LAYERS = {"animatic": 2, "wan": 2}, {"animatic": 16, "wan": 12}, 2
PATCHES = {"animatic": (3, 1, 1), "wan": (1, 2, 2)}


def tokens_of(name: str, take: ContextTake) -> tuple[int, int]:
    """The frames of a take, and the tokens of each."""
    assert take.latents is not None
    with take.latents.local() as file:
        _, *sides = load_file(file)["latents"].shape
    frames, height, width = (side // patch for side, patch in zip(sides, PATCHES[name], strict=True))
    return frames, height * width


def layer_bytes(name: str, takes: Sequence[ContextTake]) -> int:
    """The keys and values of a layer in full."""
    tokens = sum(int(np.prod(tokens_of(name, take))) for take in takes)
    return 2 * 4 * tokens * HEADS[name] * WIDTH[name]


@pytest.mark.parametrize("name", ["animatic", "wan"])
@pytest.mark.parametrize("storage", ["full", "int8"])
@pytest.mark.parametrize(("budget", "layers_at_once"), [(None, 0.0), (0, 0.0), (0, 3.2)])
def test_pages_change_nothing_but_where_memories_are(
    models: dict[str, Path],
    stories: dict[str, tuple[ContextTake, ...]],
    tmp_path: Path,
    name: str,
    storage: Any,
    budget: int | None,
    layers_at_once: float,
) -> None:
    """Chunk by chunk, and a layer at once; from main memory, and from files."""
    wanted = request(tmp_path / "take", stories[name], memory=replace(PLAIN, storage=storage))
    expected = latents_of(finish(ShotRenderer(models[name], device="cpu"), wanted))
    paging = ShotRenderer(
        models[name],
        device="cpu",
        memory_budget=budget,
        spill=tmp_path / "spill",
        page_bytes=int(layers_at_once * layer_bytes(name, stories[name])),
        copied_bytes=0,
        backend="grouped",
    )
    result = finish(paging, wanted)
    torch.testing.assert_close(latents_of(result), expected, rtol=1e-4, atol=1e-4)
    told = read_trace(result.trace).routing["memory"]
    assert told["bytes_copied_per_step"] == 0
    assert (told["bytes_read_per_step"] > 0) == (budget == 0)
    assert bool(list((tmp_path / "spill").glob("*"))) == (budget == 0)


@pytest.mark.parametrize("name", ["animatic", "wan"])
def test_memories_in_8_bits_change_latents_by_little(
    models: dict[str, Path], stories: dict[str, tuple[ContextTake, ...]], tmp_path: Path, name: str
) -> None:
    renderer = ShotRenderer(models[name], device="cpu")
    full, small = (
        latents_of(
            finish(renderer, request(tmp_path / "take", stories[name], memory=replace(PLAIN, storage=s)))
        )
        for s in ("full", "int8")
    )
    assert 0 < relative(small, full) < INT8_ERROR[name]


@pytest.mark.parametrize("storage", ["full", "int8"])
@pytest.mark.parametrize("policy", ["all", "first-last", "spread", "change", "cast"])
def test_as_many_bytes_are_predicted_as_a_render_keeps(
    models: dict[str, Path],
    stories: dict[str, tuple[ContextTake, ...]],
    tmp_path: Path,
    storage: Any,
    policy: str,
) -> None:
    config = MemoryConfig(policy=policy, keyframes=3, storage=storage)
    renderer = ShotRenderer(models["wan"], device="cpu")
    finish(renderer, request(tmp_path / "take", stories["wan"], memory=MemoryChoice(**vars(config))))
    frames, slots = zip(*(tokens_of("wan", take) for take in stories["wan"]), strict=True)
    model = MemoryModel(
        layers=LAYERS, heads=HEADS["wan"], head_size=WIDTH["wan"], frame_tokens=slots[0], itemsize=4
    )
    predicted = sum(model.take_bytes(length, config) for length in frames)
    if policy == "cast":  # nobody is found in the features of random weights, or somebody
        assert 0 < renderer.memory_bytes <= predicted
    else:
        assert renderer.memory_bytes == predicted


@pytest.mark.parametrize("name", ["animatic", "wan"])
def test_what_is_remembered_keeps_its_names_and_frames_in_the_trace(
    models: dict[str, Path], stories: dict[str, tuple[ContextTake, ...]], tmp_path: Path, name: str
) -> None:
    def traced(**memory: Any) -> RoutingTrace:
        wanted = request(tmp_path / "take", stories[name], memory=MemoryChoice(**memory))
        return read_trace(finish(ShotRenderer(models[name], device="cpu"), wanted).trace)

    everything, ends = traced(policy="all"), traced(policy="first-last")
    lengths = [tokens_of(name, take)[0] for take in stories[name]]
    all_chunks = [(chunk.take, chunk.name, chunk.frames) for chunk in everything.context]
    kept = [(chunk.take, chunk.name, chunk.frames) for chunk in ends.context]
    if name == "animatic":  # chunks are slots: each keeps two tokens
        assert kept == all_chunks
    else:
        assert kept == [all_chunks[0]] + [
            (f"take {nth}", f"frame {frame + 1}", (frame, frame + 1))
            for nth, length in enumerate(lengths)
            for frame in (0, length - 1)
        ]
    slots = tokens_of(name, stories[name][0])[1]
    assert ends.routing["memory"]["remembered_tokens"] == 4 * slots
    assert ends.routing["memory"]["context_tokens"] == sum(lengths) * slots
    assert all(0 < share < 1 for share in ends.shot_shares().values())


def test_parts_that_are_not_remembered_cannot_be_steered(
    models: dict[str, Path], stories: dict[str, tuple[ContextTake, ...]], tmp_path: Path
) -> None:
    """A pin of a frame that is not there is ignored; one of a frame that is there is kept by its name."""
    last = f"frame {tokens_of('wan', stories['wan'][1])[0]}"
    parts = PartSteering(pins=((0, "frame 2"), (1, last)))
    wanted = request(tmp_path / "take", stories["wan"], parts=parts, memory=MemoryChoice(policy="first-last"))
    trace = read_trace(finish(ShotRenderer(models["wan"], device="cpu"), wanted).trace)
    shares = dict(zip([(chunk.shot, chunk.name) for chunk in trace.context], trace.shares(), strict=True))
    assert (0, "frame 2") not in shares
    assert shares[1, last] > 0


def test_policies_storage_and_positions_make_a_difference(
    models: dict[str, Path], stories: dict[str, tuple[ContextTake, ...]], tmp_path: Path
) -> None:
    renderer = ShotRenderer(models["wan"], device="cpu")
    choices = [
        PLAIN,
        replace(PLAIN, policy="first-last"),
        replace(PLAIN, policy="spread", keyframes=1),
        replace(PLAIN, storage="int8"),
        replace(PLAIN, positions="restart"),
    ]
    found = [latents_of(finish(renderer, request(tmp_path / "t", stories["wan"], memory=m))) for m in choices]
    for nth, one in enumerate(found):
        assert one.isfinite().all()
        assert not any(torch.equal(one, other) for other in found[:nth])
    again = latents_of(finish(renderer, request(tmp_path / "t", stories["wan"], memory=PLAIN)))
    assert torch.equal(again, found[0])


def test_a_file_that_vanishes_during_a_render_is_told(
    models: dict[str, Path], stories: dict[str, tuple[ContextTake, ...]], tmp_path: Path
) -> None:
    renderer = ShotRenderer(
        models["wan"], device="cpu", memory_budget=0, spill=tmp_path / "spill", page_bytes=0, copied_bytes=0
    )
    rendering = renderer.render(request(tmp_path / "take", stories["wan"], memory=PLAIN))
    with pytest.raises(EngineError, match="the memory of a take cannot be read"):
        for event in rendering:
            if isinstance(event, StepEvent) and event.stage == "denoise":
                for file in (tmp_path / "spill").iterdir():
                    file.unlink()
    assert finish(renderer, request(tmp_path / "take", stories["wan"], memory=PLAIN)).frames == 2
