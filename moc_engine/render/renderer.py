"""Renders one shot: loads the model, reads memories, denoises, decodes, and writes the files of the take.

    load the model ─► memories of the context takes ─► denoise ─► decode the clip ─► write latents, trace

Between renders the model, the memories of takes and the memory to compute in are kept.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from moc_engine.contract import (
    CancelToken,
    RenderEvent,
    RenderRequest,
    RenderResult,
    Stage,
    StageEvent,
)
from moc_engine.errors import EngineError, OutOfMemory
from moc_engine.files import atomic_files
from moc_engine.memory.estimate import PAGE_BYTES
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import Family
from moc_engine.models.loading import load_parts
from moc_engine.render.captured_velocity import capture_cuda_graph
from moc_engine.render.context_histories import ContextHistories
from moc_engine.render.decode import decode_clip, jpeg, png
from moc_engine.render.denoise import Denoised, stop_if_cancelled
from moc_engine.render.filmstrip import Filmstrip
from moc_engine.render.kept_model import KeptModel, LoadedModel, ModelOptions
from moc_engine.render.latents_file import latents_file
from moc_engine.render.model_loading import LoadParts, ModelLoading
from moc_engine.render.out_of_memory import out_of_memory_explained
from moc_engine.render.pace import Pace, StageClock, WorkLeft
from moc_engine.render.prepare import ChunkNames, PreparedRender, prepare
from moc_engine.render.render_group import RenderGroup, check_for_group
from moc_engine.render.shot_denoising import batch_rows, shot_denoising
from moc_engine.render.step_caching import StepCaches
from moc_engine.render.tracing import finished_trace
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.recorder import TraceRecorder
from moc_engine.trace.trace_file import write_trace

_FILES: Final = ("clip.mp4", "latents.safetensors", "trace.moc", "filmstrip.jpg")

SMALL_MODEL: Final = 20_000_000
"""Parameters below which several threads slow a render: on two busy cores by 20 times."""


class ShotRenderer:
    """Renders one shot at a time with one model, a folder or a hub id (the embedded one where None).

    The model is loaded by the first request, as the stage "load" of that render, part by part by `load`.
    Memories of finished takes are kept between requests within `memory_budget` bytes (a quarter of the
    device's memory where None; on a CPU it holds the buffers too that renders compute in), on a GPU beyond
    that in main memory within `host_memory_budget` (half of it where None); beyond that they are written to
    the folder `spill`, or computed again from their takes where it is None. A context of at most
    `copied_bytes` (None: `HistoryBuffer`'s limit on the CPU, elsewhere what `page_bytes` hold for all entries
    of a batch) is copied side by side; a larger one is brought in through buffers of `page_bytes` in each
    step. `recorder` records the routing.

    With `compiled`, the blocks of the transformer are compiled around the attention, which takes minutes in
    the first render; with `cuda_graphs`, the steps of a render are captured and replayed. Where this is not
    possible, it is an `EngineError`, and never left out silently. `backend` names the attention backend of
    requests that name none. With `two_passes`, guided steps run their two captions one after the other, which
    takes less memory and gives the same latents. `profile` says how the model is fitted to the device; with
    `retry_lower`, a render that runs out of memory is tried once more with the next lower one, which stays.

    In a `group` it renders its part of each shot (`render_part`): it attends with its heads, and keeps their
    memories alone. Only the first of the group has a result.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str | None = None,
        memory_budget: int | None = None,
        host_memory_budget: int | None = None,
        page_bytes: int = PAGE_BYTES,
        copied_bytes: int | None = None,
        spill: Path | None = None,
        compiled: bool = False,
        cuda_graphs: bool = False,
        backend: str | None = None,
        two_passes: bool = False,
        profile: str = "auto",
        retry_lower: bool = False,
        recorder: type[TraceRecorder] = TraceRecorder,
        load: LoadParts = load_parts,
        group: RenderGroup | None = None,
    ) -> None:
        device = device if group is None else group.device
        options = ModelOptions(
            device=device,
            profile=profile,
            memory_budget=memory_budget,
            host_memory_budget=host_memory_budget,
            spill=spill,
            compiled=compiled,
            cuda_graphs=cuda_graphs,
            split=None if group is None else group.split,
        )
        self._group = group
        self._model = KeptModel(ModelLoading(load, model, device), options)
        self._retry_lower = retry_lower
        self._step_caches = StepCaches()
        self._page_bytes = page_bytes
        self._copied_bytes = copied_bytes
        self._compiled = compiled
        self._cuda_graphs = cuda_graphs
        self._backend = backend
        self._two_passes = two_passes
        self._recorder = recorder
        self._names: ChunkNames = {}
        self._pace = Pace()

    @property
    def memory_bytes(self) -> int:
        """The bytes of the memories that are held, files not counted."""
        loaded = self._model.loaded
        return 0 if loaded is None else loaded.memory.bytes

    @property
    def buffer_bytes(self) -> int:
        """The bytes that are kept to compute in, which count in the memory budget."""
        loaded = self._model.loaded
        return 0 if loaded is None else loaded.workspace.bytes + loaded.buffer.bytes

    def render(
        self, request: RenderRequest, cancel: CancelToken | None = None
    ) -> Generator[RenderEvent, None, RenderResult]:
        """As `contract.Renderer`. Raises `EngineError`s, and `ValueError` for a request without sense."""
        result = yield from self.render_part(request, cancel)
        assert result is not None, "this process leads"
        return result

    def render_part(
        self, request: RenderRequest, cancel: CancelToken | None = None
    ) -> Generator[RenderEvent, None, RenderResult | None]:
        """As `render`; the result is None in all processes of a group but the first."""
        work = self._render(request, cancel)
        try:
            while True:
                with _single_thread(self._is_small):
                    try:
                        event = next(work)
                    except StopIteration as stop:
                        result: RenderResult | None = stop.value
                        return result
                yield event
        finally:
            work.close()

    def _render(
        self, request: RenderRequest, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, RenderResult | None]:
        if request.routing.backend is None:
            request = replace(request, routing=replace(request.routing, backend=self._backend))
        try:
            return (yield from self._attempt(request, cancel))
        except OutOfMemory as error:
            lower = self._model.lower_profile
            if lower is None:
                raise
            if not self._retry_lower or self._group is not None:
                message = f"{error}, or render with the profile {lower.name} (--profile {lower.name})"
                raise OutOfMemory(message) from None
            note = f"{error}; rendered again with the profile {lower.name}"
        # outside the handler, so that what the failed attempt held is freed
        self._model.lower_to(lower, note)
        return (yield from self._attempt(request, cancel))

    def _attempt(
        self, request: RenderRequest, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, RenderResult | None]:
        if request.step_cache is not None and (self._compiled or self._cuda_graphs):
            raise EngineError(
                f"the step cache {request.step_cache} decides at each step which blocks run: "
                "render without --compile and --cuda-graphs"
            )
        group, clock = self._group, StageClock()
        if group is not None:
            check_for_group(request)
        with out_of_memory_explained(clock):
            yield StageEvent(stage=clock.begin("load"))
            with nullcontext() if group is None else group.settled():
                model = yield from self._model.load(cancel)
                backbone = model.backbone
                prepared = prepare(request, backbone, self._names)
                stop_if_cancelled(cancel)

            left = WorkLeft(self._pace, _units(prepared))
            together = cancel if group is None else group.agreed(cancel)
            latents, trace = yield from self._denoise(prepared, model, clock, left, together)
            if group is not None and not group.leads:
                return None

            strip = None if request.filmstrip is None else Filmstrip(request.filmstrip, prepared.frames)
            files = [request.output / name for name in _FILES[: 3 if strip is None else 4]]
            with atomic_files(*files) as parts:
                yield StageEvent(stage=clock.begin("decode"))
                frames = yield from self._decode(
                    prepared, backbone.family, latents, parts[0], left, cancel, strip
                )

                yield StageEvent(stage=clock.begin("write"))
                parts[1].write_bytes(latents_file(latents, backbone.latent_space))
                write_trace(trace, parts[2])
                if strip is not None:
                    parts[3].write_bytes(jpeg(strip.picture()))
                stop_if_cancelled(cancel)
        return RenderResult(
            clip=files[0],
            latents=files[1],
            trace=files[2],
            filmstrip=None if strip is None else files[3],
            frames=frames,
            backend=trace.backend,
            device=_device_name(backbone),
            dtype=backbone.dtype_name,
            timings=clock.end(),
        )

    def _denoise(
        self,
        prepared: PreparedRender,
        model: LoadedModel,
        clock: StageClock,
        left: WorkLeft,
        cancel: CancelToken | None,
    ) -> Generator[RenderEvent, None, tuple[Tensor, RoutingTrace]]:
        """The latents (C, F, H, W) on the CPU, and the trace of the conditional branch.

        The history that an expert reads is gathered when its steps begin, once that of the expert before it
        is let go of.
        """
        backbone, steps = model.backbone, prepared.schedule.steps
        two_passes = self._two_passes or backbone.profile.two_passes
        histories = ContextHistories(
            prepared,
            model,
            rows=batch_rows(prepared, backbone, two_passes=two_passes),
            page_bytes=self._page_bytes,
            copied_bytes=self._copied_bytes,
        )

        def gather(expert: Backbone) -> Generator[RenderEvent, None, None]:
            yield StageEvent(stage=clock.begin("memory"))
            yield from histories.gather(expert, left, self._pace, cancel)
            yield StageEvent(stage=clock.begin("denoise"))

        expert = backbone.at(steps[0].level)
        yield from gather(expert)
        denoising = shot_denoising(
            prepared,
            backbone,
            histories.pop,
            self._recorder,
            capture_cuda_graph if self._cuda_graphs else None,
            model.workspace,
            two_passes=two_passes,
            page_bytes=self._page_bytes,
            step_cache=self._step_caches.of(prepared, backbone, cancel),
            cancel=cancel,
        )
        with closing(denoising):
            denoised = denoising.steps(cancel)
            for step in steps:
                if backbone.at(step.level) is not expert and prepared.context:
                    denoising.close()
                    expert = backbone.at(step.level)
                    yield from gather(expert)
                with self._pace.measured("denoise"):
                    done = next(denoised)
                yield left.step("denoise", done.step, done.steps, _preview(done, prepared, backbone))
            stop_if_cancelled(cancel)
            final = done.latents[0].float().cpu()
            trace = denoising.finished_trace()
        return final, finished_trace(trace, final, prepared, backbone)

    def _decode(
        self,
        prepared: PreparedRender,
        family: Family,
        latents: Tensor,
        clip: Path,
        left: WorkLeft,
        cancel: CancelToken | None,
        strip: Filmstrip | None,
    ) -> Generator[RenderEvent, None, int]:
        decoding = decode_clip(prepared, family, latents, clip, cancel, strip)
        with self._pace.measured("decode", prepared.megapixels), closing(decoding):
            while True:
                try:
                    written = next(decoding)
                except StopIteration as stop:
                    frames: int = stop.value
                    return frames
                yield left.step("decode", written, prepared.frames)

    @property
    def _is_small(self) -> bool:
        """Whether the model is so small that a single thread is faster on a CPU."""
        loaded = self._model.loaded
        if loaded is None or loaded.backbone.device.type != "cpu":
            return False
        return loaded.backbone.parameters < SMALL_MODEL


def _device_name(backbone: Backbone) -> str:
    """What takes are recorded with: the kind of device, and the processes where there were several."""
    kind, split = backbone.device.type, backbone.split
    return kind if split is None else f"{kind}, {split.processes} processes"


def _units(prepared: PreparedRender) -> dict[Stage, float]:
    """The work of the stages in the units of `Pace`."""
    return {
        "memory": len(prepared.context) * len(prepared.experts),
        "denoise": len(prepared.schedule),
        "decode": prepared.megapixels,
    }


def _preview(done: Denoised, prepared: PreparedRender, backbone: Backbone) -> bytes | None:
    """A picture of the shot after a step, as a PNG file, where one is due."""
    request = prepared.request
    due, before = (step * request.previews // done.steps for step in (done.step, done.step - 1))
    if due == before:
        return None
    return png(backbone.family.picture(done.estimate[0], seconds=request.seconds, size=request.size))


@contextmanager
def _single_thread(wanted: bool) -> Iterator[None]:
    """A single thread where `wanted`, as where sharing the work costs more than it saves."""
    before = torch.get_num_threads()
    try:
        if wanted:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)
