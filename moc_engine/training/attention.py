"""Self-attention over stories that are folded into the batch, one row per shot.

Rows are clean copies, which attend to their own shot and become memories, and noisy copies, which attend in
one softmax to their own shot and to the chunks they select among the memories of earlier shots. Gradients
flow into the memories, through the selected pairs only. Routed attention is computed by the backends of
`moc_engine.ops.registry`, as in a render.

Shapes: B stories, N shots, M of which are noisy, L tokens of a shot (frame by frame), H heads, D head width,
K chunks of a shot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad, scaled_dot_product_attention

from moc_engine.config import RoutingConfig
from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.backend import Need, Work
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.layout import VIDEO, ChunkLayout, Ints
from moc_engine.ops.registry import choose_backend
from moc_engine.ops.rotary import apply_rotary
from moc_engine.ops.routers.router import Choice, LearnedRouter, RoutingRequest
from moc_engine.ops.selection import mask_of


@dataclass(frozen=True, kw_only=True)
class StoryRules:
    """What the shots of a batch may attend to.

    `routing` is None for dense attention to all candidates. `candidates` and `pinned` (B, N, N) say which
    shots (last axis) a shot may select from, and which it must attend to; None: all earlier ones, and none.
    A `seed` enables the drop-off and drop-in of `routing`: each layer draws from its own, so that a layer
    which is computed again chooses the same. Raises `ValueError` for a `full_below`, since a stage of
    training is routed or dense as a whole.
    """

    routing: RoutingConfig | None
    candidates: Tensor | None = None
    pinned: Tensor | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        below = 0 if self.routing is None else self.routing.full_below
        if below != 0:
            raise ValueError(f"full_below: training routes all shots or none; must be 0, got {below!r}")

    @cached_property
    def most_pinned(self) -> int:
        """How many earlier shots a shot pins at most; read from the device once a step."""
        return 0 if self.pinned is None else int(self.pinned.tril(-1).sum(dim=-1).max())

    def generator(self, layer: int) -> torch.Generator | None:
        """What a layer draws its drop-off and drop-in from; None without a seed."""
        return None if self.seed is None else torch.Generator().manual_seed((self.seed + layer) % 2**63)

    def to(self, device: torch.device) -> StoryRules:
        """The same rules on a device."""
        candidates, pinned = (x if x is None else x.to(device) for x in (self.candidates, self.pinned))
        return replace(self, candidates=candidates, pinned=pinned)


@dataclass(frozen=True, kw_only=True)
class Memories:
    """Keys and values of clean shots in story order, (B, H, N, L, D), rotated to their positions.

    `descriptors` (B, H, N, K, D) are mean keys in float32, rotated or not as the pooling says.
    """

    keys: Tensor
    values: Tensor
    descriptors: Tensor
    _by_chunk: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict, init=False, repr=False)

    @property
    def tokens(self) -> int:
        """Tokens of all shots together."""
        return int(self.keys.shape[2] * self.keys.shape[3])

    def by_chunk(self, *, slots: int, chunking: str) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, N · L, D) in the order of their chunks, copied once."""
        if chunking not in self._by_chunk:
            self._by_chunk[chunking] = (
                chunk_by_chunk(self.keys, slots=slots, chunking=chunking),
                chunk_by_chunk(self.values, slots=slots, chunking=chunking),
            )
        return self._by_chunk[chunking]

    def followed_by(self, later: Memories) -> Memories:
        return Memories(
            keys=torch.cat((self.keys, later.keys), dim=2),
            values=torch.cat((self.values, later.values), dim=2),
            descriptors=torch.cat((self.descriptors, later.descriptors), dim=2),
        )

    def repeated(self, times: int) -> Memories:
        """Each entry of the batch so many times, side by side."""
        return Memories(
            keys=self.keys.repeat_interleave(times, dim=0),
            values=self.values.repeat_interleave(times, dim=0),
            descriptors=self.descriptors.repeat_interleave(times, dim=0),
        )

    def before(self, shot: int) -> Memories:
        """Those of earlier shots than this one."""
        return Memories(
            keys=self.keys[:, :, :shot],
            values=self.values[:, :, :shot],
            descriptors=self.descriptors[:, :, :shot],
        )


