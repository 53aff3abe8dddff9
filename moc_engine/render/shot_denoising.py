"""Denoises one shot: its captions, its attention, its trace and the steps of its sampler put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from moc_engine.contract import CancelToken
from moc_engine.memory.context import History
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates, stacked
from moc_engine.ops.workspace import Workspace
from moc_engine.render.captured_velocity import Capture, CapturedVelocity
from moc_engine.render.denoise import Denoised, denoise, draw_noise, guided
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.prepare import PreparedRender, steering_of
from moc_engine.render.steps_in_flight import StepsInFlight, cuda_event
from moc_engine.render.tracing import trace_recorder
from moc_engine.trace.recorder import TraceRecorder

CAPTION_KEYS: Final = 1 << 28
"""Bytes up to which the keys and values of the captions in all layers are kept from step to step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ShotDenoising:
    """The denoising of one shot; its `captions` are conditional, and unconditional where guided."""

    prepared: PreparedRender
    backbone: Backbone
    captions: CaptionStates
    attention: DenoisingPass
    capture: Capture | None = None

    def velocity(self, latents: Tensor, timesteps: Tensor) -> Tensor:
        """The velocity (B, …) of latents (B, …) at timesteps (B,)."""
        captions = self.captions.first(len(latents))
        return self.backbone.velocity(latents, timesteps, self.attention, captions)

    def steps(self, cancel: CancelToken | None = None) -> Iterator[Denoised]:
        """Denoises from the noise of the request's seed; as `denoise`."""
        sampler = self.prepared.sampler
        velocity = self.velocity if self.capture is None else CapturedVelocity(self.velocity, self.capture)
        noise = draw_noise((1, *self.prepared.shape), self.prepared.request.seed).to(self.backbone.device)
        steps = denoise(guided(velocity, sampler), noise, self.backbone.scheduler, sampler.steps, cancel)
        flight = StepsInFlight(cuda_event) if self.backbone.device.type == "cuda" else None
        for step in range(sampler.steps):
            self.attention.begin(step)
            done = next(steps)
            if flight is not None:
                flight.step_given()
            yield done


def shot_denoising(
    prepared: PreparedRender,
    backbone: Backbone,
    history: History | None,
    recorder: type[TraceRecorder] = TraceRecorder,
    capture: Capture | None = None,
    workspace: Workspace | None = None,
) -> ShotDenoising:
    """Prepares the denoising of a shot, whose `attention` records the conditional entry.

    With `capture`, steps are captured and replayed. It computes in the `workspace`, which must not be used
    by another render meanwhile.
    """
    request, family = prepared.request, backbone.family
    captions = family.captions(request.global_caption, request.caption, request.cast)
    guides = prepared.sampler.guidance != 1.0
    if guides:
        captions = stacked(captions, family.captions("", "", request.cast))
    if backbone.caption_key_bytes(captions) <= CAPTION_KEYS:
        captions = captions.with_kept_keys()
    attention = DenoisingPass(
        AttentionContext(
            shot=request.shot,
            grid=prepared.grid,
            history=history,
            routing=prepared.routing,
            steering=steering_of(prepared),
        ),
        backbone.angles,
        backbone.device,
        rows=2 if guides else 1,
        workspace=workspace,
    )
    attention.recorder = trace_recorder(prepared, backbone, attention, recorder)
    return ShotDenoising(
        prepared=prepared, backbone=backbone, captions=captions, attention=attention, capture=capture
    )
