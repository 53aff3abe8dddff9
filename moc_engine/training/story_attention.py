"""Self-attention over stories that are folded into the batch, one row per shot.

Rows are clean copies, which attend to their own shot and become memories, and noisy copies, which attend in
one softmax to their own shot and to the chunks they select among the memories of earlier shots.

Shapes: B stories, N shots, M of which are noisy, L tokens of a shot (frame by frame), H heads, D head width,
K chunks of a shot.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.layout import VIDEO, ChunkLayout
from moc_engine.ops.rotary import apply_rotary
from moc_engine.ops.routers.router import Choice, LearnedRouter, RoutingRequest
from moc_engine.training.attention import dense_attention, own_attention, routed_attention, scored_attention
from moc_engine.training.memories import Memories, chunk_by_chunk, chunk_descriptors
from moc_engine.training.memory_choice import choose_memories, eligible_chunks
from moc_engine.training.story_rules import StoryRules


class StoryAttention:
    """Self-attention of a training step: rows are B · C clean shots, then B · M noisy ones.

    Noisy are the shots `denoised` (None: all N), in ascending order. Clean copies are there of the C shots
    before the last of them: no noisy shot reads the memory of a later one. `angles` are for all N shots. A
    `learned` router chooses in MoC's place; `time_RE` embeds the noise levels of the noisy rows for it.
    """

    def __init__(
        self,
        *,
        slots: int,
        rules: StoryRules,
        angles: tuple[Tensor, Tensor],
        denoised: Sequence[int] | None = None,
        learned: LearnedRouter | None = None,
        time_RE: Tensor | None = None,
    ) -> None:
        self.slots = slots
        self.rules = rules
        self.cos, self.sin = angles
        self.denoised = tuple(range(len(self.cos))) if denoised is None else tuple(denoised)
        self.later = tuple(shot for shot in self.denoised if shot > 0)
        self.clean = self.denoised[-1]
        self.learned = learned
        self.time_RE = time_RE

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        q_clean, q_noisy = self._by_story(q_BHLD)
        k_clean, k_noisy = self._by_story(k_BHLD)
        v_clean, v_noisy = self._by_story(v_BHLD)
        q_rotated, k_rotated = (self._rotate(x, self.denoised) for x in (q_noisy, k_noisy))
        outs = []
        if self.later != self.denoised:
            outs.append(own_attention(q_rotated[:, 0], k_rotated[:, 0], v_noisy[:, 0])[:, None])
        if not self.later:
            return outs[0].flatten(0, 1)

        q_clean_rotated, k_clean_rotated = (self._rotate(x, range(self.clean)) for x in (q_clean, k_clean))
        q, k, v = (x.flatten(0, 1) for x in (q_clean_rotated, k_clean_rotated, v_clean))
        clean = own_attention(q, k, v)  # no fused kernel takes five dimensions
        routing = self.rules.routing
        pool_after = routing is not None and routing.pooling == "after"
        memories = Memories(
            keys=k_clean_rotated.transpose(1, 2),
            values=v_clean.transpose(1, 2),
            descriptors=chunk_descriptors(
                (k_clean_rotated if pool_after else k_clean).transpose(1, 2),
                slots=self.slots,
                chunking="track" if routing is None else routing.chunking,
            ),
        )
        later = slice(len(self.denoised) - len(self.later), None)
        q, k, v = (x[:, later].flatten(0, 1) for x in (q_rotated, k_rotated, v_noisy))
        if routing is None:
            out = self._dense(q, k, v, memories)
        elif self.learned is not None:
            pooled = (q_rotated, k_rotated) if pool_after else (q_noisy, k_noisy)
            routing_qk = tuple(x[:, later].flatten(0, 1) for x in pooled)
            out = self._by_router(self.learned, layer, routing_qk, (q, k, v), memories)
        else:
            chosen = choose_memories(
                (q_rotated if pool_after else q_noisy)[:, later],
                memories,
                routing,
                self.rules,
                shots=self.later,
                generator=self.rules.generator(layer),
            ).flatten(0, 1)
            out = routed_attention(q, k, v, memories, chosen, slots=self.slots, routing=routing)
        outs.append(out.unflatten(0, (-1, len(self.later))))
        return torch.cat((clean, torch.cat(outs, dim=1).flatten(0, 1)))

    def _dense(self, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor, memories: Memories) -> Tensor:
        """Attention of all shots but the first to their own tokens and to all that they may choose."""
        tokens, chunks = memories.keys.shape[3], memories.descriptors.shape[3]
        candidates, pinned = eligible_chunks(
            memories, self.rules, stories=len(memories.keys), shots=self.later
        )
        attended = (candidates | pinned)[..., ::chunks]
        q, k, v = (x.unflatten(0, (-1, len(self.later))) for x in (q_BHLD, k_BHLD, v_BHLD))
        outs = []
        for nth, shot in enumerate(self.later):
            mask = attended[:, nth, :shot].repeat_interleave(tokens, dim=-1)[:, None, None]
            outs.append(dense_attention(q[:, nth], k[:, nth], v[:, nth], memories.before(shot), mask))
        return torch.stack(outs, dim=1).flatten(0, 1)

    def _by_router(
        self,
        router: LearnedRouter,
        layer: int,
        routing_qk: tuple[Tensor, ...],
        rotated_qkv: tuple[Tensor, Tensor, Tensor],
        memories: Memories,
    ) -> Tensor:
        """Attention of all shots but the first to their own tokens and to what a learned router chooses."""
        routing, (q, k, v) = self.rules.routing, rotated_qkv
        assert routing is not None
        shared = memories.repeated(len(self.later))
        chunks = memories.descriptors.shape[3]
        count = memories.descriptors.shape[2] * chunks
        candidates, pinned = (
            x.flatten(0, 1)
            for x in eligible_chunks(memories, self.rules, stories=len(memories.keys), shots=self.later)
        )
        history = partial(chunk_by_chunk, slots=self.slots, chunking=routing.chunking)
        token = torch.arange(q.shape[2], device=q.device)
        request = RoutingRequest(
            q_BHLD=routing_qk[0],
            own_k_BHLD=routing_qk[1],
            means_BHCD=shared.descriptors.flatten(2, 3),
            layout=ChunkLayout(
                np.arange(count + 1) * (memories.tokens // count),
                np.arange(count) // chunks,
                np.full(count, VIDEO),
            ),
            shot=self.clean,
            candidates_BC=candidates & ~pinned,
            own_chunk_L=token % self.slots if routing.chunking == "track" else token // self.slots,
            routing=routing,
            rotated=lambda: (q, k, history(shared.keys)),
            values=lambda: (v, history(shared.values)),
            time_BE=self._times(),
            layer=layer,
        )
        must_BT = pinned.repeat_interleave(memories.tokens // count, dim=1)

        def attend(choice: Choice) -> Tensor:
            assert choice.scores_BHLT is not None
            scores = choice.scores_BHLT.masked_fill(must_BT[:, None, None], 0.0)
            return scored_attention(q, k, v, shared, scores, slots=self.slots, chunking=routing.chunking)

        return router.mix(request, attend)

    def _times(self) -> Tensor | None:
        """The embedded noise levels of all noisy shots but the first of a story."""
        if self.time_RE is None:
            return None
        by_story = self.time_RE.reshape(-1, len(self.denoised), self.time_RE.shape[-1])
        return by_story[:, len(self.denoised) - len(self.later) :].flatten(0, 1)

    def _by_story(self, x_BHLD: Tensor) -> tuple[Tensor, Tensor]:
        """The clean rows as (B, C, H, L, D) and the noisy rows as (B, M, H, L, D)."""
        stories = len(x_BHLD) // (self.clean + len(self.denoised))
        clean, noisy = x_BHLD.tensor_split([stories * self.clean])
        return clean.unflatten(0, (stories, self.clean)), noisy.unflatten(0, (stories, len(self.denoised)))

    def _rotate(self, x_BNHLD: Tensor, shots: Sequence[int]) -> Tensor:
        cos, sin = (x[list(shots), None] for x in (self.cos, self.sin))
        return apply_rotary(x_BNHLD, cos, sin)


def story_angles(
    transformer: nn.Module, *, starts: Tensor, frames: int, height: int, width: int = 1
) -> tuple[Tensor, Tensor]:
    """Cosines and sines (N, L, D / 2) for shots that begin at the token frames `starts` (N).

    A frame has `height` × `width` tokens, row by row.
    """
    sides = (torch.arange(side, device=starts.device) for side in (frames, height, width))
    t, h, w = (axis.flatten() for axis in torch.meshgrid(*sides, indexing="ij"))
    return rotary_angles(transformer, starts.view(-1, 1) + t, h, w)
