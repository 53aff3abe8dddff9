"""Self-attention of one shot of many stories: to itself and to what a method chooses of earlier shots.

Shapes: B stories, N shots, S slots, L tokens of a shot, H heads, D head width, K chosen chunks, T history
tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.evaluation.generation.methods import CONTEXTS
from moc_engine.evaluation.generation.packing import packing
from moc_engine.evaluation.generation.settings import GenerationSettings
from moc_engine.memory.context_policies import CONTEXT_POLICIES, ContextTake
from moc_engine.models.animatic.scene import SLOTS
from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.layout import VIDEO, ChunkLayout
from moc_engine.ops.rotary import apply_rotary
from moc_engine.ops.routers.registry import find_router
from moc_engine.ops.routers.router import Choice, LearnedRouter, RoutingRequest
from moc_engine.ops.selection import mask_of
from moc_engine.training.attention import dense_attention, routed_attention, scored_attention
from moc_engine.training.memories import Memories, chunk_by_chunk, chunk_descriptors
from moc_engine.training.memory_choice import tokens_of_chunks, with_pinned
from moc_engine.training.story_attention import story_angles


@dataclass(frozen=True, kw_only=True)
class DenoisingStep:
    """A pass of the transformer: the step of how many, and whether it is the one with captions."""

    step: int = 0
    steps: int = 1
    guided: bool = True


@dataclass(frozen=True, kw_only=True)
class ShotContext:
    """What stories know of a shot: where its cast first appeared (B, earlier), and whom its captions name."""

    first_seen: Tensor
    named: tuple[frozenset[int], ...] = ()


class MemoryAttention:
    """Self-attention of one shot of many stories: to itself and to the memories of earlier shots.

    `attended` (B,) and `available` count the query-key pairs with the history of a story so far,
    `attended_own` and `available_own` those within shots that have a history. Keys are stored rotated, except
    for the packed method: its means are rotated to the mean of their positions. `learned` are the model's
    routers, by name.
    """

    def __init__(
        self,
        transformer: Any,
        settings: GenerationSettings,
        generators: Sequence[torch.Generator],
        learned: Mapping[str, LearnedRouter] | None = None,
    ) -> None:
        self.transformer = transformer
        self.settings = settings
        self.routing = settings.routing
        self.pool_after = settings.routing.pooling == "after"
        self.memories: list[Memories | None] = [None] * len(transformer.blocks)
        self.takes: list[list[ContextTake]] = [[] for _ in generators]
        self.step = DenoisingStep()
        self.time_BE: Tensor | None = None
        """The embedding of the noise level of the pass."""
        self.writing = False
        self.angles: tuple[Tensor, Tensor] | None = None
        self.shot = 0
        self.context: ShotContext | None = None
        self.attended = torch.zeros(len(generators), dtype=torch.long)
        self.attended_own = torch.zeros(len(generators), dtype=torch.long)
        self.available = self.available_own = 0
        routes = settings.router not in (*CONTEXTS, "dense", "own", "packed")
        entry = find_router(settings.router) if routes else None
        self._router = None if entry is None else entry.start(generators, learned)
        self._routes_own = entry is not None and entry.routes_own
        self._kept: Tensor | None = None  # (B, T): the context of the shot, by a context policy
        self._read: int | None = None  # bytes of the history that were attended to, while they are counted

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device  # type: ignore[no-any-return]

    @property
    def pruned(self) -> Tensor:
        """(B,): the share of history pairs that were not attended to; 0 without a history."""
        if self.settings.router == "own":  # keeps no history
            return torch.ones(len(self.attended))
        return 1.0 - self.attended / self.available if self.available else torch.zeros(len(self.attended))

    @property
    def pairs(self) -> Tensor:
        """(B,): the share of all pairs that were attended to, in shots that have a history; 1 without one."""
        available = self.available + self.available_own
        return (
            (self.attended + self.attended_own) / available if available else torch.ones(len(self.attended))
        )

    @property
    def remembered(self) -> int:
        """Bytes of the memories of all layers and stories; of mean keys only where a router reads them."""
        kept = [memories for memories in self.memories if memories is not None]
        parts = [part for memories in kept for part in (memories.keys, memories.values)]
        if self._router is not None:
            parts += [memories.descriptors for memories in kept]
        return sum(part.nbytes for part in parts)

    @contextmanager
    def counted_reads(self) -> Iterator[Callable[[], int]]:
        """Counts what is attended to of memories within the block; yields a function that gives the bytes.

        A token counts once in each layer and head, however many queries attend to it. What a router itself
        looks at does not count.
        """
        self._read = 0
        try:
            yield lambda: self._read or 0
        finally:
            self._read = None

    def begin(self, shot: int, frames: int, context: ShotContext) -> None:
        """Starts a shot of `frames` token frames; all earlier shots are as long."""
        starts = torch.tensor([shot * frames], device=self.device)
        cos, sin = story_angles(self.transformer, starts=starts, frames=frames, height=SLOTS)
        self.angles = cos[0], sin[0]
        self.shot = shot
        self.context = context
        self._kept = None
        if self._router is not None:
            self._router.begin()

    @contextmanager
    def write(self) -> Iterator[None]:
        """Within the block shots attend only to themselves, and their keys and values are stored."""
        self.writing = True
        try:
            yield
        finally:
            self.writing = False

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        assert self.angles is not None
        q, k = apply_rotary(q_BHLD, *self.angles), apply_rotary(k_BHLD, *self.angles)
        before = self.memories[layer]
        if self.writing:
            keys = k_BHLD if self.settings.router == "packed" else k
            self._store(layer, keys, v_BHLD, pooled=k if self.pool_after else k_BHLD)
        memories = None if self.writing else before
        routing_qk = (q, k) if self.pool_after else (q_BHLD, k_BHLD)
        if memories is None:
            own = self._choose(layer, routing_qk, (q, k, v_BHLD), None).own_BHLL if self._routes_own else None
            if not self.writing and self.shot:  # of the method that keeps no memories
                self._count(q, torch.zeros((), dtype=torch.long), own)
            return scaled_dot_product_attention(q, k, v_BHLD, attn_mask=own)
        own_chunk = None if self.settings.own_link else self._own_chunk(q.shape[2])
        if self.settings.router in ("dense", "packed"):
            memories = memories if self.settings.router == "dense" else self._packed(memories)
            self._count(q, torch.tensor(q[0, ..., 0].numel() * memories.tokens), own_chunk)
            self._count_read(lambda: q.shape[:2].numel() * memories.tokens, memories)
            return dense_attention(q, k, v_BHLD, memories, own=own_chunk)
        if self.settings.router in CONTEXTS:
            kept_BT = self._context(memories)
            self._count(q, q[0, ..., 0].numel() * kept_BT.sum(dim=1), own_chunk)
            self._count_read(lambda: q.shape[1] * int(kept_BT.sum()), memories)
            return dense_attention(q, k, v_BHLD, memories, kept_BT[:, None, None], own=own_chunk)
        choice = self._choose(layer, routing_qk, (q, k, v_BHLD), memories)
        chosen = choice.indices_BHLK
        chunk_tokens = memories.keys.shape[3] // memories.descriptors.shape[3]
        own = choice.own_BHLL if own_chunk is None or choice.own_BHLL is None else choice.own_BHLL & own_chunk
        own = own_chunk if own is None else own
        if choice.scores_BHLT is not None:
            read_BHLT = (choice.scores_BHLT > -torch.inf).expand(*q.shape[:3], -1)
            self._count(q, read_BHLT.sum(dim=(1, 2, 3)), own)
            self._count_read(lambda: int(read_BHLT.any(dim=2).sum()), memories)
            return scored_attention(
                q,
                k,
                v_BHLD,
                memories,
                choice.scores_BHLT,
                slots=SLOTS,
                chunking=self.routing.chunking,
                own=own,
            )
        chunks = memories.descriptors.shape[2:4].numel()
        self._count_read(lambda: int(mask_of(chosen, chunks).any(dim=2).sum()) * chunk_tokens, memories)
        self._count(q, (chosen >= 0).sum(dim=(1, 2, 3)) * chunk_tokens, own)
        if own is None:
            return routed_attention(q, k, v_BHLD, memories, chosen, slots=SLOTS, routing=self.routing)
        mask = tokens_of_chunks(chosen, memories, slots=SLOTS, chunking=self.routing.chunking)
        return dense_attention(q, k, v_BHLD, memories, mask, own=own)

    def _count(self, q_BHLD: Tensor, attended: Tensor, own: Tensor | None) -> None:
        """Adds a layer's pairs; `own` says which within the shot, None: all."""
        heads, tokens = q_BHLD.shape[1:3]
        whole = heads * tokens * tokens
        within = torch.tensor(whole) if own is None else own.sum(dim=(-2, -1))
        if own is not None:
            within = within.sum(dim=-1) if own.ndim == 4 else within * heads
        self.attended += attended.cpu()
        self.attended_own += within.cpu()
        self.available += whole * self.shot
        self.available_own += whole

    def _count_read(self, tokens: Callable[[], int], memories: Memories) -> None:
        """Adds the bytes of so many tokens, of all stories and heads, while they are counted."""
        if self._read is not None:
            width, size = memories.keys.shape[-1], memories.keys.element_size()
            self._read += 2 * tokens() * width * size

    def _store(self, layer: int, k_BHLD: Tensor, v_BHLD: Tensor, *, pooled: Tensor) -> None:
        """Adds a shot to the memories; the means of the keys `pooled` are its descriptors."""
        means = chunk_descriptors(pooled[:, :, None], slots=SLOTS, chunking=self.routing.chunking)
        before = self.memories[layer]
        shot = Memories(keys=k_BHLD[:, :, None], values=v_BHLD[:, :, None], descriptors=means)
        self.memories[layer] = shot if before is None else before.followed_by(shot)

    def _choose(
        self,
        layer: int,
        routing_qk: tuple[Tensor, Tensor],
        rotated_qkv: tuple[Tensor, Tensor, Tensor],
        memories: Memories | None,
    ) -> Choice:
        """What the router chooses, and the pinned chunks of the history besides."""
        assert self._router is not None
        queries, own_keys = routing_qk
        B, H, L, D = queries.shape
        if memories is None:
            earlier = chunks = chunk_tokens = 0
            means = queries.new_zeros(B, H, 0, D)
        else:
            earlier, chunks = memories.descriptors.shape[2:4]
            means, chunk_tokens = memories.descriptors.flatten(2, 3), memories.keys.shape[3] // chunks
        pinned, candidates = self._steered(earlier, chunks, queries.device)
        count = earlier * chunks
        layout = ChunkLayout(
            np.arange(count + 1) * chunk_tokens,
            np.arange(count) // max(1, chunks),
            np.full(count, VIDEO),
        )
        choice = self._router.choose(
            RoutingRequest(
                q_BHLD=queries,
                own_k_BHLD=own_keys,
                means_BHCD=means,
                layout=layout,
                shot=self.shot,
                candidates_BC=candidates,
                own_chunk_L=self._chunk_of_tokens(L),
                routing=self.routing,
                rotated=partial(self._rotated, *rotated_qkv[:2], memories),
                values=partial(self._values, rotated_qkv[2], memories),
                time_BE=self.time_BE,
                layer=layer,
                **vars(self.step),
            )
        )
        if choice.scores_BHLT is not None:
            must = pinned.repeat_interleave(chunk_tokens, dim=1)[:, None, None]
            return replace(choice, scores_BHLT=choice.scores_BHLT.masked_fill(must, 0.0))
        return replace(choice, indices_BHLK=with_pinned(choice.indices_BHLK, pinned))

    def _rotated(
        self, q_BHLD: Tensor, k_BHLD: Tensor, memories: Memories | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys of the shot, and rotated keys of the history in chunk order."""
        if memories is None:
            return q_BHLD, k_BHLD, k_BHLD[:, :, :0]
        past = chunk_by_chunk(memories.keys, slots=SLOTS, chunking=self.routing.chunking)
        return q_BHLD, k_BHLD, past

    def _values(self, v_BHLD: Tensor, memories: Memories | None) -> tuple[Tensor, Tensor]:
        """Values of the shot, and of the history in chunk order."""
        if memories is None:
            return v_BHLD, v_BHLD[:, :, :0]
        return v_BHLD, chunk_by_chunk(memories.values, slots=SLOTS, chunking=self.routing.chunking)

    def _context(self, memories: Memories) -> Tensor:
        """(B, T): the history tokens that the context policy keeps for this shot, and pinned ones."""
        if self._kept is None:
            assert self.context is not None
            earlier, tokens = memories.keys.shape[2:4]
            frames = tokens // SLOTS
            most = self.routing.top_k * tokens // memories.descriptors.shape[3] // SLOTS
            policy = CONTEXT_POLICIES[self.settings.router]
            pinned, allowed = self._steered(earlier, 1, memories.keys.device)
            kept = pinned[..., None].expand(len(self.takes), -1, frames).clone()
            for story, takes in enumerate(self.takes):
                numbers = allowed[min(story, len(allowed) - 1)].nonzero()[:, 0].tolist()
                named = self.context.named[story] if self.context.named else frozenset()
                for nth, frame in policy.keep([takes[number] for number in numbers], named, most):
                    kept[story, numbers[nth], frame] = True
            self._kept = kept.repeat_interleave(SLOTS, dim=2).flatten(1)
        return self._kept

    def _packed(self, memories: Memories) -> Memories:
        """The history averaged to as many tokens as MoC may attend to, in one row (B, H, 1, P, D)."""
        earlier, tokens = memories.keys.shape[2:4]
        budget = self.routing.top_k * tokens // memories.descriptors.shape[3]
        weights = packing(budget, earlier=earlier, tokens=tokens, slots=SLOTS)
        token = torch.arange(memories.tokens, dtype=weights.dtype)
        frame, slot = (weights @ token.div(SLOTS, rounding_mode="floor")), weights @ (token % SLOTS)
        angles = rotary_angles(self.transformer, frame, slot, torch.zeros_like(slot))
        weights, cos, sin = (part.to(self.device) for part in (weights, *angles))
        keys, values = (weights @ whole.flatten(2, 3) for whole in (memories.keys, memories.values))
        rotated = apply_rotary(keys, cos, sin)
        return replace(memories, keys=rotated[:, :, None], values=values[:, :, None])

    def _steered(self, earlier: int, chunks: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Which chunks are pinned and which may be chosen, (B or 1, N · K)."""
        none = torch.zeros(1, earlier, dtype=torch.bool, device=device)
        steered = none if self.context is None or not earlier else self.context.first_seen.to(device)
        pinned = steered if self.settings.steer == "pin" else none
        allowed = ~steered if self.settings.steer == "ban" else ~none
        of_pinned, of_allowed = (shots.repeat_interleave(chunks, dim=1) for shots in (pinned, allowed))
        return of_pinned, of_allowed & ~of_pinned

    def _chunk_of_tokens(self, tokens: int) -> Tensor:
        """(L,): the number of each token's chunk within its shot."""
        token = torch.arange(tokens, device=self.device)
        return token % SLOTS if self.routing.chunking == "track" else token // SLOTS

    def _own_chunk(self, tokens: int) -> Tensor:
        """Bool (L, L): whether two tokens of a shot are in the same chunk."""
        chunk = self._chunk_of_tokens(tokens)
        return chunk[:, None] == chunk
