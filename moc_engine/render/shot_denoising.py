"""Denoises one shot: its captions, its attention, its trace and the steps of its sampler put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from moc_engine.models.backbone import Backbone, ExpertName
from moc_engine.models.base import (
    CaptionStates,
    EncodesFrames,
    ShotCondition,
    TakesPictures,
    stacked,
)
from moc_engine.models.solver import Schedule
from moc_engine.ops.workspace import Workspace
from moc_engine.render.captured_velocity import Capture, CapturedVelocity
from moc_engine.render.denoise import Denoised, StepVelocity, denoise, draw_noises, guided
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.prepare import PreparedRender, steering_of
from moc_engine.render.step_caching import ActiveStepCache, NoStepCache
from moc_engine.render.steps_in_flight import StepsInFlight, cuda_event
from moc_engine.render.tracing import trace_recorder
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.recorder import TraceRecorder

CAPTION_KEYS: Final = 1 << 28
"""Bytes up to which the keys and values of the captions in all layers are kept from step to step."""

Histories = Mapping[ExpertName, History | PagedHistory | None]
"""The history of a render by the expert whose keys and values it holds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ShotDenoising:
    """The denoising of one shot; its `captions` are conditional, and unconditional where guided.

    With captions `without` the shot's own, the two are run one after the other, in less memory. `attention`
    holds a pass for each expert that has steps in the `schedule`; all write into one trace. `guide` are the
    latents (1, C, F, H, W) that the shot starts from, noisy as its first step asks. Latent frames of
    reference pictures are denoised with the shot's, before which they stand, in `guide` too; `steps` yields
    nothing of them.
    """

    prepared: PreparedRender
    backbone: Backbone
    captions: CaptionStates
    schedule: Schedule
    attention: Mapping[ExpertName, DenoisingPass]
    without: CaptionStates | None = None
    condition: ShotCondition | None = None
    guide: Tensor | None = None
    capture: Capture | None = None
    step_cache: ActiveStepCache = field(default_factory=NoStepCache)

    def velocity(self, expert: Backbone, latents: Tensor, timesteps: Tensor) -> Tensor:
        """The velocity (B, …) of latents (B, …) at timesteps (B,), by one expert."""
        attention = self.attention[expert.expert]
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
        steps = denoise(self._guided(), latents, self.schedule, cancel, added)
        flight = StepsInFlight(cuda_event) if device.type == "cuda" else None
        for nth, step in enumerate(self.schedule.steps):
            self.attention[self.backbone.at(step.level).expert].begin(nth)
            done = next(steps)
            if flight is not None:
                flight.step_given()
            yield done if self.condition is None else _of_the_shot(done, self.condition)

    def finished_trace(self) -> RoutingTrace:
        """What was recorded in the steps, once they are done."""
        recorder = next(iter(self.attention.values())).recorder
        assert recorder is not None
        trace = recorder.finish()
        return replace(trace, routing={**trace.routing, **self._memory_told()})

    def close(self) -> None:
        """Gives the memory back through which paged histories are brought in."""
        for attention in self.attention.values():
            attention.close()

    def _memory_told(self) -> dict[str, object]:
        """For the trace: the memory's settings where they are not the plain ones, and what a step moved."""
        told: dict[str, object] = {}
        memory, context = self.prepared.memory, self.prepared.context
        if memory != MemoryConfig():
            told |= asdict(memory)
            told["remembered_tokens"] = sum(take.extent.tokens for take in context)
            told["context_tokens"] = sum(take.grid.tokens for take in context)
        traffic = [one.traffic for one in self.attention.values() if one.traffic is not None]
        if traffic:
            steps = len(self.schedule)
            told["bytes_copied_per_step"] = sum(one.copied for one in traffic) // steps
            told["bytes_read_per_step"] = sum(one.read for one in traffic) // steps
        return {"memory": told} if told else {}

    def _guided(self) -> StepVelocity:
        """The guided velocity, by the expert of each step's noise level."""
        sampler, boundary = self.prepared.sampler, self.backbone.boundary
        by_expert = {}
        for expert in self.backbone.experts:
            velocity = partial(self.velocity, expert)
            captured = velocity if self.capture is None else CapturedVelocity(velocity, self.capture)
            by_expert[expert.expert] = guided(captured, sampler, boundary)

        def predict(latents: Tensor, timestep: Tensor, level: float) -> Tensor:
            return by_expert[self.backbone.at(level).expert](latents, timestep, level)

        return predict


def is_guided(prepared: PreparedRender, backbone: Backbone) -> bool:
    """Whether any step is guided, for which a batch of two is computed."""
    steps = prepared.schedule.steps
    return any(prepared.sampler.guidance_at(step.level, backbone.boundary) != 1.0 for step in steps)


def shot_denoising(
    prepared: PreparedRender,
    backbone: Backbone,
    histories: Histories,
    recorder: type[TraceRecorder] = TraceRecorder,
    capture: Capture | None = None,
    workspace: Workspace | None = None,
    *,
    two_passes: bool = False,
    page_bytes: int = PAGE_BYTES,
    step_cache: ActiveStepCache | None = None,
) -> ShotDenoising:
    """Prepares the denoising of a shot, and records the conditional entry.

    `histories` are those of the experts that have steps. With `two_passes`, guidance runs the captions and
    what it guides away from one after the other: the same velocity, in less memory; some models are always
    run so. With `capture`, steps are
    captured and replayed. It computes in the `workspace`, which must not be used by another render meanwhile;
    two experts do not. A paged history is brought in through buffers of about `page_bytes`.
    Blocks are skipped as the `step_cache` says, which must be in use.
    """
    request, family = prepared.request, backbone.family
    captions = family.captions(request.global_caption, request.caption, request.cast)
    schedule = prepared.schedule
    guides = is_guided(prepared, backbone)
    if capture is not None and any(isinstance(past, PagedHistory) for past in histories.values()):
        raise EngineError(
            "CUDA graphs (--cuda-graphs) need a context that fits the device beside the model; render without"
            " them, or remember less"
        )
    without: CaptionStates | None = None
    if guides:
        negative = family.negative_prompt if request.negative_prompt is None else request.negative_prompt
        without = family.captions("", negative, request.cast)
        if backbone.adapter.batches_captions and not two_passes:
            captions, without = stacked(captions, without), None
    if backbone.adapter.caption_key_bytes(captions) <= CAPTION_KEYS:
        captions = captions.with_kept_keys()
        without = None if without is None else without.with_kept_keys()
    experts = backbone.experts_of(schedule)
    attention = {
        expert.expert: DenoisingPass(
            AttentionContext(
                shot=request.shot,
                grid=prepared.grid,
                history=histories[expert.expert],
                routing=prepared.routing,
                steering=steering_of(prepared),
            ),
            expert.angles,
            expert.device,
            rows=len(captions.states_BSE),
            page_bytes=page_bytes,
            workspace=workspace if len(experts) == 1 else None,
        )
        for expert in experts
    }
    condition = _condition(prepared, backbone)
    recording = trace_recorder(prepared, backbone, next(iter(attention.values())), recorder)
    for of_expert in attention.values():
        of_expert.recorder = recording
    return ShotDenoising(
        prepared=prepared,
        backbone=backbone,
        captions=captions,
        without=without,
        condition=condition,
        guide=_guide(prepared, backbone, condition),
        schedule=schedule,
        attention=attention,
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
