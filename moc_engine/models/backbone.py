"""A model as the engine drives it: a Wan transformer, its scheduler, and the family that knows its latents.

The embedded model and a model of the hub are both diffusers pipeline folders and run through the same
calls; what differs, how captions are read and how latents become frames, is a `Family`'s.

Shapes: B batch, C channels, F latent frames, H and W latent sides; latents of one shot are (C, F, H, W).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from moc_engine.clip import Frame
from moc_engine.config import Chunking, Pooling, RoutingConfig, SamplerConfig
from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.memory.context import TakeMemory
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.sources import reading
from moc_engine.models.wan_transformer import AttentionPass, CaptionStates, attending, rotary_angles
from moc_engine.render.denoise import draw_noise
from moc_engine.render.passes import ReadingPass

EMBEDDED: Final = Path(__file__).parent / "animatic" / "weights"


@dataclass(frozen=True, kw_only=True, eq=False)
class Looks:
    """What the places of a shot look like: `vectors` (places, D), NaN where a place shows nothing; those of
    the same kind that lie `visible` or more apart (Euclidean) look different.
    """

    vectors: NDArray[np.float64]
    visible: float


class Family(Protocol):
    """What is particular to a kind of models: captions in, frames out, and its own settings."""

    routing: RoutingConfig
    sampler: SamplerConfig

    def latent_shape(self, seconds: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(C, F, H, W) of a shot."""

    def captions(self, global_caption: str, caption: str, cast: Sequence[str]) -> CaptionStates:
        """The states of the global caption and of the shot's own, a batch of one."""

    def mentions(self, global_caption: str, caption: str, cast: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """Which states of `captions` name whom, for those of the cast whom the shot's own caption names."""

    def model_input(self, latents_BCFHW: Tensor) -> Tensor:
        """Latents with whatever constant channels the transformer expects."""

    def velocity(self, predicted_BCFHW: Tensor, latents_BCFHW: Tensor, level: Tensor) -> Tensor:
        """The flow ε - x0 that the transformer's prediction at noise level `level` (broadcastable) means."""

    def places(self, latents_CFHW: Tensor, cast: Sequence[str]) -> Sequence[str]:
        """Who or what each place of a frame shows in a finished shot; empty where places have no names."""

    def moments(self, latent_frames: int) -> Sequence[float]:
        """The seconds at which a shot's latent frames stand."""

    def boxes(self, latents_CFHW: Tensor, size: tuple[int, int]) -> NDArray[np.float64] | None:
        """(F, places, 4): left, top, right, bottom of what each place shows, as shares of the picture 0–1,
        all 0 where it shows nothing; None where a place is a part of the frame.
        """

    def looks(self, latents_CFHW: Tensor) -> Looks | None:
        """What each place shows, for telling whether two takes show the same; None where places are parts of
        the frame.
        """

    def frames(
        self, latents_CFHW: Tensor, *, seconds: float, fps: float, size: tuple[int, int]
    ) -> Iterator[Frame]:
        """The shot's frames one after the other."""

    def picture(self, latents_CFHW: Tensor, *, seconds: float, size: tuple[int, int]) -> Frame:
        """One frame from the middle of the shot, quickly, no larger than needed for a glance."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Backbone:
    """A loaded model; `name` is what traces call it."""

    name: str
    transformer: Any
    scheduler: Any
    family: Family
    device: torch.device

    @cached_property
    def parameters(self) -> int:
        """Of the transformer."""
        return sum(weight.numel() for weight in self.transformer.parameters())

    def grid(self, latent_shape: Sequence[int], chunking: Chunking) -> TokenGrid:
        """The tokens of a shot with latents (C, F, H, W)."""
        sides = zip(latent_shape[1:], self.transformer.config.patch_size, strict=True)
        frames, height, width = (side // patch for side, patch in sides)
        return TokenGrid(frames=frames, height=height, width=width, chunking=chunking)

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Rotary cosines and sines of token positions (3, …) in time, height and width."""
        return rotary_angles(self.transformer, *positions)

    def predict(
        self, latents_BCFHW: Tensor, timesteps_B: Tensor, attention: AttentionPass, captions: CaptionStates
    ) -> Tensor:
        """The transformer's output in one pass, in the dtype of the latents."""
        dtype = self.transformer.dtype
        with attending(self.transformer, attention, captions):
            predicted: Tensor = self.transformer(
                self.family.model_input(latents_BCFHW).to(dtype),
                timesteps_B,
                captions.states_BSE.to(dtype),
                return_dict=False,
            )[0]
        return predicted.to(latents_BCFHW.dtype)

    def velocity(
        self, latents_BCFHW: Tensor, timesteps_B: Tensor, attention: AttentionPass, captions: CaptionStates
    ) -> Tensor:
        """The flow ε - x0 at noisy latents."""
        predicted = self.predict(latents_BCFHW, timesteps_B, attention, captions)
        level = timesteps_B / self.scheduler.config.num_train_timesteps
        return self.family.velocity(predicted, latents_BCFHW, level.view(-1, 1, 1, 1, 1))

    @torch.no_grad()
    def read(
        self,
        latents_CFHW: Tensor,
        captions: CaptionStates,
        *,
        chunking: Chunking,
        pooling: Pooling,
        noise: float,
    ) -> TakeMemory:
        """The memory of a finished take, which depends on these arguments alone.

        `noise` is the level σ at which the take is read; the noise is drawn from the latents themselves.
        """
        clean = latents_CFHW.float()
        if noise > 0:
            clean = torch.lerp(clean, draw_noise(clean.shape, _seed_of(clean)), noise)
        attention = ReadingPass(self.grid(clean.shape, chunking), self.angles, pooling, self.device)
        timestep = torch.tensor([noise * self.scheduler.config.num_train_timesteps], device=self.device)
        self.predict(clean[None].to(self.device), timestep, attention, captions)
        return attention.memory()


def stacked(conditional: CaptionStates, unconditional: CaptionStates) -> CaptionStates:
    """Two batches of caption states as one, the shorter padded with states that do not count."""
    both = (conditional, unconditional)
    longest = max(captions.states_BSE.shape[1] for captions in both)
    missing = [longest - captions.states_BSE.shape[1] for captions in both]
    states = [pad(c.states_BSE, (0, 0, 0, more)) for c, more in zip(both, missing, strict=True)]
    if not any(missing) and all(captions.mask_BS is None for captions in both):
        return CaptionStates(states_BSE=torch.cat(states))
    masks = [pad(_mask(c), (0, more), value=False) for c, more in zip(both, missing, strict=True)]
    return CaptionStates(states_BSE=torch.cat(states), mask_BS=torch.cat(masks))


def _mask(captions: CaptionStates) -> Tensor:
    if captions.mask_BS is not None:
        return captions.mask_BS
    states = captions.states_BSE
    return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)


