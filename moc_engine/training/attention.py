"""Self-attention over stories that are folded into the batch, one row per shot.

Rows are clean copies, which see their own shot and become memories, and noisy copies, which see
their own shot and what they route to among the memories of strictly earlier shots: one softmax over
both. Gradients flow into the memories, and through the chosen pairs alone.

Shapes: B stories, N shots, L tokens of a shot (frame by frame), H heads, D head width, K chunks of a shot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad, scaled_dot_product_attention

from moc_engine.config import RoutingConfig
from moc_engine.models.wan_transformer import apply_rotary, rotary_angles
from moc_engine.ops.routing import choose_chunks, mask_of


@dataclass(frozen=True, kw_only=True)
class StoryRules:
    """What the shots of a batch may look at.

    `routing` is None for dense attention to all candidates. `candidates` and `pinned` (B, N, N) say which
    shots (last axis) a shot may choose from, and which it must attend to; None: all earlier, and none.
    A `generator` turns on the drop-off and drop-in of `routing`.
    """

    routing: RoutingConfig | None
    candidates: Tensor | None = None
    pinned: Tensor | None = None
    generator: torch.Generator | None = None


@dataclass(frozen=True, kw_only=True)
class Memories:
    """Keys and values of clean shots at their places in the story, (B, H, N, L, D).

    `descriptors` (B, H, N, K, D) are mean keys, float32, rotated or not as the router wants them.
    """

    keys: Tensor
    values: Tensor
    descriptors: Tensor

    @property
    def tokens(self) -> int:
        """Tokens of all shots together."""
        return int(self.keys.shape[2] * self.keys.shape[3])

    def followed_by(self, later: Memories) -> Memories:
        return Memories(
            keys=torch.cat((self.keys, later.keys), dim=2),
            values=torch.cat((self.values, later.values), dim=2),
            descriptors=torch.cat((self.descriptors, later.descriptors), dim=2),
        )

    def before(self, shot: int) -> Memories:
        return Memories(
            keys=self.keys[:, :, :shot],
            values=self.values[:, :, :shot],
            descriptors=self.descriptors[:, :, :shot],
        )


def story_angles(transformer: nn.Module, *, starts: Tensor, frames: int, slots: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (N, L, D / 2) of shots that begin at the token frames `starts` (N)."""
    t = starts.view(-1, 1, 1) + torch.arange(frames, device=starts.device).view(1, -1, 1)
    t = t.expand(-1, -1, slots).reshape(len(starts), -1)
    h = torch.arange(slots, device=starts.device).repeat(frames)
    return rotary_angles(transformer, t, h, torch.zeros_like(h))


def chunk_descriptors(keys_BHNLD: Tensor, *, slots: int, chunking: str) -> Tensor:
    """Mean keys (B, H, N, K, D): of each slot through its shot, or of each frame."""
    by_frame = keys_BHNLD.detach().float().unflatten(3, (-1, slots))
    means: Tensor = by_frame.mean(dim=3 if chunking == "track" else 4)
    return means


def attention_with_memories(
    q_BHLD: Tensor,
    k_BHLD: Tensor,
    v_BHLD: Tensor,
    memories: Memories,
    mask: Tensor | None,
    *,
    own: Tensor | None = None,
) -> Tensor:
    """Attention (B, H, L, D) of a shot's tokens to their own and, in one softmax, to memories.

    `mask` (broadcastable to B, H, L, N · L) says which memory tokens each query attends to, `own` (L, L)
    which of its shot's; None: all.
    """
    keys = torch.cat((k_BHLD, memories.keys.flatten(2, 3)), dim=2)
    values = torch.cat((v_BHLD, memories.values.flatten(2, 3)), dim=2)
    tokens = k_BHLD.shape[2]
    if mask is not None:
        mask = pad(mask, (tokens, 0), value=True)
    if own is not None:
        seen = pad(own, (0, memories.tokens), value=True)
        mask = seen if mask is None else mask & seen
    return scaled_dot_product_attention(q_BHLD, keys, values, attn_mask=mask)


@torch.no_grad()
def story_mask(
    q_BHLD: Tensor, memories: Memories, *, shot: int, slots: int, rules: StoryRules
) -> Tensor | None:
    """Which tokens of `memories`, all shots before `shot`, the rules let its queries attend to; None: all.

    `q_BHLD` is what the router compares with the descriptors; bool (B, H or 1, L or 1, N · L).
    """
    earlier, chunks = memories.descriptors.shape[2:4]
    candidates = None if rules.candidates is None else rules.candidates[:, shot, :earlier]
    pinned = None if rules.pinned is None else rules.pinned[:, shot, :earlier]
    if rules.routing is None:
        if candidates is None:
            return None
        allowed = candidates if pinned is None else candidates | pinned
        return allowed.repeat_interleave(memories.keys.shape[3], dim=1)[:, None, None]
    scores = routing_scores(q_BHLD, memories)
    if candidates is None:
        candidates = torch.ones(len(scores), earlier, dtype=torch.bool, device=scores.device)
    must = None if pinned is None else pinned.repeat_interleave(chunks, dim=1)[:, None, None]
    chosen = choose_chunks(
        scores,
        candidates.repeat_interleave(chunks, dim=1)[:, None, None],
        rules.routing,
        pinned=must,
        generator=rules.generator,
    )
    attended = mask_of(chosen, earlier * chunks)
    return tokens_of_chunks(
        attended if must is None else attended | must, memories, slots=slots, chunking=rules.routing.chunking
    )


