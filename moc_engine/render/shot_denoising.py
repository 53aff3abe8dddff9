"""Denoises one shot: its captions, its attention, its trace and the steps of its sampler put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Final

import torch
from torch import Tensor

from moc_engine.config import MemoryConfig
from moc_engine.contract import CancelToken
from moc_engine.errors import EngineError
from moc_engine.memory.estimate import PAGE_BYTES
from moc_engine.memory.history import History
from moc_engine.memory.paged_history import PagedHistory
from moc_engine.memory.pages import Traffic
from moc_engine.models.backbone import Backbone, ExpertName
from moc_engine.models.base import (
    CaptionStates,
    EncodesFrames,
    Family,
    ShotCondition,
    TakesPictures,
    stacked,
)
from moc_engine.models.solver import Schedule
from moc_engine.ops.workspace import Workspace
from moc_engine.render.captured_velocity import Capture, CapturedVelocity
from moc_engine.render.denoise import (
    Denoised,
    StepVelocity,
    denoise,
    draw_noises,
    guided,
    stop_if_cancelled,
)
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.prepare import PreparedRender, steering_of
from moc_engine.render.step_caching import ActiveStepCache, NoStepCache
from moc_engine.render.steps_in_flight import StepsInFlight, cuda_event
from moc_engine.render.tracing import trace_recorder
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.recorder import TraceRecorder

CAPTION_KEYS: Final = 1 << 28
"""Bytes up to which the keys and values of the captions in all layers are kept from step to step."""

HistoryOf = Callable[[ExpertName], History | PagedHistory | None]
"""Gives the history that an expert reads, when its first step begins."""


@dataclass(kw_only=True, eq=False)
class ShotDenoising:
    """The denoising of one shot; its `captions` are conditional, and unconditional where guided.

    With captions `without` the shot's own, the two are run one after the other, in less memory. `guide` are
    the latents (1, C, F, H, W) that the shot starts from, noisy as its first step asks. One expert is in use
    at a time: `attending` makes its pass of the history that it reads. All write into one trace, by the
    recorder that `recording` makes. Latent frames of reference pictures are denoised with the shot's, before
    which they stand, in `guide` too; `steps` yields nothing of them.
    """

    prepared: PreparedRender
    backbone: Backbone
    captions: CaptionStates
    schedule: Schedule
    attending: Callable[[Backbone], DenoisingPass]
    recording: Callable[[DenoisingPass], TraceRecorder]
    without: CaptionStates | None = None
    condition: ShotCondition | None = None
    guide: Tensor | None = None
    capture: Capture | None = None
    step_cache: ActiveStepCache = field(default_factory=NoStepCache)
    _turn: _Turn | None = field(default=None, init=False)
    _recorder: TraceRecorder | None = field(default=None, init=False)
    _traffic: list[Traffic] = field(default_factory=list, init=False)

    def begin(self, step: int) -> Backbone:
        """The expert of a step, in use from now on: the one before it lets go of its history."""
        expert = self.backbone.at(self.schedule.steps[step].level)
        if self._turn is None or self._turn.expert is not expert:
            self.close()
            attention = self.attending(expert)
            self._recorder = self._recorder or self.recording(attention)
            attention.recorder = self._recorder
            velocity = partial(self.velocity, expert)
            captured = velocity if self.capture is None else CapturedVelocity(velocity, self.capture)
            guides = guided(captured, self.prepared.sampler, self.backbone.boundary)
            self._turn = _Turn(expert=expert, attention=attention, guided=guides, used=ExitStack())
            self._turn.used.callback(attention.close)
            self._turn.used.enter_context(self.step_cache.enabled(expert))
        self._turn.attention.begin(step)
        return expert

    @property
    def attention(self) -> DenoisingPass:
        """The attention of the expert in use."""
        assert self._turn is not None, "a step has begun"
        return self._turn.attention

    def velocity(self, expert: Backbone, latents: Tensor, timesteps: Tensor) -> Tensor:
        """The velocity (B, …) of latents (B, …) at timesteps (B,), by the expert in use."""
        attention = self.attention
        if self.without is None or len(latents) == 1:
            captions = self.captions.first(len(latents))
            with self.step_cache.entry(expert, "cond" if len(latents) == 1 else "both"):
                return expert.velocity(latents, timesteps, attention, captions, self.condition)
        with self.step_cache.entry(expert, "cond"):
            first = expert.velocity(latents[:1], timesteps[:1], attention, self.captions, self.condition)
        with attention.unrecorded(), self.step_cache.entry(expert, "uncond"):
            second = expert.velocity(latents[1:], timesteps[1:], attention, self.without, self.condition)
        return torch.cat((first, second))

    def steps(self, cancel: CancelToken | None = None) -> Iterator[Denoised]:
        """Denoises from the noise of the request's seed; as `denoise`."""
        device = self.backbone.device
        channels, frames, height, width = self.prepared.shape
        before = 0 if self.condition is None else self.condition.references
        noises = draw_noises((1, channels, before + frames, height, width), self.prepared.request.seed)
        latents, *added = (next(noises).to(device) for _ in range(1 + self.schedule.noises))
        if self.guide is not None:
            latents = torch.lerp(self.guide, latents, self.schedule.steps[0].sigma)
        steps = denoise(self._predict, latents, self.schedule, cancel, added)
        flight = StepsInFlight(cuda_event) if device.type == "cuda" else None
        for nth in range(len(self.schedule)):
            self.begin(nth)
            done = next(steps)
            if flight is not None:
                flight.step_given()
            yield done if self.condition is None else _of_the_shot(done, self.condition)

    def finished_trace(self) -> RoutingTrace:
        """What was recorded in the steps, once they are done."""
        assert self._recorder is not None, "a step has begun"
        trace = self._recorder.finish()
        return replace(trace, routing={**trace.routing, **self._memory_told()})

    def close(self) -> None:
        """Lets go of what the expert in use attends to: its history, with buffers, and keys of captions."""
        if self._turn is None:
            return
        for captions in (self.captions, self.without):
            if captions is not None and captions.kept is not None:
                captions.kept.clear()
        if self._turn.attention.traffic is not None:
            self._traffic.append(self._turn.attention.traffic)
        self._turn.used.close()
        self._turn = None

    def _predict(self, latents: Tensor, timestep: Tensor, level: float) -> Tensor:
        assert self._turn is not None, "a step has begun"
        return self._turn.guided(latents, timestep, level)

    def _memory_told(self) -> dict[str, object]:
        """For the trace: the memory's settings where they are not the plain ones, and what a step moved."""
        told: dict[str, object] = {}
        memory, context = self.prepared.memory, self.prepared.context
        if memory != MemoryConfig():
            told |= asdict(memory)
            told["remembered_tokens"] = sum(take.extent.tokens for take in context)
            told["context_tokens"] = sum(take.grid.tokens for take in context)
        traffic = list(self._traffic)
        if self._turn is not None and self._turn.attention.traffic is not None:
            traffic.append(self._turn.attention.traffic)
        if traffic:
            steps = len(self.schedule)
            told["bytes_copied_per_step"] = sum(one.copied for one in traffic) // steps
            told["bytes_read_per_step"] = sum(one.read for one in traffic) // steps
        return {"memory": told} if told else {}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Turn:
    """An expert in use: its attention, its guided velocity, and what ends with its use."""

    expert: Backbone
    attention: DenoisingPass
    guided: StepVelocity
    used: ExitStack


