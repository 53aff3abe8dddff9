"""Drives the transformers of Wan VACE, whose blocks are given hints by layers of their own.

    control ─► VACE layers ─► a hint for every few blocks, added to their output

The blocks are those of Wan: their self-attention is the engine's, and reads the history of earlier shots. The
VACE layers read the control of the shot that is denoised, and attend to that shot alone, by the attention of
diffusers and as in its pipeline; nothing of them is remembered. Tokens of reference pictures stand before the
shot's, at negative times. They are extra tokens of its sequence: keys for all of the shot, and queries of
that shot alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from moc_engine.models.base import (
    AttentionPass,
    CaptionStates,
    ExtraTokens,
    JointAttentionPass,
    ShotCondition,
)
from moc_engine.models.wan_adapter import WanAdapter
from moc_engine.models.wan_transformer import attending
from moc_engine.ops.rotary import rotate_pairs


class VaceAdapter(WanAdapter):
    """A `WanVACETransformer3DModel`, whose every run is given a control."""

    def __init__(self, transformer: Any) -> None:
        super().__init__(transformer)
        self._turns: tuple[tuple[object, ...], Tensor] | None = None

    @property
    def blocks(self) -> Sequence[Any]:
        return [*self.transformer.blocks, *self.transformer.vace_blocks]

    def caption_key_bytes(self, captions: CaptionStates) -> int:
        return super().caption_key_bytes(captions) * len(self.blocks) // self.layers

    def attending(
        self,
        attention: AttentionPass,
        captions: CaptionStates,
        condition: ShotCondition,
        *,
        compiled: bool = False,
    ) -> AbstractContextManager[None]:
        used = attention
        if condition.references_BCFHW is not None:
            assert isinstance(attention, JointAttentionPass), "the pass attends to pictures as well"
            used = _BesidePictures(attention, self._turns_of(condition.references_BCFHW))
        beside = self.transformer.vace_blocks
        return attending(self.transformer, used, captions, compiled=compiled, beside=beside)

    def run(
        self,
        inputs_BCFHW: Tensor,
        timesteps_B: Tensor,
        captions: CaptionStates,
        condition: ShotCondition,
    ) -> Tensor:
        assert condition.control_BCFHW is not None, "each shot has a control"
        rows, dtype = len(inputs_BCFHW), self.transformer.dtype
        layers = len(self.transformer.config.vace_layers)
        control = condition.control_BCFHW.to(dtype).expand(rows, -1, -1, -1, -1)
        predicted: Tensor = self.transformer(
            inputs_BCFHW.to(dtype),
            timesteps_B,
            captions.states_BSE.to(dtype),
            control_hidden_states=control,
            control_hidden_states_scale=control.new_full((layers,), condition.control_scale),
            return_dict=False,
        )[0]
        return predicted

    def _turns_of(self, references_BCFHW: Tensor) -> Tensor:
        """The rotations (T, D / 2) of tokens of reference pictures, one picture a frame, up to time -1."""
        _, _, pictures, *sides = references_BCFHW.shape
        height, width = (side // over for side, over in zip(sides, self.patch[1:], strict=True))
        asked = (pictures, height, width, references_BCFHW.device)
        if self._turns is None or self._turns[0] != asked:
            device = references_BCFHW.device
            axes = (torch.arange(-pictures, 0), torch.arange(height), torch.arange(width))
            positions = torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")])
            self._turns = asked, torch.complex(*self.angles(positions.to(device)))
        return self._turns[1]


class _BesidePictures:
    """A pass for sequences that begin with the tokens of reference pictures, which come rotated to it."""

    def __init__(self, attention: JointAttentionPass, turns_TD: Tensor) -> None:
        self._attention = attention
        self._turns = turns_TD

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        cut = [len(self._turns)]
        (extra_q, q), (extra_k, k), (extra_v, v) = (
            x.tensor_split(cut, dim=2) for x in (q_BHLD, k_BHLD, v_BHLD)
        )
        extra = ExtraTokens(
            q_BHSD=rotate_pairs(extra_q, self._turns),
            k_BHSD=rotate_pairs(extra_k, self._turns),
            v_BHSD=extra_v,
        )
        out, of_extra = self._attention.attend_jointly(layer, q, k, v, extra)
        return torch.cat((of_extra, out), dim=2)
