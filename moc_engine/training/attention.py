"""Self-attention over stories that are folded into the batch, one row per shot.

Rows are clean copies, which attend to their own shot and become memories, and noisy copies, which attend in
one softmax to their own shot and to the chunks they select among the memories of earlier shots. Gradients
flow into the memories, through the selected pairs only. Routed attention is computed by the backends of
`moc_engine.ops.registry`, as in a render.

Shapes: B stories, N shots, L tokens of a shot (frame by frame), H heads, D head width, K chunks of a shot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad, scaled_dot_product_attention

from moc_engine.config import RoutingConfig
from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.backend import Need, Work
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.registry import choose_backend
from moc_engine.ops.rotary import apply_rotary
from moc_engine.ops.selection import mask_of


@dataclass(frozen=True, kw_only=True)
class StoryRules:
    """What the shots of a batch may attend to.

    `routing` is None for dense attention to all candidates. `candidates` and `pinned` (B, N, N) say which
    shots (last axis) a shot may select from, and which it must attend to; None: all earlier ones, and none.
    A `generator` enables the drop-off and drop-in of `routing`.
    """

    routing: RoutingConfig | None
    candidates: Tensor | None = None
    pinned: Tensor | None = None
    generator: torch.Generator | None = None

    @cached_property
    def most_pinned(self) -> list[int]:
        """How many earlier shots a story pins at most, for each shot; read from the device once a step."""
        if self.pinned is None:
            return []
        most: list[int] = self.pinned.tril(-1).sum(dim=-1).amax(dim=0).tolist()
        return most


@dataclass(frozen=True, kw_only=True)
class Memories:
    """Keys and values of clean shots in story order, (B, H, N, L, D), rotated to their positions.

    `descriptors` (B, H, N, K, D) are mean keys in float32, rotated or not as the pooling says.
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
    """Cosines and sines (N, L, D / 2) for shots that begin at the token frames `starts` (N)."""
    t = starts.view(-1, 1, 1) + torch.arange(frames, device=starts.device).view(1, -1, 1)
    t = t.expand(-1, -1, slots).reshape(len(starts), -1)
    h = torch.arange(slots, device=starts.device).repeat(frames)
    return rotary_angles(transformer, t, h, torch.zeros_like(h))


def chunk_descriptors(keys_BHNLD: Tensor, *, slots: int, chunking: str) -> Tensor:
    """Mean keys (B, H, N, K, D) of each slot of a shot (chunking "track") or of each frame."""
    by_frame = keys_BHNLD.detach().float().unflatten(3, (-1, slots))
    means: Tensor = by_frame.mean(dim=3 if chunking == "track" else 4)
    return means


