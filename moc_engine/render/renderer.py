"""A request in, a finished take out: model, memories, denoising, frames, files.

    load ─► memory: each context take read once ─► denoise ─► decode into the clip ─► write latents, trace

Everything a render needs besides the model and the memories it keeps lives in that render.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import torch
from safetensors.torch import save
from torch import Tensor

from moc_engine.clip import ClipWriter, Frame
from moc_engine.contract import (
    CancelToken,
    RenderEvent,
    RenderRequest,
    RenderResult,
    Stage,
    StageEvent,
    StepEvent,
)
from moc_engine.errors import OutOfMemory, RenderCancelled
from moc_engine.files import atomic_files
from moc_engine.machine import memory_bytes
from moc_engine.memory.context import ContextMemory, History
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import stacked
from moc_engine.models.loading import load_backbone
from moc_engine.render.denoise import denoise, draw_noise, guided
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.pace import Pace, StageClock
from moc_engine.render.prepare import Job, of_finished, prepare, read_memory, recorder, steering_of
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.recorder import TraceRecorder

PREVIEWS: Final = 4
"""Previews of one render."""

EVENT_EVERY: Final = 0.2
"""Seconds between two events while frames are painted."""


SMALL_MODEL: Final = 20_000_000
"""Parameters below which a second thread slows a render: by 20 times on two cores that others use too."""


class ShotRenderer:
    """Renders one shot at a time with one model, a folder or a hub id (the embedded one where None).

    The model is loaded with the first request. Memories of finished takes are kept between requests
    within `memory_budget` bytes (a quarter of the device's memory where None); beyond that they are
    written to the folder `spill`, or read anew from their takes where it is None. `recorder` is what records
    the routing.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str | None = None,
        memory_budget: int | None = None,
        spill: Path | None = None,
        recorder: type[TraceRecorder] = TraceRecorder,
    ) -> None:
        self._model = model
        self._device = device
        self._budget = memory_budget
        self._spill = spill
        self._recorder = recorder
        self._loaded: tuple[Backbone, ContextMemory] | None = None
        self._pace = Pace()

    def render(
        self, request: RenderRequest, cancel: CancelToken | None = None
    ) -> Generator[RenderEvent, None, RenderResult]:
        """As `contract.Renderer`. Raises `EngineError`s, and `ValueError` for a request without sense."""
        work = self._render(request, cancel)
        try:
            while True:
                with _threads_for(self._loaded):
                    try:
                        event = next(work)
                    except StopIteration as stop:
                        result: RenderResult = stop.value
                        return result
                yield event
        finally:
            work.close()

    def _render(
        self, request: RenderRequest, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, RenderResult]:
        clock = StageClock()
        with _out_of_memory_told(clock):
            yield StageEvent(stage=clock.begin("load"))
            backbone, memory = self._load()
            job = prepare(request, backbone)
            _stop_if(cancel)

            yield StageEvent(stage=clock.begin("memory"))
            history = yield from self._remember(job, backbone, memory, cancel)

            yield StageEvent(stage=clock.begin("denoise"))
            latents, trace = yield from self._denoise(job, backbone, history, cancel)

            clip, latents_file, trace_file = (
                request.output / name for name in ("clip.mp4", "latents.safetensors", "trace.moc")
            )
            with atomic_files(clip, latents_file, trace_file) as parts:
                yield StageEvent(stage=clock.begin("decode"))
                frames = yield from self._decode(job, backbone, latents, parts[0], cancel)

                yield StageEvent(stage=clock.begin("write"))
                parts[1].write_bytes(save({"latents": latents.contiguous()}))
                trace.save(parts[2])
                _stop_if(cancel)
        return RenderResult(
            clip=clip,
            latents=latents_file,
            trace=trace_file,
            frames=frames,
            backend=trace.backend,
            device=backbone.device.type,
            dtype=str(backbone.transformer.dtype).removeprefix("torch."),
            timings=clock.end(),
        )

    def _load(self) -> tuple[Backbone, ContextMemory]:
        if self._loaded is None:
            backbone = load_backbone(self._model, self._device)
            budget = memory_bytes(str(backbone.device)) // 4 if self._budget is None else self._budget
            memory = ContextMemory(budget=budget, spill=self._spill, device=backbone.device)
            self._loaded = backbone, memory
        return self._loaded

    def _remember(
        self, job: Job, backbone: Backbone, memory: ContextMemory, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, History | None]:
        """The history of the context takes; those not at hand are read, each alone."""
        takes = [take.memory for take in job.context]
        memory.forget_absent(takes)
        ids = {take.told.id for take in job.context}
        for known in memory.takes:
            if known not in takes and known.rpartition(":")[0] in ids:  # the take has changed
                memory.drop(known)
        for take in job.context:
            if take.memory not in memory.takes:
                compute = partial(read_memory, take, job.routing, job.sampler, backbone)
                memory.add(take.memory, take.grid.extent, compute)
        gathering = memory.gather(takes, [take.told.shot for take in job.context])
        done = 0
        while True:
            _stop_if(cancel)
            try:
                with self._pace.measured("memory"):
                    next(gathering)
            except StopIteration as stop:
                history: History | None = stop.value
                return history
            done += 1
            yield self._step(job, "memory", done, len(takes))

    def _denoise(
        self, job: Job, backbone: Backbone, history: History | None, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, tuple[Tensor, RoutingTrace]]:
        """The latents (C, F, H, W) on the CPU, and what the conditional branch looked at."""
        request, sampler, family = job.request, job.sampler, backbone.family
        captions = family.captions(request.global_caption, request.caption, request.cast)
        guides = sampler.guidance != 1.0
        if guides:
            captions = stacked(captions, family.captions("", "", request.cast))
        attention = DenoisingPass(
            AttentionContext(
                shot=request.shot,
                grid=job.grid,
                history=history,
                routing=job.routing,
                steering=steering_of(job, backbone),
            ),
            backbone.angles,
            backbone.device,
            rows=2 if guides else 1,
        )
        attention.recorder = recorder(job, backbone, attention.backend, self._recorder)

        def velocity(latents: Tensor, timesteps: Tensor) -> Tensor:
            return backbone.velocity(latents, timesteps, attention, captions.first(len(latents)))

        train_timesteps = backbone.scheduler.config.num_train_timesteps
        latents = draw_noise((1, *job.shape), request.seed).to(backbone.device)
        steps = denoise(
            guided(velocity, sampler, train_timesteps), latents, backbone.scheduler, sampler.steps, cancel
        )
        for step in range(sampler.steps):
            attention.step = step
            with self._pace.measured("denoise"):
                done = next(steps)
            latents = done.latents
            preview = None
            if done.step * PREVIEWS // done.steps > step * PREVIEWS // done.steps:
                preview = _png(family.picture(done.estimate[0], seconds=request.seconds, size=request.size))
            yield self._step(job, "denoise", done.step, done.steps, preview)
        _stop_if(cancel)
        final = latents[0].float().cpu()
        return final, of_finished(attention.recorder.finish(), final, job, backbone)

    def _decode(
        self, job: Job, backbone: Backbone, latents: Tensor, clip: Path, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, int]:
        """Paints frame after frame into the clip; returns how many there are."""
        request = job.request
        comment = json.dumps(dict(request.recipe), ensure_ascii=False, sort_keys=True)
        frames = backbone.family.frames(latents, seconds=request.seconds, fps=request.fps, size=request.size)
        told = time.perf_counter()
        with (
            self._pace.measured("decode", job.megapixels),
            ClipWriter(clip, request.size, request.fps, comment) as writer,
        ):
            for frame in frames:
                _stop_if(cancel)
                writer.write(frame)
                if time.perf_counter() - told >= EVENT_EVERY or writer.frames == job.frames:
                    yield self._step(job, "decode", writer.frames, job.frames)
                    told = time.perf_counter()
        return writer.frames

    def _step(self, job: Job, stage: Stage, step: int, steps: int, preview: bytes | None = None) -> StepEvent:
        ahead: dict[Stage, float] = {
            "memory": len(job.context),
            "denoise": job.sampler.steps,
            "decode": job.megapixels,
        }
        for passed in list(ahead):
            if passed == stage:
                break
            del ahead[passed]
        ahead[stage] *= 1 - step / steps
        return StepEvent(
            stage=stage, step=step, steps=steps, seconds_left=self._pace.left(ahead), preview=preview
        )


