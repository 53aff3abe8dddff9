"""What a model family must provide, and what it may provide besides.

A family knows how captions are encoded and how latents become frames; the transformer and the denoising loop
are the same for all. `Family` is required. The other protocols are optional capabilities: the engine asks
for each with `isinstance` and does without where a family lacks it.

Shapes: B batch, C channels, F latent frames, H and W latent sides, S text states, E width of the states;
latents of one shot are (C, F, H, W). A slot is one token position of a frame, through all frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from moc_engine.abilities import Ability
from moc_engine.config import MemoryConfig, RoutingConfig, SamplerConfig
from moc_engine.models.caption_limit import LeftOut

if TYPE_CHECKING:
    from moc_engine.clip import Frame  # which needs the package av


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptionStates:
    """The text encoder's states of captions, (B, S, E), and a mask of those that count (None: all).

    `pooled_BE` are vectors of whole captions, by a second text encoder, for models that have one.
    `kept` holds, if anything, keys and values (B, H, S, D) of the states, by the attention module that
    projects them: they are the same at every step of a render.
    """

    states_BSE: Tensor
    mask_BS: Tensor | None = None
    pooled_BE: Tensor | None = None
    kept: dict[Any, tuple[Tensor, Tensor]] | None = None

    def first(self, rows: int) -> CaptionStates:
        """Those of the first `rows` entries of the batch, which share what is kept."""
        if rows == len(self.states_BSE):
            return self
        mask = None if self.mask_BS is None else self.mask_BS[:rows]
        pooled = None if self.pooled_BE is None else self.pooled_BE[:rows]
        return replace(self, states_BSE=self.states_BSE[:rows], mask_BS=mask, pooled_BE=pooled)

    def with_kept_keys(self) -> CaptionStates:
        """The same captions, whose keys and values are kept from now on: for use without gradients."""
        return replace(self, kept={})


def stacked(conditional: CaptionStates, unconditional: CaptionStates) -> CaptionStates:
    """Two batches of caption states as one; the shorter is padded with states that do not count.

    Pooled vectors are not stacked: models that have them run one caption after the other.
    """
    assert conditional.pooled_BE is None
    assert unconditional.pooled_BE is None
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


@dataclass(frozen=True, kw_only=True, eq=False)
class ShotCondition:
    """What a transformer is given of a shot beside its noise and its captions, a batch of one.

    `channels_BCFHW` stand beside the latents in its input; `states_BIE` are those of an image encoder;
    `first_BCFHW` are clean latents of the first latent frames, which take the place of the noisy ones.
    `control_BCFHW` is what layers of their own make hints of, which are added to the blocks' outputs times
    `control_scale`. `references_BCFHW` are clean latents of pictures, one latent frame each: so many further
    frames stand before the shot's in its sequence, and in the control, are denoised with it and dropped.
    """

    channels_BCFHW: Tensor | None = None
    states_BIE: Tensor | None = None
    first_BCFHW: Tensor | None = None
    control_BCFHW: Tensor | None = None
    control_scale: float = 1.0
    references_BCFHW: Tensor | None = None

    @property
    def references(self) -> int:
        """The latent frames that stand before the shot's."""
        return 0 if self.references_BCFHW is None else self.references_BCFHW.shape[2]

    def to(self, device: torch.device) -> ShotCondition:
        """The same condition on a device."""
        tensors: dict[str, Any] = {
            name: x.to(device) for name, x in vars(self).items() if isinstance(x, Tensor)
        }
        return replace(self, **tensors)

    def over(self, latents_BCFHW: Tensor) -> Tensor:
        """The latents with the clean first ones in their place."""
        if self.first_BCFHW is None:
            return latents_BCFHW
        first = self.first_BCFHW.to(latents_BCFHW.dtype).expand(len(latents_BCFHW), -1, -1, -1, -1)
        return torch.cat((first, latents_BCFHW[:, :, first.shape[2] :]), dim=2)


class AttentionPass(Protocol):
    """Replaces self-attention during one run of the transformer; holds the state of that run."""

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        """A layer's output (B, H, L, D) from projections in the model's token order, not rotated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ExtraTokens:
    """Projections (B, H, S, D) of a sequence's tokens that are none of the shot's frames.

    Captions have no rotary embedding; reference pictures come rotated to their own time.
    """

    q_BHSD: Tensor
    k_BHSD: Tensor
    v_BHSD: Tensor


@runtime_checkable
class JointAttentionPass(AttentionPass, Protocol):
    """One that also attends for models whose sequence holds more than the shot's frames."""

    def attend_jointly(
        self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor, extra: ExtraTokens
    ) -> tuple[Tensor, Tensor]:
        """As `attend`, with the extra tokens among the shot's own keys; also the output of those.

        They attend to the shot and to themselves alone (B, H, S, D). Every one of them counts.
        """