def story_angles(
    transformer: nn.Module, *, starts: Tensor, frames: int, height: int, width: int = 1
) -> tuple[Tensor, Tensor]:
    """Cosines and sines (N, L, D / 2) for shots that begin at the token frames `starts` (N).

    A frame has `height` × `width` tokens, row by row.
    """
    sides = (torch.arange(side, device=starts.device) for side in (frames, height, width))
    t, h, w = (axis.flatten() for axis in torch.meshgrid(*sides, indexing="ij"))
    return rotary_angles(transformer, starts.view(-1, 1) + t, h, w)


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

    `chosen_BHLK` are chunk numbers, -1 for none. The memories may have fewer entries than the shots, each
    shared by as many that follow each other. The backend is the one that a render with the same needs would
    get from the registry.
    """
    past_k, past_v = memories.by_chunk(slots=slots, chunking=routing.chunking)
    shots, chunks = memories.descriptors.shape[2:4]
    offsets = np.arange(shots * chunks + 1) * (memories.tokens // (shots * chunks))
    return attend_history(q_BHLD, k_BHLD, v_BHLD, past_k, past_v, offsets, chosen_BHLK, routing=routing)


def attend_history(
    q_BHLD: Tensor,
    k_BHLD: Tensor,
    v_BHLD: Tensor,
    past_k_BHTD: Tensor,
    past_v_BHTD: Tensor,
    offsets: Ints,
    chosen_BHLK: Tensor,
    *,
    pinned: Sequence[int] = (),
    routing: RoutingConfig,
) -> Tensor:
    """As `routed_attention`, of a past whose tokens lie chunk by chunk, cut by `offsets`.

    `pinned` are chunks that all queries attend to.
    """
    device = q_BHLD.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else q_BHLD.dtype
    tensors = (q_BHLD, k_BHLD, v_BHLD, past_k_BHTD, past_v_BHTD)
    q, k, v, past_k, past_v = (x.to(dtype) for x in tensors)
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
    if not backend.shared_history:
        past_k, past_v = (x.repeat_interleave(len(q) // len(x), dim=0) for x in (past_k, past_v))
    with torch.autocast(device, enabled=False):
        out, _ = backend.over_history(q, k, v, past_k, past_v, offsets, chosen_BHLK, pinned=pinned)
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


def scored_attention(
    q_BHLD: Tensor,
    k_BHLD: Tensor,
    v_BHLD: Tensor,
    memories: Memories,
    scores_BHLT: Tensor,
    *,
    slots: int,
    chunking: str,
    own: Tensor | None = None,
) -> Tensor:
    """As `dense_attention`, with `scores_BHLT` added to those of the memories' tokens, in chunk order.

    `own` is broadcastable to (B, H, L, L).
    """
    past_k, past_v = (
        chunk_by_chunk(x, slots=slots, chunking=chunking) for x in (memories.keys, memories.values)
    )
    scores = pad(scores_BHLT, (k_BHLD.shape[2], 0)).expand(*q_BHLD.shape[:3], -1)
    if own is not None:
        scores = scores.masked_fill(~pad(own, (0, memories.tokens), value=True), -torch.inf)
    keys, values = torch.cat((k_BHLD, past_k), dim=2), torch.cat((v_BHLD, past_v), dim=2)
    return scaled_dot_product_attention(q_BHLD, keys, values, attn_mask=scores.to(q_BHLD.dtype))


def choose_memories(
    q_BNHLD: Tensor,
    memories: Memories,
    routing: RoutingConfig,
    rules: StoryRules,
    *,
    shots: Sequence[int],
    generator: torch.Generator | None = None,
) -> Tensor:
    """The chunks (B, N, H, L, K) of `memories` that N `shots` attend to, of earlier ones; -1 for none.

    `q_BNHLD` are the routing queries, rotated or not as the descriptors are. A `generator` turns on drop-off
    and drop-in.
    """
    B, N, _, L, _ = q_BNHLD.shape
    candidates_BNC, pinned_BNC = _eligible(memories, rules, stories=B, shots=shots)
    chosen = route_queries(
        q_BNHLD.transpose(1, 2).flatten(2, 3),
        memories.descriptors.flatten(2, 3),
        ChunkRules(
            candidates=candidates_BNC & ~pinned_BNC,
            of_query=torch.arange(N, device=q_BNHLD.device).repeat_interleave(L),
        ),
        routing,
        generator=generator,
    )
    by_shot = chosen.unflatten(2, (N, L)).transpose(1, 2)
    chunks = memories.descriptors.shape[3]
    return with_pinned(by_shot, pinned_BNC, most=rules.most_pinned * chunks)


def _eligible(
    memories: Memories, rules: StoryRules, *, stories: int, shots: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """The chunks of memories (B, N, C) that N `shots` may attend to, and those that they must."""
    earlier, chunks = memories.descriptors.shape[2:4]
    device = memories.descriptors.device
    numbers = torch.tensor(shots).to(device)
    before = torch.arange(earlier, device=device) < numbers[:, None]
    candidates, pinned = before.expand(stories, -1, -1), torch.zeros_like(before).expand(stories, -1, -1)
    if rules.candidates is not None:
        candidates = before & rules.candidates.index_select(1, numbers)[:, :, :earlier]
    if rules.pinned is not None:
        pinned = before & rules.pinned.index_select(1, numbers)[:, :, :earlier]
    return candidates.repeat_interleave(chunks, dim=-1), pinned.repeat_interleave(chunks, dim=-1)


def with_pinned(chosen: Tensor, pinned: Tensor, *, most: int | None = None) -> Tensor:
    """The chosen chunks (…, H, L, K) followed by the pinned ones (…, C) of each entry, -1 for none.

    `most` is how many an entry pins at most; None: they are counted, for which the device is waited for.
    """
    if most is None:
        most = int(pinned.sum(dim=-1).max())
    first = pinned.int().argsort(dim=-1, descending=True, stable=True)[..., :most]
    pins = first.masked_fill(~pinned.gather(-1, first), -1)[..., None, None, :]
    return torch.cat((chosen, pins.expand(*chosen.shape[:-1], most)), dim=-1)


def tokens_of_chunks(chosen_BHLK: Tensor, memories: Memories, *, slots: int, chunking: str) -> Tensor:
    """Bool (B, H, L, N · L): which memory tokens belong to the chosen chunks."""
    earlier, chunks = memories.descriptors.shape[2:4]
    frames = memories.keys.shape[3] // slots
    by_chunk = mask_of(chosen_BHLK, earlier * chunks).unflatten(-1, (earlier, chunks))
    spread = by_chunk[..., None, :] if chunking == "track" else by_chunk[..., None]
    mask: Tensor = spread.expand(*by_chunk.shape[:-1], frames, slots).flatten(-3)
    return mask


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
        candidates, pinned = _eligible(memories, self.rules, stories=len(memories.keys), shots=self.later)
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
            for x in _eligible(memories, self.rules, stories=len(memories.keys), shots=self.later)
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


def own_attention(q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
    """Attention (B, H, L, D) of shots to their own tokens alone."""
    out = scaled_dot_product_attention(q_BHLD, k_BHLD, v_BHLD)
    if out.requires_grad:  # torch keeps cuDNN's plans without this gradient's strides, see ops.triton.dense
        out.register_hook(Tensor.contiguous)
    return out


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