def batch_rows(prepared: PreparedRender, backbone: Backbone, *, two_passes: bool) -> int:
    """The entries of the batch of a render: 2 where guidance runs in one pass."""
    apart = prepared.request.step_cache is not None and _guidance_ends(prepared, backbone)
    in_one = backbone.adapter.batches_captions and not (two_passes or apart)
    return 2 if in_one and _is_guided(prepared, backbone) else 1


def _is_guided(prepared: PreparedRender, backbone: Backbone) -> bool:
    """Whether any step is guided."""
    steps = prepared.schedule.steps
    return any(prepared.sampler.guidance_at(step.level, backbone.boundary) != 1.0 for step in steps)


def _guidance_ends(prepared: PreparedRender, backbone: Backbone) -> bool:
    """Whether an expert has guided steps and others."""
    sampler, steps = prepared.sampler, prepared.schedule.steps
    kinds = {
        (backbone.at(step.level).expert, sampler.guidance_at(step.level, backbone.boundary) != 1.0)
        for step in steps
    }
    return len(kinds) > len({expert for expert, _ in kinds})


def shot_denoising(
    prepared: PreparedRender,
    backbone: Backbone,
    history_of: HistoryOf,
    recorder: type[TraceRecorder] = TraceRecorder,
    capture: Capture | None = None,
    workspace: Workspace | None = None,
    *,
    two_passes: bool = False,
    page_bytes: int = PAGE_BYTES,
    step_cache: ActiveStepCache | None = None,
    cancel: CancelToken | None = None,
) -> ShotDenoising:
    """Prepares the denoising of a shot, and records the conditional entry.

    `history_of` gives the history of each expert when its first step begins, which is let go of when another
    expert's does. With `two_passes`, guidance runs the captions and what it guides away from one after the
    other: the same velocity, in less memory; some models are always run so. With `capture`, steps are
    captured and replayed. It computes in the `workspace`, which must not be used by another render meanwhile.
    A paged history is brought in through buffers of about `page_bytes`. Blocks are skipped as the
    `step_cache` says; where guidance ends before an expert's last step, it runs in two passes then, of which
    the conditional one goes on with its cache. Raises `RenderCancelled` once `cancel` is set while pictures
    and clips are encoded.
    """
    request, family = prepared.request, backbone.family
    captions = family.captions(request.global_caption, request.caption, request.cast)
    without: CaptionStates | None = None
    rows = batch_rows(prepared, backbone, two_passes=two_passes)
    if _is_guided(prepared, backbone):
        negative = family.negative_prompt if request.negative_prompt is None else request.negative_prompt
        without = family.captions("", negative, request.cast)
        if rows == 2:
            captions, without = stacked(captions, without), None
    if backbone.adapter.caption_key_bytes(captions) <= CAPTION_KEYS:
        captions = captions.with_kept_keys()
        without = None if without is None else without.with_kept_keys()

    def attending(expert: Backbone) -> DenoisingPass:
        history = history_of(expert.expert)
        if capture is not None and isinstance(history, PagedHistory):
            raise EngineError(
                "CUDA graphs (--cuda-graphs) need a context that fits the device beside the model; render "
                "without them, or remember less"
            )
        return DenoisingPass(
            AttentionContext(
                shot=request.shot,
                grid=prepared.grid,
                history=history,
                routing=prepared.routing,
                steering=steering_of(prepared),
                heads=expert.adapter.heads,
            ),
            expert.angles,
            expert.device,
            rows=rows,
            steps=len(prepared.schedule),
            page_bytes=page_bytes,
            workspace=workspace,
            dense_backend=expert.adapter.dense_backend,
        )

    with _ended_by(cancel, family):
        condition = _condition(prepared, backbone)
        guide = _guide(prepared, backbone, condition)
    return ShotDenoising(
        prepared=prepared,
        backbone=backbone,
        captions=captions,
        without=without,
        condition=condition,
        guide=guide,
        schedule=prepared.schedule,
        attending=attending,
        recording=lambda attention: trace_recorder(prepared, backbone, attention, recorder),
        capture=capture,
        step_cache=step_cache or NoStepCache(),
    )