def _stop_if(cancel: CancelToken | None) -> None:
    if cancel is not None and cancel.is_set():
        raise RenderCancelled("the render was cancelled")


def _png(frame: Frame) -> bytes:
    written, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    assert written
    return data.tobytes()


@contextmanager
def _threads_for(loaded: tuple[Backbone, ContextMemory] | None) -> Iterator[None]:
    """One thread inside for a small model on the CPU: sharing out such work costs more than it saves."""
    before = torch.get_num_threads()
    small = loaded is not None and loaded[0].device.type == "cpu" and loaded[0].parameters < SMALL_MODEL
    try:
        if small:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


_LOWER: Final[dict[Stage, str]] = {
    "load": "choose a smaller model",
    "memory": "shorten the earlier shots, or leave some of them out",
    "denoise": "shorten the shot, choose a smaller size, or lower top-k",
    "decode": "choose a smaller size, or shorten the shot",
    "write": "choose a smaller size, or shorten the shot",
}


@contextmanager
def _out_of_memory_told(clock: StageClock) -> Iterator[None]:
    """Turns what runs out of memory inside into an `OutOfMemory` that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        message = f"out of memory in stage “{clock.stage}”: {_LOWER[clock.stage]}"
    else:
        return
    raise OutOfMemory(message)  # outside, so that the failed stage's tensors are let go


def _is_out_of_memory(error: BaseException) -> bool:
    """A CPU's allocator raises a plain RuntimeError."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(error)