def routing_scores(q_BHLD: Tensor, memories: Memories) -> Tensor:
    """Products (B, H, L, N · K) of queries with the chunks' mean keys, in float32."""
    with torch.autocast(q_BHLD.device.type, enabled=False):
        scores: Tensor = q_BHLD.float() @ memories.descriptors.flatten(2, 3).transpose(2, 3)
    return scores


def tokens_of_chunks(attended_BHLC: Tensor, memories: Memories, *, slots: int, chunking: str) -> Tensor:
    """Bool (B, H, L, N · L): the tokens of chunks, frame by frame."""
    earlier, chunks = memories.descriptors.shape[2:4]
    frames = memories.keys.shape[3] // slots
    by_chunk = attended_BHLC.unflatten(-1, (earlier, chunks))
    spread = by_chunk[..., None, :] if chunking == "track" else by_chunk[..., None]
    mask: Tensor = spread.expand(*by_chunk.shape[:-1], frames, slots).flatten(-3)
    return mask


class StoryAttention:
    """Self-attention of a training step: rows are B · (N - 1) clean shots, then B · N noisy ones.

    The clean copy of a story's last shot would be nobody's memory, so there is none. `angles` are those of
    all N shots.
    """

    def __init__(self, *, slots: int, rules: StoryRules, angles: tuple[Tensor, Tensor]) -> None:
        self.slots = slots
        self.rules = rules
        self.cos, self.sin = angles
        self.shots = self.cos.shape[0]

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        shots = self.shots
        clean_rows = len(q_BHLD) // (2 * shots - 1) * (shots - 1)
        q_clean, q_noisy = self._by_story(q_BHLD, clean_rows)
        k_clean, k_noisy = self._by_story(k_BHLD, clean_rows)
        v_clean, v_noisy = self._by_story(v_BHLD, clean_rows)
        q_clean_turned, k_clean_turned = self._turn(q_clean), self._turn(k_clean)
        q_turned, k_turned = self._turn(q_noisy), self._turn(k_noisy)

        clean = scaled_dot_product_attention(q_clean_turned, k_clean_turned, v_clean)
        routing = self.rules.routing
        pool_after = routing is not None and routing.pooling == "after"
        memories = Memories(
            keys=k_clean_turned.transpose(1, 2),
            values=v_clean.transpose(1, 2),
            descriptors=chunk_descriptors(
                (k_clean_turned if pool_after else k_clean).transpose(1, 2),
                slots=self.slots,
                chunking="track" if routing is None else routing.chunking,
            ),
        )
        routing_q = q_turned if pool_after else q_noisy
        noisy = [
            scaled_dot_product_attention(q_turned[:, 0], k_turned[:, 0], v_noisy[:, 0]),
            *(
                attention_with_memories(
                    q_turned[:, shot],
                    k_turned[:, shot],
                    v_noisy[:, shot],
                    memories.before(shot),
                    story_mask(
                        routing_q[:, shot],
                        memories.before(shot),
                        shot=shot,
                        slots=self.slots,
                        rules=self.rules,
                    ),
                )
                for shot in range(1, shots)
            ),
        ]
        return torch.cat((clean.flatten(0, 1), torch.stack(noisy, dim=1).flatten(0, 1)))

    def _by_story(self, x_BHLD: Tensor, clean_rows: int) -> tuple[Tensor, Tensor]:
        """(B, N - 1, H, L, D) of the clean rows and (B, N, H, L, D) of the noisy ones."""
        return (
            x_BHLD[:clean_rows].unflatten(0, (-1, self.shots - 1)),
            x_BHLD[clean_rows:].unflatten(0, (-1, self.shots)),
        )

    def _turn(self, x_BNHLD: Tensor) -> Tensor:
        shots = x_BNHLD.shape[1]
        return apply_rotary(x_BNHLD, self.cos[:shots, None], self.sin[:shots, None])


@contextmanager
def differentiable_attention(device: torch.device) -> Iterator[None]:
    """Spells attention out on a CPU, where the fused kernel's backward takes several times as long."""
    if device.type != "cpu":
        yield
        return
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)