def _of_the_shot(done: Denoised, condition: ShotCondition) -> Denoised:
    """A step without the frames of reference pictures, its first frame as the condition has it."""
    before = condition.references
    return replace(
        done,
        latents=condition.over(done.latents[:, :, before:]),
        before=done.before[:, :, before:],
        velocity=done.velocity[:, :, before:],
    )


def _ended_by(cancel: CancelToken | None, family: Family) -> AbstractContextManager[None]:
    """Within the context encoding ends with `RenderCancelled` once `cancel` is set."""
    check = partial(stop_if_cancelled, cancel)
    return family.ended_by(check) if isinstance(family, EncodesFrames) else nullcontext()


def _condition(prepared: PreparedRender, backbone: Backbone) -> ShotCondition | None:
    family = backbone.family
    if not isinstance(family, TakesPictures):
        return None
    condition = family.condition(prepared.pictures, prepared.shape)
    return None if condition is None else condition.to(backbone.device)


def _guide(prepared: PreparedRender, backbone: Backbone, condition: ShotCondition | None) -> Tensor | None:
    """The latents that the shot starts from, after those of its reference pictures."""
    family = backbone.family
    if prepared.guide is None:
        return None
    assert isinstance(family, EncodesFrames), "its abilities say so"
    latents = family.encoded(prepared.guide, prepared.shape)[None].to(backbone.device)
    if condition is None or condition.references_BCFHW is None:
        return latents
    return torch.cat((condition.references_BCFHW, latents), dim=2)
