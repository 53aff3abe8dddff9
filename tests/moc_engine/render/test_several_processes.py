"""Shots rendered by several processes together: the same takes as by one, and no hang where one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from moc_engine.config import MemoryChoice, RoutingChoice, SamplerChoice, Steering
from moc_engine.contract import ContextTake, RenderEvent, RenderRequest, RenderResult, StageEvent, StepEvent
from moc_engine.errors import EngineError, RenderCancelled
from moc_engine.models.loading import load_parts
from moc_engine.ops.head_split import HeadSplit
from moc_engine.render.kept_model import KeptModel, LoadedModel, ModelOptions
from moc_engine.render.memory_pass import compute_memory
from moc_engine.render.model_loading import ModelLoading
from moc_engine.render.render_group import check_for_group
from moc_engine.render.renderer import ShotRenderer
from moc_engine.render.several_processes import SeveralProcesses
from moc_engine.stored_file import LocalFile
from moc_engine.trace.trace_file import read_trace
from tests.fakes.members import ExchangingMember, shot_renderer
from tests.fakes.process_groups import fork_context
from tests.fakes.short_shots import latents_of, short_shot, take_of
from tests.fakes.wan_folders import wan_a14b_folder, wan_ti2v_folder, wan_vace_folder

HEADS = 5


def told(renderer: Any, request: RenderRequest, cancel: Any = None) -> tuple[RenderResult, list[RenderEvent]]:
    rendering, events = renderer.render(request, cancel), []
    while True:
        try:
            events.append(next(rendering))
        except StopIteration as stop:
            return stop.value, events


def routed_shot(output: Path, context: tuple[ContextTake, ...], **changes: Any) -> RenderRequest:
    """A guided shot of 3 latent frames of 6 tokens, which selects single frames of the shots before it."""
    request = short_shot(
        output,
        seconds=0.9,
        size=(48, 32),
        shot=len(context),
        seed=len(context),
        context=context,
        routing=RoutingChoice(top_k=2, full_below=0, chunking="frame"),
        sampler=SamplerChoice(steps=3, guidance=3.0),
    )
    return replace(request, **changes)


def story(renderer: ShotRenderer, folder: Path, shots: int) -> tuple[ContextTake, ...]:
    context: tuple[ContextTake, ...] = ()
    for shot in range(shots):
        wanted = routed_shot(folder / str(shot), context)
        result, _ = told(renderer, wanted)
        context += (replace(take_of(wanted, result), id=f"take {shot}"),)
    return context


def check_same(found: RenderResult, alone: RenderResult, processes: int) -> None:
    torch.testing.assert_close(latents_of(found), latents_of(alone), rtol=1e-4, atol=1e-4)
    trace, other = read_trace(found.trace), read_trace(alone.trace)
    assert np.array_equal(trace.picks, other.picks)
    for name in ("table", "token_table"):
        apart = getattr(trace, name).astype(int) - getattr(other, name).astype(int)
        assert np.abs(apart).max() <= 2, name
    assert trace.heads == other.heads == (1,) * HEADS
    assert trace.routing["processes"] == processes
    assert "processes" not in other.routing
    assert {**trace.routing, "processes": None} == {**other.routing, "processes": None}
    assert (found.device, alone.device) == (f"cpu, {processes} processes", "cpu")
    assert (found.frames, found.backend, found.dtype) == (alone.frames, alone.backend, alone.dtype)
    assert found.clip.stat().st_size > 0


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "a14b"
    wan_a14b_folder(folder, heads=HEADS)
    return folder


@pytest.mark.parametrize("processes", [2, 4])
def test_takes_and_traces_are_those_of_one_process(processes: int, experts: Path, tmp_path: Path) -> None:
    """Two experts, guidance, five heads, 18 tokens; pins, bans, boosts; keyframes in 8 bits; in full."""
    one = ShotRenderer(experts, device="cpu")
    context = story(one, tmp_path / "story", 3)
    several = SeveralProcesses(partial(shot_renderer, experts), processes, context=fork_context())
    cases: list[dict[str, Any]] = [
        {"steering": Steering(pins=(1,), bans=(0,))},
        {
            "steering": Steering(boosts={0: 2.0}),
            "memory": MemoryChoice(policy="change", keyframes=1, storage="int8"),
        },
        {"context": context[:1], "shot": 5, "routing": RoutingChoice(full_below=10_000)},
        {"context": (), "sampler": SamplerChoice(steps=2, guidance=1.0)},
    ]
    try:
        for nth, changes in enumerate(cases if processes == 2 else cases[:1]):
            wanted = replace(routed_shot(tmp_path / f"{nth}", context), **changes)
            alone, _ = told(one, replace(wanted, output=tmp_path / f"{nth} alone"))
            found, events = told(several, wanted)
            check_same(found, alone, processes)
            stages = [event.stage for event in events if isinstance(event, StageEvent)]
            assert stages[0] == "load"
            assert stages[-2:] == ["decode", "write"]
            assert sum(isinstance(event, StepEvent) and event.stage == "denoise" for event in events) >= 2
    finally:
        several.close()


def test_a_shot_that_starts_from_a_picture_is_split_too(tmp_path: Path) -> None:
    """Its transformer is told a timestep for each token, which is split with the tokens."""
    wan_ti2v_folder(tmp_path / "model", heads=HEADS)
    cv2.imwrite(str(tmp_path / "first.png"), np.full((64, 64, 3), 90, dtype=np.uint8))
    wanted = short_shot(
        tmp_path / "found",
        size=(64, 64),
        seconds=0.9,
        first_frame=LocalFile(tmp_path / "first.png"),
    )
    alone, _ = told(
        ShotRenderer(tmp_path / "model", device="cpu"), replace(wanted, output=tmp_path / "alone")
    )
    several = SeveralProcesses(partial(shot_renderer, tmp_path / "model"), 2, context=fork_context())
    try:
        check_same(told(several, wanted)[0], alone, 2)
        with pytest.raises(EngineError, match="the step cache mag decides by what one process computes"):
            told(several, replace(wanted, step_cache="mag"))
        assert told(several, wanted)[0].frames == alone.frames
    finally:
        several.close()


def test_what_several_processes_cannot_do_is_refused_in_words(
    experts: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    vace = tmp_path_factory.mktemp("models") / "vace"
    wan_vace_folder(vace)
    split = HeadSplit(group=None, rank=0, processes=6)  # type: ignore[arg-type]

    def loaded(folder: Path, **options: Any) -> LoadedModel:
        loading = ModelLoading(load_parts, folder, "cpu")
        rendering = KeptModel(loading, ModelOptions(device="cpu", split=split, **options)).load(None)
        while True:
            try:
                next(rendering)
            except StopIteration as stop:
                model: LoadedModel = stop.value
                return model

    with pytest.raises(
        EngineError, match="the model vace cannot be computed by several processes: render wi"
    ):
        loaded(vace)
    with pytest.raises(EngineError, match="several processes render without --compile and --cuda-graphs"):
        loaded(experts, compiled=True)
    with pytest.raises(EngineError, match="the profile 8gb moves blocks to the device one after the other"):
        loaded(experts, profile="8gb")
    there = loaded(experts, memory_budget=6_000)
    backbone = there.backbone
    assert there.budget == 1_000, "the processes share the machine's memory"
    assert [expert.split for expert in backbone.experts] == [split, split]
    assert backbone.own_heads == 1
    with pytest.raises(
        EngineError, match="processes: 5 heads cannot be split over 6 processes; use 5 or fewer"
    ):
        compute_memory(
            backbone,
            torch.zeros(16, 2, 4, 4),
            backbone.family.captions("", "", ()),
            chunking="frame",
            pooling="after",
            noise=0.0,
        )
    assert backbone.split_by(None).own_heads == HEADS
    learned = routed_shot(Path("none"), (), routing=RoutingChoice(router="window"))
    check_for_group(learned)
    with pytest.raises(EngineError, match="the step cache taylor decides by what one process computes"):
        check_for_group(replace(learned, step_cache="taylor"))


@pytest.fixture(scope="module")
def exchanging() -> Iterator[SeveralProcesses]:
    several = SeveralProcesses(ExchangingMember, 3, grace=1.0, context=fork_context())
    yield several
    several.close()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            "killed in 1",
            "process 2 of the 3 that render together was ended by signal 9, as where main memory",
        ),
        ("killed in 0", "process 1 of the 3 that render together was ended by signal 9"),
        ("exit in 2", "process 3 of the 3 that render together ended$"),
        ("error in 0", "^the memory of a take cannot be read$"),
        ("error in 2", "^the memory of a take cannot be read$"),
        ("bug in 1", "^_Unsendable: a bug$"),
    ],
)
def test_one_that_fails_ends_the_render_within_seconds_and_the_next_one_is_rendered(
    exchanging: SeveralProcesses, what: str, said: str, tmp_path: Path
) -> None:
    before = told(exchanging, short_shot(tmp_path, caption="all is well"))[0].frames
    began = time.monotonic()
    with pytest.raises(EngineError, match=said):
        told(exchanging, short_shot(tmp_path, caption=what))
    assert time.monotonic() - began < 10
    after = told(exchanging, short_shot(tmp_path, caption="all is well"))[0].frames
    assert before != after, "new processes"


def test_a_cancelled_render_ends_in_all_processes_which_render_on(
    exchanging: SeveralProcesses, tmp_path: Path
) -> None:
    before = told(exchanging, short_shot(tmp_path, caption="all is well"))[0].frames
    cancel = threading.Event()
    rendering = exchanging.render(short_shot(tmp_path, caption="slowly"), cancel)
    assert next(rendering) == StageEvent(stage="denoise")
    cancel.set()
    began = time.monotonic()
    with pytest.raises(RenderCancelled):
        for _ in rendering:
            pass
    assert time.monotonic() - began < 5
    assert told(exchanging, short_shot(tmp_path, caption="all is well"))[0].frames == before


def test_a_render_that_nobody_follows_any_more_leaves_no_processes_behind(tmp_path: Path) -> None:
    several = SeveralProcesses(ExchangingMember, 2, context=fork_context())
    rendering = several.render(short_shot(tmp_path, caption="slowly"))
    next(rendering)
    rendering.close()
    try:
        assert told(several, short_shot(tmp_path, caption="all is well"))[0].backend == "none"
    finally:
        several.close()


def test_one_process_is_not_several() -> None:
    with pytest.raises(ValueError, match="processes: must be 2 or more, got 1"):
        SeveralProcesses(ExchangingMember, 1)
