"""Renders one shot: loads the model, reads memories, denoises, decodes, and writes the files of the take.

    load the model ─► memories of the context takes ─► denoise ─► decode the clip ─► write latents, trace

Between renders the model, the memories of takes and the memory to compute in are kept.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import psutil
import torch
from torch import Tensor

from moc_engine.contract import (
    CancelToken,
    RenderEvent,
    RenderRequest,
    RenderResult,
    Stage,
    StageEvent,
    StepEvent,
)
from moc_engine.errors import EngineError, OutOfMemory
from moc_engine.files import atomic_files
from moc_engine.machine import memory_bytes
from moc_engine.memory.budget import memory_shares
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.estimate import PAGE_BYTES
from moc_engine.memory.history import History
from moc_engine.memory.history_buffer import LIMIT as HISTORY_LIMIT
from moc_engine.memory.history_buffer import HistoryBuffer
from moc_engine.memory.paged_history import PagedHistory
from moc_engine.models.backbone import Backbone, ExpertName
from moc_engine.models.loading import load_parts
from moc_engine.ops.workspace import Workspace
from moc_engine.profiles import Profile, next_lower
from moc_engine.render.captured_velocity import capture_cuda_graph
from moc_engine.render.decode import decode_clip, jpeg, png
from moc_engine.render.denoise import stop_if_cancelled
from moc_engine.render.filmstrip import Filmstrip
from moc_engine.render.latents_file import latents_file
from moc_engine.render.model_loading import LoadParts, ModelLoading
from moc_engine.render.out_of_memory import out_of_memory_explained
from moc_engine.render.pace import Pace, StageClock
from moc_engine.render.prepare import (
    ChunkNames,
    PreparedRender,
    PreparedTake,
    prepare,
    take_memory,
    timing_of,
)
from moc_engine.render.shot_denoising import Histories, is_guided, shot_denoising
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
    ) -> None:
        self._load_model, self._model, self._device = load, model, device
        self._retry_lower = retry_lower
        self._profile_note = ""
        self._step_caches = StepCaches()
        self._loading = self._loading_with(profile)
        self._budget = memory_budget
        self._host_budget = host_memory_budget
        self._page_bytes = page_bytes
        self._copied_bytes = copied_bytes
        self._spill = spill
        self._compiled = compiled
        self._cuda_graphs = cuda_graphs
        self._backend = backend
        self._two_passes = two_passes
        self._recorder = recorder
        self._loaded: tuple[Backbone, ContextMemory] | None = None
        self._names: ChunkNames = {}
        self._workspace = Workspace(0)
        self._buffer = HistoryBuffer(0)
        self._pace = Pace()

    @property
    def memory_bytes(self) -> int:
        """The bytes of the memories that are held, files not counted."""
        return 0 if self._loaded is None else self._loaded[1].bytes

    @property
    def buffer_bytes(self) -> int:
        """The bytes that are kept to compute in, which count in the memory budget."""
        return self._workspace.bytes + self._buffer.bytes

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
        if request.routing.backend is None:
            request = replace(request, routing=replace(request.routing, backend=self._backend))
        try:
            return (yield from self._attempt(request, cancel))
        except OutOfMemory as error:
            lower = self._lower_profile()
            if lower is None or not self._retry_lower:
                raise (
                    error
                    if lower is None
                    else OutOfMemory(
                        f"{error}, or render with the profile {lower.name} (--profile {lower.name})"
                    )
                ) from None
            self._profile_note = f"{error}; rendered again with the profile {lower.name}"
        self._loaded = None  # outside the handler, so that what the failed attempt held is freed
        self._loading = self._loading_with(lower.name)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return (yield from self._attempt(request, cancel))

    def _lower_profile(self) -> Profile | None:
        return None if self._loaded is None else next_lower(self._loaded[0].profile)

    def _loading_with(self, profile: str) -> ModelLoading:
        return ModelLoading(self._load_model, self._model, self._device, profile=profile)

    def _attempt(
        self, request: RenderRequest, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, RenderResult]:
        if request.step_cache is not None and (self._compiled or self._cuda_graphs):
            raise EngineError(
                f"the step cache {request.step_cache} decides at each step which blocks run: "
                "render without --compile and --cuda-graphs"
            )
        clock = StageClock()
        with out_of_memory_explained(clock):
            yield StageEvent(stage=clock.begin("load"))
            backbone, memory = yield from self._load(cancel)
            prepared = prepare(request, backbone, self._names)
            stop_if_cancelled(cancel)

            yield StageEvent(stage=clock.begin("memory"))
            histories = yield from self._gather_histories(prepared, backbone, memory, cancel)

            yield StageEvent(stage=clock.begin("denoise"))
            latents, trace = yield from self._denoise(prepared, backbone, histories, cancel)

            strip = None if request.filmstrip is None else Filmstrip(request.filmstrip, prepared.frames)
            files = [request.output / name for name in _FILES[: 3 if strip is None else 4]]
            with atomic_files(*files) as parts:
                yield StageEvent(stage=clock.begin("decode"))
                frames = yield from self._decode(prepared, backbone, latents, parts[0], cancel, strip)

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
            device=backbone.device.type,
            dtype=backbone.dtype_name,
            timings=clock.end(),
        )

    def _load(
        self, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, tuple[Backbone, ContextMemory]]:
        if self._loaded is None:
            backbone = yield from self._loading.events(cancel)
            if self._cuda_graphs and backbone.device.type != "cuda":
                raise EngineError(
                    f"CUDA graphs (--cuda-graphs) need a CUDA device; the model is on {backbone.device.type}"
                )
            if backbone.profile.transformer == "groups" and (self._compiled or self._cuda_graphs):
                raise EngineError(
                    f"the profile {backbone.profile.name} moves blocks to the device one after the other: "
                    "render without --compile and --cuda-graphs"
                )
            backbone = replace(backbone, profile_note=self._profile_note)
            if self._compiled:
                backbone = backbone.with_compiled_blocks()
            budget = self._memory_budget(backbone)
            host = psutil.virtual_memory().total // 2 if self._host_budget is None else self._host_budget
            shares = memory_shares(budget, backbone.device)
            self._workspace, self._buffer = Workspace(shares.workspace), HistoryBuffer(shares.history)
            memory = ContextMemory(
                budget=shares.memories, host_budget=host, spill=self._spill, device=backbone.device
            )
            self._loaded = backbone, memory
        return self._loaded

    def _gather_histories(
        self, prepared: PreparedRender, backbone: Backbone, memory: ContextMemory, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, Histories]:
        """The history of the context takes for each expert that has steps."""
        experts = backbone.experts_of(prepared.schedule)
        keys = {take.memory_of(expert.expert) for expert in backbone.experts for take in prepared.context}
        memory.forget_absent(keys)
        ids = {take.source.id for take in prepared.context}
        for known in memory.takes:
            if known not in keys and known.rpartition(":")[0] in ids:  # the take has changed
                memory.drop(known)
        histories: dict[ExpertName, History | PagedHistory | None] = {}
        for expert in experts:
            done = len(histories) * len(prepared.context)
            history = yield from self._gather_history(prepared, expert, memory, cancel, done)
            histories[expert.expert] = history
        return histories

    def _gather_history(
        self,
        prepared: PreparedRender,
        expert: Backbone,
        memory: ContextMemory,
        cancel: CancelToken | None,
        done: int,
    ) -> Generator[RenderEvent, None, History | PagedHistory | None]:
        """The history that an expert reads; memories that are not kept are computed, each take by itself.

        `done` memories were gathered before, for other experts.
        """
        keys = [take.memory_of(expert.expert) for take in prepared.context]
        for take, key in zip(prepared.context, keys, strict=True):
            if key not in memory.takes:
                compute = partial(
                    take_memory,
                    take,
                    prepared.routing,
                    prepared.sampler,
                    expert,
                    prepared.memory.storage,
                    self._memory_device(prepared, take, expert),
                )
                memory.add(key, take.extent, compute)
        gathering = memory.gather(
            keys,
            [take.source.shot for take in prepared.context],
            self._buffer if len(prepared.experts) == 1 else None,  # one history at a time fits in
            timing=timing_of(prepared, expert.family),
            most_bytes=self._most_copied(prepared, expert),
            beside=[take.memory_of(name) for name in prepared.experts for take in prepared.context],
        )
        while True:
            stop_if_cancelled(cancel)
            try:
                with self._pace.measured("memory"):
                    next(gathering)
            except StopIteration as stop:
                history: History | PagedHistory | None = stop.value
                return history
            done += 1
            yield self._step(prepared, "memory", done, len(keys) * len(prepared.experts))

    def _memory_device(
        self, prepared: PreparedRender, take: PreparedTake, expert: Backbone
    ) -> torch.device | None:
        """Where a take's memory is computed to: main memory where the device's budget could not hold it."""
        if expert.device.type != "cuda":
            return None
        config = expert.transformer.config
        width = config.num_layers * config.num_attention_heads * config.attention_head_dim
        itemsize = 1 if prepared.memory.storage == "int8" else 2
        budget = self._memory_budget(expert)
        return torch.device("cpu") if 2 * width * take.extent.tokens * itemsize > budget else None

    def _memory_budget(self, backbone: Backbone) -> int:
        """The bytes of the device that memories may take."""
        return memory_bytes(str(backbone.device)) // 4 if self._budget is None else self._budget

    def _most_copied(self, prepared: PreparedRender, expert: Backbone) -> int:
        """The bytes of keys and values up to which a context is copied side by side."""
        if self._copied_bytes is not None:
            return self._copied_bytes
        if expert.device.type == "cpu":
            return HISTORY_LIMIT
        return self._page_bytes // (2 if is_guided(prepared, expert) else 1)

    def _denoise(
        self,
        prepared: PreparedRender,
        backbone: Backbone,
        histories: Histories,
        cancel: CancelToken | None,
    ) -> Generator[RenderEvent, None, tuple[Tensor, RoutingTrace]]:
        """The latents (C, F, H, W) on the CPU, and the trace of the conditional branch."""
        request, family = prepared.request, backbone.family
        with self._step_caches.used(prepared, backbone) as cache:
            denoising = shot_denoising(
                prepared,
                backbone,
                histories,
                self._recorder,
                capture_cuda_graph if self._cuda_graphs else None,
                self._workspace,
                two_passes=self._two_passes or backbone.profile.two_passes,
                page_bytes=self._page_bytes,
                step_cache=cache,
            )
            with closing(denoising):
                steps = denoising.steps(cancel)
                for step in range(len(prepared.schedule)):
                    with self._pace.measured("denoise"):
                        done = next(steps)
                    preview = None
                    if done.step * request.previews // done.steps > step * request.previews // done.steps:
                        picture = family.picture(done.estimate[0], seconds=request.seconds, size=request.size)
                        preview = png(picture)
                    yield self._step(prepared, "denoise", done.step, done.steps, preview)
                stop_if_cancelled(cancel)
                final = done.latents[0].float().cpu()
                trace = denoising.finished_trace()
        return final, finished_trace(trace, final, prepared, backbone)

    def _decode(
        self,
        prepared: PreparedRender,
        backbone: Backbone,
        latents: Tensor,
        clip: Path,
        cancel: CancelToken | None,
        strip: Filmstrip | None,
    ) -> Generator[RenderEvent, None, int]:
        decoding = decode_clip(prepared, backbone.family, latents, clip, cancel, strip)
        with self._pace.measured("decode", prepared.megapixels), closing(decoding):
            while True:
                try:
                    written = next(decoding)
                except StopIteration as stop:
                    frames: int = stop.value
                    return frames
                yield self._step(prepared, "decode", written, prepared.frames)

    def _step(
        self, prepared: PreparedRender, stage: Stage, step: int, steps: int, preview: bytes | None = None
    ) -> StepEvent:
        ahead: dict[Stage, float] = {
            "memory": len(prepared.context) * len(prepared.experts),
            "denoise": len(prepared.schedule),
            "decode": prepared.megapixels,
        }
        for passed in list(ahead):
            if passed == stage:
                break
            del ahead[passed]
        ahead[stage] *= 1 - step / steps
        return StepEvent(
            stage=stage, step=step, steps=steps, seconds_left=self._pace.left(ahead), preview=preview
        )


@contextmanager
def _threads_for(loaded: tuple[Backbone, ContextMemory] | None) -> Iterator[None]:
    """A single thread for a small model on the CPU, where sharing the work costs more than it saves."""
    before = torch.get_num_threads()
    small = loaded is not None and loaded[0].device.type == "cpu" and loaded[0].parameters < SMALL_MODEL
    try:
        if small:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)