def routed_attention(
    q_BHLD: Tensor,
    k_BHLD: Tensor,
    v_BHLD: Tensor,
    memories: Memories,
    chosen_BHLK: Tensor,
    *,
    slots: int,
    routing: RoutingConfig,
) -> Tensor:
    """Attention (B, H, L, D) of a shot's tokens to all of their own and to the chosen chunks of memories.

    `chosen_BHLK` are chunk numbers, -1 for none. The backend is the one that a render with the same needs
    would get from the registry.
    """
    device = q_BHLD.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else q_BHLD.dtype
    history = (
        chunk_by_chunk(x, slots=slots, chunking=routing.chunking) for x in (memories.keys, memories.values)
    )
    q, k, v, past_k, past_v = (x.to(dtype) for x in (q_BHLD, k_BHLD, v_BHLD, *history))
    shots, chunks = memories.descriptors.shape[2:4]
    offsets = np.arange(shots * chunks + 1) * (memories.tokens // (shots * chunks))
    work = Work(
        rows=q.shape[0] * q.shape[1],
        tokens=q.shape[2],
        top_k=chosen_BHLK.shape[-1],
        head_size=q.shape[3],
        history_offsets=offsets,
    )
    backend = choose_backend(
        routing.backend,
        Need(
            form="history",
            device=device,
            dtype=dtype,
            history_device=past_k.device.type,
            gradients=torch.is_grad_enabled(),
            work=work,
        ),
    ).backend
    assert backend.over_history is not None
    with torch.autocast(device, enabled=False):
        out, _ = backend.over_history(q, k, v, past_k, past_v, offsets, chosen_BHLK)
    return out


def chunk_by_chunk(x_BHNLD: Tensor, *, slots: int, chunking: str) -> Tensor:
    """Memory tokens (B, H, N · L, D) in the order of their chunks; they are stored frame by frame."""
    by_frame = x_BHNLD.unflatten(3, (-1, slots))
    ordered: Tensor = (by_frame.transpose(3, 4) if chunking == "track" else by_frame).flatten(2, 4)
    return ordered


def dense_attention(
    q_BHLD: Tensor,
    k_BHLD: Tensor,
    v_BHLD: Tensor,
    memories: Memories,
    mask: Tensor | None = None,
    *,
    own: Tensor | None = None,
) -> Tensor:
    """Attention (B, H, L, D) of a shot's tokens to their own and, in one softmax, to memories.

    `mask` (broadcastable to B, H, L, N · L) says which memory tokens each query attends to, `own` (L, L)
    which of its own shot; None: all.
    """
    keys = torch.cat((k_BHLD, memories.keys.flatten(2, 3)), dim=2)
    values = torch.cat((v_BHLD, memories.values.flatten(2, 3)), dim=2)
    if mask is not None:
        mask = pad(mask, (k_BHLD.shape[2], 0), value=True)
    if own is not None:
        attended = pad(own, (0, memories.tokens), value=True)
        mask = attended if mask is None else mask & attended
    return scaled_dot_product_attention(q_BHLD, keys, values, attn_mask=mask)


def choose_memories(
    q_BHLD: Tensor, memories: Memories, routing: RoutingConfig, *, shot: int, rules: StoryRules
) -> Tensor:
    """The chunks (B, H, L, K) of `memories`, all shots before `shot`, that queries attend to; -1 for none.

    `q_BHLD` are the routing queries, rotated or not as the descriptors are.
    """
    earlier, chunks = memories.descriptors.shape[2:4]
    shots = torch.ones(len(q_BHLD), earlier, dtype=torch.bool, device=q_BHLD.device)
    if rules.candidates is not None:
        shots = rules.candidates[:, shot, :earlier]
    candidates_BC = shots.repeat_interleave(chunks, dim=1)
    pinned_BC = None
    if rules.pinned is not None:
        pinned_BC = rules.pinned[:, shot, :earlier].repeat_interleave(chunks, dim=1)
        candidates_BC = candidates_BC & ~pinned_BC
    chosen = route_queries(
        q_BHLD,
        memories.descriptors.flatten(2, 3),
        ChunkRules(candidates=candidates_BC[:, None]),
        routing,
        generator=rules.generator,
    )
    if pinned_BC is None:
        return chosen
    return with_pinned(chosen, pinned_BC, most=rules.most_pinned[shot] * chunks)


def with_pinned(chosen_BHLK: Tensor, pinned_BC: Tensor, *, most: int | None = None) -> Tensor:
    """The chosen chunks followed by the pinned ones of each story, -1 for none.

    `most` is how many a story pins at most; None: they are counted, for which the device is waited for.
    """
    if most is None:
        most = int(pinned_BC.sum(dim=-1).max())
    first = pinned_BC.int().argsort(dim=-1, descending=True, stable=True)[:, :most]
    pins = first.masked_fill(~pinned_BC.gather(-1, first), -1)
    return torch.cat((chosen_BHLK, pins[:, None, None].expand(*chosen_BHLK.shape[:3], most)), dim=-1)


def dense_mask(memories: Memories, *, shot: int, rules: StoryRules) -> Tensor | None:
    """Which memory tokens (B, 1, 1, N · L) a shot may attend to without routing; None: all."""
    if rules.candidates is None:
        return None
    earlier, tokens = memories.keys.shape[2:4]
    allowed = rules.candidates[:, shot, :earlier]
    if rules.pinned is not None:
        allowed = allowed | rules.pinned[:, shot, :earlier]
    return allowed.repeat_interleave(tokens, dim=1)[:, None, None]


def tokens_of_chunks(chosen_BHLK: Tensor, memories: Memories, *, slots: int, chunking: str) -> Tensor:
    """Bool (B, H, L, N · L): which memory tokens belong to the chosen chunks."""
    earlier, chunks = memories.descriptors.shape[2:4]
    frames = memories.keys.shape[3] // slots
    by_chunk = mask_of(chosen_BHLK, earlier * chunks).unflatten(-1, (earlier, chunks))
    spread = by_chunk[..., None, :] if chunking == "track" else by_chunk[..., None]
    mask: Tensor = spread.expand(*by_chunk.shape[:-1], frames, slots).flatten(-3)
    return mask


class StoryAttention:
    """Self-attention of a training step: rows are B · (N - 1) clean shots, then B · N noisy ones.

    The last shot of a story has no clean copy, since no later shot reads its memory. `angles` are for all N
    shots.
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
        q_clean_rotated, k_clean_rotated = self._rotate(q_clean), self._rotate(k_clean)
        q_rotated, k_rotated = self._rotate(q_noisy), self._rotate(k_noisy)

        clean = scaled_dot_product_attention(q_clean_rotated, k_clean_rotated, v_clean)
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
        routing_q = q_rotated if pool_after else q_noisy
        noisy = [scaled_dot_product_attention(q_rotated[:, 0], k_rotated[:, 0], v_noisy[:, 0])]
        for shot in range(1, shots):
            past = memories.before(shot)
            own = q_rotated[:, shot], k_rotated[:, shot], v_noisy[:, shot]
            if routing is None:
                noisy.append(dense_attention(*own, past, dense_mask(past, shot=shot, rules=self.rules)))
                continue
            chosen = choose_memories(routing_q[:, shot], past, routing, shot=shot, rules=self.rules)
            noisy.append(routed_attention(*own, past, chosen, slots=self.slots, routing=routing))
        return torch.cat((clean.flatten(0, 1), torch.stack(noisy, dim=1).flatten(0, 1)))

    def _by_story(self, x_BHLD: Tensor, clean_rows: int) -> tuple[Tensor, Tensor]:
        """The clean rows as (B, N - 1, H, L, D) and the noisy rows as (B, N, H, L, D)."""
        return (
            x_BHLD[:clean_rows].unflatten(0, (-1, self.shots - 1)),
            x_BHLD[clean_rows:].unflatten(0, (-1, self.shots)),
        )

    def _rotate(self, x_BNHLD: Tensor) -> Tensor:
        shots = x_BNHLD.shape[1]
        return apply_rotary(x_BNHLD, self.cos[:shots, None], self.sin[:shots, None])


@contextmanager
def differentiable_attention(device: torch.device) -> Iterator[None]:
    """Uses unfused attention on a CPU, where the fused kernel's backward pass is several times slower."""
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
