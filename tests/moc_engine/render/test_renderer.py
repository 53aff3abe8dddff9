"""Whole renders with a tiny model: events, files, sameness, steering."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from moc_engine.config import PartSteering, RoutingChoice, RoutingConfig, SamplerChoice, Steering
from moc_engine.contract import (
    FilmstripFormat,
    RenderEvent,
    StageEvent,
    StepEvent,
)
from moc_engine.models.animatic.scene import CHANNELS, SLOTS
from moc_engine.render.renderer import ShotRenderer
from moc_engine.trace.trace_file import read_trace
from tests.fakes.short_shots import latents_of
from tests.fakes.tiny_renders import STEPS, finish, rendered_story, request


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


def test_the_backend_of_a_renderer_is_for_requests_that_name_none(model: Path, tmp_path: Path) -> None:
    renderer = ShotRenderer(model, device="cpu", backend="grouped")
    assert finish(renderer, request(tmp_path / "any"))[0].backend == "grouped"
    naive = request(tmp_path / "naive", routing=RoutingChoice(backend="naive"))
    assert finish(renderer, naive)[0].backend == "naive"


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


def test_of_a_banned_take_only_its_length_matters(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 3)
    steering = Steering(bans=(1,))
    unfinished = [replace(take, latents=None) if take.shot == 1 else take for take in context]
    there, _ = finish(renderer, request(tmp_path / "1", context, steering=steering))
    not_yet, _ = finish(renderer, request(tmp_path / "2", unfinished, steering=steering))
    absent, _ = finish(renderer, request(tmp_path / "3", [context[0], context[2]]))
    assert torch.equal(latents_of(there), latents_of(not_yet))
    assert not torch.equal(latents_of(there), latents_of(absent))  # the first take is another time away
    with pytest.raises(ValueError, match="shot 1 has no latents, and is not banned"):
        finish(renderer, request(tmp_path / "4", unfinished))


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
