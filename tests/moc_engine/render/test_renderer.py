"""Whole renders with a tiny model: events, files, sameness, cancelling, failing."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from moc_engine.config import PartSteering, RoutingChoice, RoutingConfig, SamplerChoice, Steering
from moc_engine.contract import (
    ContextTake,
    FilmstripFormat,
    RenderEvent,
    RenderRequest,
    RenderResult,
    StageEvent,
    StepEvent,
)
from moc_engine.errors import EngineError, ModelNotFound, OutOfMemory, RenderCancelled
from moc_engine.models.animatic.model import save
from moc_engine.models.animatic.scene import CHANNELS, SLOTS
from moc_engine.render.prepare import PreparedRender, PreparedTake
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.trace_file import read_trace
from tests.fakes.models import tiny_animatic
from tests.fakes.short_shots import latents_of

SIZE = (96, 54)
STEPS = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save(tiny_animatic(), folder)
    return folder


@pytest.fixture
def renderer(model: Path) -> ShotRenderer:
    return ShotRenderer(model, device="cpu")


def request(output: Path, context: Sequence[ContextTake] = (), **changes: Any) -> RenderRequest:
    shot = context[-1].shot + 1 if context else 0
    told: dict[str, Any] = {
        "shot": shot,
        "caption": "Mira walks right on the beach",
        "global_caption": "night",
        "cast": ("Mira", "Otto"),
        "seconds": 1.0,
        "fps": 4.0,
        "size": SIZE,
        "seed": shot,
        "output": output,
        "context": tuple(context),
        "sampler": SamplerChoice(steps=STEPS, guidance=1.5),
        "previews": 0,  # the scenery of random latents takes longer to paint than all the rest
    }
    return RenderRequest(**{**told, **changes})


def finish(
    renderer: ShotRenderer, wanted: RenderRequest, cancel: Any = None
) -> tuple[RenderResult, list[RenderEvent]]:
    rendering = renderer.render(wanted, cancel)
    events = []
    while True:
        try:
            events.append(next(rendering))
        except StopIteration as stop:
            return stop.value, events


def rendered_story(renderer: ShotRenderer, folder: Path, shots: int) -> list[ContextTake]:
    context: list[ContextTake] = []
    for shot in range(shots):
        wanted = request(folder / str(shot), context, seconds=0.5 * (1 + shot % 2))
        result, _ = finish(renderer, wanted)
        context.append(
            ContextTake(
                id=f"take {shot}",
                shot=shot,
                latents=LocalFile(result.latents),
                caption=wanted.caption,
                global_caption=wanted.global_caption,
                cast=wanted.cast,
                seconds=wanted.seconds,
            )
        )
    return context


def test_a_request_gives_a_clip_latents_and_a_trace(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 2)
    wanted = request(tmp_path / "new" / "take", context, recipe={"title": "Füchse", "seed": 2})
    result, _ = finish(renderer, wanted)

    assert sorted(path.name for path in wanted.output.iterdir()) == [
        "clip.mp4",
        "latents.safetensors",
        "trace.moc",
    ]
    with av.open(result.clip) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
        assert json.loads(clip.metadata["comment"]) == {"title": "Füchse", "seed": 2}
        assert clip.streams.video[0].average_rate == 4
    assert len(frames) == result.frames == 4
    assert frames[0].shape == (54, 96, 3)
    assert latents_of(result).shape == (CHANNELS, 6, SLOTS, 1)
    assert latents_of(result).isfinite().all()

    trace = read_trace(result.trace)
    assert (trace.shot, trace.model, trace.backend) == (2, "tiny", result.backend)
    assert {link.take for link in trace.links()} == {"take 0", "take 1"}
    assert sum(trace.shot_shares().values()) + trace.own_share() == pytest.approx(1)
    assert len(trace.query) == SLOTS
    assert [chunk.frames for chunk in trace.context[1:]] == [(0, 3)] * SLOTS + [(0, 6)] * SLOTS
    assert trace.routing["top_k"] == RoutingConfig().top_k
    assert str(trace.routing["backend_choice"]).startswith("measured: cpu")
    assert (trace.routing["full_below"], trace.routing["full_attention"]) == (0, False)
    assert trace.routing["full_below_asked"] == 0
    assert set(result.timings) == {"load", "memory", "denoise", "decode", "write"}


def test_a_filmstrip_is_made_where_it_is_asked_for(renderer: ShotRenderer, tmp_path: Path) -> None:
    form = FilmstripFormat(count=3, height=36)
    result, _ = finish(renderer, request(tmp_path / "new", filmstrip=form))
    assert result.filmstrip is not None
    strip = cv2.imread(str(result.filmstrip))
    assert strip is not None
    with av.open(result.clip) as clip:
        decoded = [frame.to_ndarray(width=64, height=36, format="bgr24") for frame in clip.decode(video=0)]
    shown = np.concatenate([decoded[number] for number in form.numbers(result.frames)], axis=1)
    assert strip.shape == shown.shape
    assert np.abs(strip.astype(int) - shown).mean() < 8  # both are compressed


@pytest.mark.parametrize(("previews", "steps_with_one"), [(0, []), (1, [STEPS]), (2, [STEPS // 2, STEPS])])
def test_a_request_says_how_many_previews_it_needs(
    renderer: ShotRenderer, tmp_path: Path, previews: int, steps_with_one: list[int]
) -> None:
    _, events = finish(renderer, replace(request(tmp_path / "new"), previews=previews))
    assert [e.step for e in steps_of(events, "denoise") if e.preview] == steps_with_one


def test_events_tell_each_stage_and_step(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path, 2)
    _, events = finish(renderer, request(tmp_path / "new", context, previews=STEPS))
    stages = [event.stage for event in events if isinstance(event, StageEvent)]
    assert stages == ["load", "memory", "denoise", "decode", "write"]
    steps = {stage: steps_of(events, stage) for stage in stages}
    assert [(event.step, event.steps) for event in steps["memory"]] == [(1, 2), (2, 2)]
    assert [(event.step, event.steps) for event in steps["denoise"]] == [(n + 1, STEPS) for n in range(STEPS)]
    assert (steps["decode"][-1].step, steps["decode"][-1].steps) == (4, 4)
    assert all((event.seconds_left or 0) >= 0 for events in steps.values() for event in events)
    assert steps["decode"][-1].seconds_left == 0
    previews = [event.preview for event in steps["denoise"] if event.preview]
    assert len(previews) == STEPS
    for preview in previews:
        picture = cv2.imdecode(np.frombuffer(preview, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (54, 96, 3)


def steps_of(events: Sequence[RenderEvent], stage: str) -> list[StepEvent]:
    return [event for event in events if isinstance(event, StepEvent) and event.stage == stage]


def test_the_same_request_gives_the_same_files(model: Path, renderer: ShotRenderer, tmp_path: Path) -> None:
    """By the renderer that made the context, by one that must read it anew, and by one short of memory."""
    context = rendered_story(renderer, tmp_path / "story", 3)
    others = [
        renderer,
        ShotRenderer(model, device="cpu"),
        ShotRenderer(model, device="cpu", memory_budget=0),
        ShotRenderer(model, device="cpu", memory_budget=0, spill=tmp_path / "spill"),
    ]
    files: list[list[bytes]] = []
    for n, other in enumerate(others):
        finish(other, request(tmp_path / "warm up", context[:2], seed=n))
        result, _ = finish(other, request(tmp_path / str(n), context))
        files.append([path.read_bytes() for path in (result.clip, result.latents, result.trace)])
    assert all(other == files[0] for other in files[1:])


def test_seed_caption_and_context_make_a_difference(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 2)
    wanted = request(tmp_path / "new", context)
    first = latents_of(finish(renderer, wanted)[0])
    for other in (
        replace(wanted, seed=99),
        replace(wanted, caption="Otto sleeps"),
        replace(wanted, global_caption=""),
        replace(wanted, cast=("Otto", "Mira")),
        replace(wanted, context=()),
        replace(wanted, context=(replace(context[0], caption="snow"), context[1])),
        replace(wanted, context=(replace(context[0], cast=("Otto", "Mira")), context[1])),
        replace(wanted, sampler=SamplerChoice(steps=STEPS, guidance=3.0)),
        replace(wanted, sampler=SamplerChoice(steps=STEPS, guidance=1.5, memory_noise=0.3)),
        replace(wanted, routing=RoutingChoice(top_k=1)),
        replace(wanted, routing=RoutingChoice(chunking="frame")),
    ):
        assert not torch.equal(latents_of(finish(renderer, other)[0]), first)


def test_a_shots_number_does_not_decide_its_noise(renderer: ShotRenderer, tmp_path: Path) -> None:
    first, _ = finish(renderer, request(tmp_path / "1", seed=5))
    later, _ = finish(renderer, request(tmp_path / "2", seed=5, shot=7))
    assert torch.equal(latents_of(first), latents_of(later))


def test_a_take_that_changed_under_its_id_is_read_anew(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 1)
    before = latents_of(finish(renderer, request(tmp_path / "new", context))[0])
    with context[0].latents.local() as file:
        save_file({"latents": load_file(file)["latents"] + 1}, file)
    after = latents_of(finish(renderer, request(tmp_path / "new", context))[0])
    assert not torch.equal(before, after)


def test_takes_of_one_render_do_not_push_each_other_out(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 2)
    for first, second in (("t0:x", "t0"), ("t0", "t0:x"), ("t0", "t0")):
        takes = replace(context[0], id=first), replace(context[1], id=second)
        finish(renderer, request(tmp_path / "new", takes))


@pytest.mark.parametrize("budget", [0, 20_000, 200_000, 1 << 26])
def test_memories_and_buffers_keep_to_the_budget_together(model: Path, tmp_path: Path, budget: int) -> None:
    renderer = ShotRenderer(model, device="cpu", memory_budget=budget)
    rendered_story(renderer, tmp_path / "story", 4)
    assert renderer.memory_bytes + renderer.buffer_bytes <= budget
    assert (renderer.buffer_bytes > 0) == (budget > 100_000)


def test_a_render_leaves_nothing_but_memories(renderer: ShotRenderer, tmp_path: Path) -> None:
    rendered_story(renderer, tmp_path / "story", 4)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is PreparedRender]
    assert sum(type(thing) is PreparedTake for thing in gc.get_objects()) <= 3


def test_a_take_that_is_neither_held_nor_in_sight_is_forgotten(model: Path, tmp_path: Path) -> None:
    renderer = ShotRenderer(model, device="cpu", memory_budget=0)
    context = rendered_story(renderer, tmp_path / "story", 3)
    finish(renderer, request(tmp_path / "new", context[:1]))
    gc.collect()
    assert sum(type(thing) is PreparedTake for thing in gc.get_objects()) <= 1


def test_the_backend_of_a_renderer_is_for_requests_that_name_none(model: Path, tmp_path: Path) -> None:
    renderer = ShotRenderer(model, device="cpu", backend="grouped")
    assert finish(renderer, request(tmp_path / "any"))[0].backend == "grouped"
    naive = request(tmp_path / "naive", routing=RoutingChoice(backend="naive"))
    assert finish(renderer, naive)[0].backend == "naive"


def test_a_backend_that_cannot_render_is_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="'masked' does not support the attended mass"):
        finish(ShotRenderer(model, device="cpu", backend="masked"), request(tmp_path / "new"))
    first = request(tmp_path / "new", routing=RoutingChoice(backend="gathered"))
    with pytest.raises(EngineError, match="'gathered' does not support a shot without a history"):
        finish(ShotRenderer(model, device="cpu"), first)
    assert not list(tmp_path.iterdir())


def test_steering_reaches_the_model(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 2)

    def shares(steering: Steering) -> dict[int, float]:
        result, _ = finish(renderer, request(tmp_path / "new", context, steering=steering))
        return read_trace(result.trace).shot_shares()

    free = shares(Steering())
    assert shares(Steering(bans=(0,)))[0] == 0
    assert shares(Steering(pins=(0,)))[0] > free[0]
    assert shares(Steering(boosts={1: 50.0}))[0] == 0


def test_parts_of_takes_are_steered_by_name(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 2)
    names = [chunk.name for chunk in read_trace(tmp_path / "story" / "1" / "trace.moc").query]
    part = names[1]

    def shares(steering: Steering, parts: PartSteering) -> dict[tuple[int, str], float]:
        told = request(tmp_path / "new", context, steering=steering, parts=parts)
        trace = read_trace(finish(renderer, told)[0].trace)
        given = zip(trace.context, trace.shares().tolist(), strict=True)
        return {(chunk.shot, chunk.name): share for chunk, share in given if chunk.kind == "history"}

    free = shares(Steering(), PartSteering())
    assert free[1, part] > 0
    assert shares(Steering(), PartSteering(bans=((1, part),)))[1, part] == 0
    assert shares(Steering(), PartSteering(pins=((1, part),)))[1, part] > free[1, part]
    assert shares(Steering(), PartSteering(boosts={(1, part): -50.0}))[1, part] == 0
    assert shares(Steering(), PartSteering(bans=((1, "nobody"),))) == free
    alone = shares(Steering(bans=(1,)), PartSteering(pins=((1, part),)))
    assert [key for key, share in alone.items() if key[0] == 1 and share > 0] == [(1, part)]
    without = shares(Steering(pins=(1,)), PartSteering(bans=((1, part),)))
    assert without[1, part] == 0
    assert all(share > 0 for key, share in without.items() if key[0] == 1 and key != (1, part))


def test_a_ban_of_everything_is_a_render_without_context(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 2)
    banned, _ = finish(renderer, request(tmp_path / "1", context, steering=Steering(bans=(0, 1))))
    alone, _ = finish(renderer, request(tmp_path / "2", shot=2, seed=2))
    torch.testing.assert_close(latents_of(banned), latents_of(alone), atol=1e-4, rtol=1e-4)


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_but_for_rounding(model: Path, renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 2)
    on_cpu, _ = finish(renderer, request(tmp_path / "cpu", context))
    on_gpu, _ = finish(ShotRenderer(model, device="cuda"), request(tmp_path / "gpu", context))
    torch.testing.assert_close(latents_of(on_gpu), latents_of(on_cpu), atol=1e-2, rtol=1e-2)


def test_torch_keeps_its_threads(renderer: ShotRenderer, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for _ in renderer.render(request(tmp_path / "new")):
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


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


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # used by torch itself
def test_a_compiled_render_equals_one_that_is_not(model: Path, tmp_path: Path) -> None:
    """Here torch is told to run what it would compile, so that no compiler is needed."""
    with torch.compiler.set_stance("force_eager"):
        results = [
            finish(ShotRenderer(model, device="cpu", compiled=compiled), request(tmp_path / str(compiled)))
            for compiled in (False, True)
        ]
    plain, compiled = (load_file(result.latents)["latents"] for result, _ in results)
    torch.testing.assert_close(compiled, plain, atol=1e-5, rtol=1e-5)
    assert [read_trace(result.trace).routing["compiled"] for result, _ in results] == [False, True]