def _seed_of(latents: Tensor) -> int:
    digest = sha256(latents.contiguous().cpu().numpy().tobytes()).digest()
    return int.from_bytes(digest[:7], "big")


def load_backbone(place: str | Path | None = None, device: torch.device | str | None = None) -> Backbone:
    """Loads a pipeline folder or hub model (the embedded one where None); safetensors only, no remote code.

    Raises `ModelNotFound` where there is none, `ModelMismatch` where it is of no family known here.
    """
    source = str(EMBEDDED if place is None else place)
    where = torch.device(device) if device is not None else _best_device()
    match _pipeline_class(source):
        case "AnimaticPipeline":
            return _load_animatic(source, where)
        case "WanPipeline":
            return _load_video(source, where)
        case kind:
            raise ModelMismatch(f"{source} is a {kind}; the engine drives AnimaticPipeline and WanPipeline")


def _best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _pipeline_class(source: str) -> str:
    from diffusers import DiffusionPipeline

    try:
        index = DiffusionPipeline.load_config(source)
    except (OSError, ValueError) as error:
        raise ModelNotFound(
            f"no model at {source}: no model_index.json in such a folder or on the hub"
        ) from error
    return str(index.get("_class_name"))


def _load_animatic(source: str, device: torch.device) -> Backbone:
    from moc_engine.models.animatic.family import AnimaticFamily
    from moc_engine.models.animatic.model import load

    pipeline = load(source).to(device)
    return Backbone(
        name=_name(source),
        transformer=pipeline.transformer.eval(),
        scheduler=pipeline.scheduler,
        family=AnimaticFamily(pipeline),
        device=device,
    )


def _load_video(source: str, device: torch.device) -> Backbone:
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline

    from moc_engine.models.wan.family import VideoFamily

    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    with reading(source):
        pipeline = WanPipeline.from_pretrained(source, dtype=dtype, use_safetensors=True).to(device)
    if pipeline.transformer is None or getattr(pipeline, "transformer_2", None) is not None:
        raise ModelMismatch(
            f"{source} does not denoise with one transformer throughout; the engine drives one"
        )
    shift = pipeline.scheduler.config.get("flow_shift") or pipeline.scheduler.config.get("shift") or 1.0
    return Backbone(
        name=_name(source),
        transformer=pipeline.transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
        family=VideoFamily(pipeline),
        device=device,
    )


def _name(source: str) -> str:
    """A hub model's id; a folder's own name, wherever it lies."""
    if source == str(EMBEDDED):
        return "animatic"
    return Path(source).resolve().name if Path(source).is_dir() else source