class Family(Protocol):
    """What every family provides: caption states, latent shapes, frames, and its default settings.

    `negative_prompt` is that of requests which have none; `abilities` says what the loaded model can do.
    """

    routing: RoutingConfig
    sampler: SamplerConfig
    memory: MemoryConfig
    negative_prompt: str
    abilities: frozenset[Ability]

    def latent_shape(self, seconds: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(C, F, H, W) of a shot of this length and size (width, height)."""

    def captions(self, global_caption: str, caption: str, cast: Sequence[str]) -> CaptionStates:
        """The states of the global caption and of the shot's own caption, a batch of one."""

    def model_input(self, latents_BCFHW: Tensor) -> Tensor:
        """The latents with the constant channels that the transformer expects, if any."""

    def velocity(self, predicted_BCFHW: Tensor, latents_BCFHW: Tensor, level: Tensor) -> Tensor:
        """The flow ε - x0 for the transformer's prediction at noise level `level` (broadcastable)."""

    def moments(self, latent_frames: int) -> Sequence[float]:
        """The time of each latent frame in seconds."""

    def frames(
        self, latents_CFHW: Tensor, *, seconds: float, fps: float, size: tuple[int, int]
    ) -> Iterator[Frame]:
        """The shot's frames in order, each an array of its own: it is encoded while the next is made."""

    def picture(self, latents_CFHW: Tensor, *, seconds: float, size: tuple[int, int]) -> Frame:
        """One frame from the middle of the shot as a quick preview, no larger than needed."""


@runtime_checkable
class NamesSlots(Protocol):
    """A family whose slots are objects with names."""

    def slot_names(self, latents_CFHW: Tensor, cast: Sequence[str]) -> Sequence[str]:
        """Who or what each slot of a finished shot shows."""


@runtime_checkable
class LocatesSlots(Protocol):
    """A family that knows where in the picture a slot's object is."""

    def boxes(self, latents_CFHW: Tensor, size: tuple[int, int]) -> NDArray[np.float64]:
        """(F, slots, 4): left, top, right, bottom as shares of the picture (0–1); all 0 where hidden."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Looks:
    """`vectors` (slots, D) describe what the slots look like, NaN where a slot shows nothing.

    Slots of the same kind whose vectors are `visible` or more apart (Euclidean) look different.
    """

    vectors: NDArray[np.float64]
    visible: float


@runtime_checkable
class ComparesLooks(Protocol):
    """A family that can tell whether two slots look the same."""

    def looks(self, latents_CFHW: Tensor) -> Looks:
        """The looks of a finished shot's slots."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ShotPictures:
    """The pictures that a shot is made from, as far as there are any.

    `first` is its first frame; `control` a clip that its frames follow, as many as the model makes, with the
    scale of what is made of them; `references` show whom the shot shows.
    """

    first: Frame | None = None
    control: Sequence[Frame] | None = None
    control_scale: float = 1.0
    references: Sequence[Frame] = ()


@runtime_checkable
class TakesPictures(Protocol):
    """A family whose shots may be made from pictures, and must from a first frame if `needs_first_frame`."""

    needs_first_frame: bool

    def condition(self, pictures: ShotPictures, shape: Sequence[int]) -> ShotCondition | None:
        """The condition of a shot with latents of this shape (C, F, H, W); None where it needs none."""

    def own_condition(self, latents_CFHW: Tensor) -> ShotCondition | None:
        """The condition of a finished shot that is read again, which depends on its latents alone."""


@runtime_checkable
class EncodesFrames(Protocol):
    """A family that turns frames into latents, for video-to-video."""

    def frames_needed(self, shape: Sequence[int]) -> tuple[int, float]:
        """How many frames latents of this shape (C, F, H, W) stand for, and how many a second."""

    def encoded(self, frames: Sequence[Frame], shape: Sequence[int]) -> Tensor:
        """The latents (C, F, H, W) of so many frames, each resized as needed."""

    def ended_by(self, check: Callable[[], None]) -> AbstractContextManager[None]:
        """Within the context `check` is called often while frames are encoded; what it raises ends that."""


@runtime_checkable
class LimitsCaptions(Protocol):
    """A family that reads captions up to a length."""

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        """How much of the global caption and of a shot's own is not read."""


@runtime_checkable
class FindsNames(Protocol):
    """A family that knows which text states stand for a cast member's name."""

    def mentions(self, global_caption: str, caption: str, cast: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """Cast member -> indices among the states of `captions`, for those the shot's own caption names."""


@runtime_checkable
class KnowsTrainedLength(Protocol):
    """A family that knows how long the shots were that its models were trained on."""

    trained_frames: int
    """Frames of tokens."""
