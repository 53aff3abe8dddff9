"""What the engine needs of a transformer: one adapter for each kind of architecture.

Shapes: B batch, C channels, F latent frames, H and W latent sides, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor

from moc_engine.models.base import AttentionPass, CaptionStates, ShotCondition


class TransformerAdapter(Protocol):
    """Drives one transformer of diffusers with the engine's attention in place of its own."""

    @property
    def transformer(self) -> Any:
        """The transformer itself."""

    @property
    def layers(self) -> int:
        """How many layers of self-attention there are, numbered from 0 in the order in which they run."""

    @property
    def heads(self) -> int:
        """The heads of each layer."""

    @property
    def patch(self) -> tuple[int, int, int]:
        """The latents of a token in time, height and width."""

    @property
    def blocks(self) -> Sequence[Any]:
        """The blocks, which can be compiled one by one."""

    @property
    def batches_captions(self) -> bool:
        """Whether captions of several lengths can be one batch; else each is run by itself."""

    @property
    def caption_backend(self) -> str:
        """What attends to captions, for the trace."""

    @property
    def dense_backend(self) -> str:
        """The attention backend of diffusers by which a shot attends to itself, without a history."""

    def caption_key_bytes(self, captions: CaptionStates) -> int:
        """The bytes of the captions' keys and values in all layers, as far as they can be kept."""

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Rotary cosines and sines (…, D / 2) of token positions (3, …) in time, height and width."""

    def attending(
        self,
        attention: AttentionPass,
        captions: CaptionStates,
        condition: ShotCondition,
        *,
        compiled: bool = False,
    ) -> AbstractContextManager[None]:
        """Within the context the transformer attends by `attention`, and to `captions` alone.

        Its runs must be given this condition.
        """

    def run(
        self,
        inputs_BCFHW: Tensor,
        timesteps_B: Tensor,
        captions: CaptionStates,
        condition: ShotCondition,
    ) -> Tensor:
        """The transformer's output, within `attending`. The clean latents of the condition are in place."""
