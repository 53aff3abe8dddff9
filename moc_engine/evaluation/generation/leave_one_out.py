"""Generates every shot of a story, and again from the same noise without one of its context shots.

All variants of a shot run as one batch over the same memories: the take that sees every context shot, and one
variant for each banned context shot; the others keep their positions in time. All variants start from the
same noise, so only the ban makes a difference. Memories come from `compute_memory`, traces from
`TraceRecorder`, as in a render.

Shapes: B stories, V variants of a shot, G branches of guidance, H heads, L tokens of a shot, T tokens and
C chunks of the history, D head width, F latent frames, S slots.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.memory.grid import TokenGrid
from moc_engine.memory.take_memory import TakeMemory
from moc_engine.models.animatic.scene import CHANNELS, PATCH_FRAMES, SLOTS
from moc_engine.models.animatic.world import Story
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates, stacked
from moc_engine.ops.backend import Mass, Need, Work
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.layout import VIDEO, ChunkLayout
from moc_engine.ops.registry import choose_backend
from moc_engine.ops.rotary import apply_rotary
from moc_engine.render.denoise import denoise, draw_noise, guided
from moc_engine.render.memory_pass import compute_memory
from moc_engine.render.prepare import chunk_names
from moc_engine.trace.record import ContextChunk, QueryChunk, RoutingTrace
from moc_engine.trace.recorder import TraceRecorder

Latents = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class ShotVariants:
    """A shot's take (F, S, CHANNELS) with its trace, and its variants by banned context shot.

    `story` is the story's number, `shot` counts from 0. The trace is None for a shot without context.
    """

    story: int
    shot: int
    take: Latents
    without: dict[int, Latents]
    trace: RoutingTrace | None


@torch.no_grad()
def leave_one_out(
    backbone: Backbone,
    stories: Sequence[Story],
    *,
    numbers: Sequence[int],
    routing: RoutingConfig,
    sampler: SamplerConfig,
    seed: int,
    pairs: int | None = None,
) -> Iterator[ShotVariants]:
    """Generates the variants of each shot; the stories have equally many shots, all of the same length.

    The noise depends on `seed` and the stories' own `numbers`, and so does the choice of the `pairs` context
    shots that are banned if a shot has more of them (None: each in turn). For animatic models only. Raises
    `ValueError` for `pairs` below 1.
    """
    if pairs is not None and pairs < 1:
        raise ValueError(f"pairs: must be 1 or more, got {pairs}")
    shots, frames = len(stories[0].shots), len(stories[0].shots[0].scene)
    shape = (CHANNELS, frames, SLOTS, 1)
    grid = backbone.grid(shape, routing.chunking)
    empty = reduce(stacked, [backbone.family.captions("", "", story.cast) for story in stories])
    memories: list[list[TakeMemory]] = [[] for _ in stories]
    names: list[list[list[str]]] = [[] for _ in stories]  # names of each take's chunks
    for shot in range(shots):
        captions_of = [
            backbone.family.captions(story.global_caption, story.shots[shot].caption, story.cast)
            for story in stories
        ]
        banned = [_banned(shot, pairs, (seed, number, shot)) for number in numbers]
        count = 1 + len(banned[0])
        attention = VariantAttention(backbone, grid, memories, shot=shot, banned=banned, routing=routing)
        attention.recorders = [
            _recorder(backbone, grid, past, backend=attention.backend, routing=routing, sampler=sampler)
            for past in names
            if past
        ]
        noise = [draw_noise(shape, noise_seed(seed, number, shot)) for number in numbers]
        latents = torch.stack(noise).repeat_interleave(count, dim=0).to(backbone.device)
        captions = stacked(
            _repeated(reduce(stacked, captions_of), count), _repeated(empty, count)
        )  # conditional entries first, as guidance expects
        done = _denoised(backbone, attention, latents, captions, sampler).cpu()
        rows = done[..., 0].permute(0, 2, 3, 1).unflatten(0, (len(stories), count))
        values: Latents = rows.float().numpy()
        traces = [recorder.finish() for recorder in attention.recorders]
        for index, number in enumerate(numbers):
            names[index].append(chunk_names(done[index * count], grid, stories[index].cast, backbone))
            memories[index].append(
                compute_memory(
                    backbone,
                    done[index * count],
                    captions_of[index],
                    chunking=routing.chunking,
                    pooling=routing.pooling,
                    noise=sampler.memory_noise,
                )
            )
            yield ShotVariants(
                story=number,
                shot=shot,
                take=values[index, 0],
                without={ban: values[index, 1 + nth] for nth, ban in enumerate(banned[index])},
                trace=_named(traces[index], names[index][-1]) if traces else None,
            )


class VariantAttention:
    """Self-attention of the variants of one shot of many stories.

    The first variant of a story sees all its context, each further one lacks the context shot in `banned`
    (equally many per story). Rows are ordered by guidance branch, then story, then variant. `memories` are
    those of each story's earlier takes. The `recorders`, one per story if any, record the conditional branch
    of the first variants. Routed attention is computed by the backend that a render would use.
    """

    def __init__(
        self,
        backbone: Backbone,
        grid: TokenGrid,
        memories: Sequence[Sequence[TakeMemory]],
        *,
        shot: int,
        banned: Sequence[Sequence[int]],
        routing: RoutingConfig,
    ) -> None:
        self.recorders: list[TraceRecorder] = []
        self._grid = grid
        self._routing = routing
        self._stories, self._variants = len(memories), 1 + len(banned[0])
        positions = grid.positions_3T.to(backbone.device)
        length = torch.tensor([[grid.frames], [0], [0]], device=backbone.device)
        self._angles = backbone.angles(positions + shot * length)
        self._shot = shot
        if not shot:
            return
        self._layout = ChunkLayout(
            np.concatenate(([0], np.cumsum(np.tile(np.diff(grid.extent.offsets), shot)))),
            np.repeat(np.arange(shot), grid.extent.chunks),
            np.full(shot * grid.extent.chunks, VIDEO),
        )
        starts = [nth * length for nth in range(shot)]
        self._keys, self._values, self._means = _history(backbone, positions, starts, memories, routing)
        self._candidates = _candidates(banned, shot, grid.extent.chunks).to(backbone.device)
        backend = choose_backend(routing.backend, self._need()).backend
        assert backend.over_history is not None
        self.backend = backend.name
        self._attention = backend.over_history

    def _need(self) -> Need:
        """What the backend must support, with both branches of guidance in the batch."""
        heads, device = self._keys.shape[2], self._keys.device.type
        return Need(
            form="history",
            device=device,
            dtype=self._keys.dtype,
            history_device=device,
            mass=True,
            work=Work(
                rows=2 * self._stories * self._variants * heads,
                tokens=self._grid.tokens,
                top_k=self._routing.top_k,
                head_size=self._keys.shape[-1],
                history_offsets=self._layout.offsets,
            ),
        )

    def begin(self, step: int) -> None:
        """The runs of the transformer from now on are those of `step`."""
        for recorder in self.recorders:
            recorder.begin(step)

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        q, k, v = (self._grid.to_chunks(x, dim=2) for x in (q_BHLD, k_BHLD, v_BHLD))
        rotated_q, rotated_k = (apply_rotary(x, *self._angles) for x in (q, k))
        if not self._shot:
            return self._grid.to_model(scaled_dot_product_attention(rotated_q, rotated_k, v), dim=2)
        queries = self._by_story(rotated_q if self._routing.pooling == "after" else q)
        chosen = route_queries(
            queries, self._means[layer], self._rules(queries), self._routing, layout=self._layout
        )
        indices = self._by_row(chosen)
        past_k, past_v = (self._for_rows(x[layer], len(q)) for x in (self._keys, self._values))
        out, mass = self._attention(rotated_q, rotated_k, v, past_k, past_v, self._layout.offsets, indices)
        self._record(layer, mass, indices)
        return self._grid.to_model(out, dim=2)

    def _for_rows(self, x_BHTD: Tensor, rows: int) -> Tensor:
        """The history of each row's story, (rows, H, T, D)."""
        branches = rows // (self._stories * self._variants)
        return x_BHTD[None, :, None].expand(branches, -1, self._variants, -1, -1, -1).flatten(0, 2)

    def _by_story(self, x: Tensor) -> Tensor:
        """(G · B · V, H, L, …) as (B, H, G · V · L, …), so that a story's queries share its history."""
        split = x.unflatten(0, (-1, self._stories, self._variants))  # G B V H L …
        joined: Tensor = split.permute(1, 3, 0, 2, 4, 5).flatten(2, 4)
        return joined

    def _by_row(self, x: Tensor) -> Tensor:
        """The inverse of `_by_story`."""
        split = x.unflatten(2, (-1, self._variants, self._grid.tokens))  # B H G V L …
        rows: Tensor = split.permute(2, 0, 3, 1, 4, 5).flatten(0, 2)
        return rows

    def _rules(self, queries: Tensor) -> ChunkRules:
        """Which chunks each of the G · V · L queries may select: a rule per variant."""
        branches = queries.shape[2] // (self._variants * self._grid.tokens)
        variants = torch.arange(self._variants, device=queries.device)
        return ChunkRules(
            candidates=self._candidates,
            of_query=variants.repeat_interleave(self._grid.tokens).repeat(branches),
        )

    def _record(self, layer: int, mass: Mass, indices: Tensor) -> None:
        for story, recorder in enumerate(self.recorders):
            row = story * self._variants  # the conditional branch comes first
            recorder.add(
                layer=layer,
                own=mass.own[row],
                routed=mass.routed[row],
                indices=indices[row],
            )


def _denoised(
    backbone: Backbone,
    attention: VariantAttention,
    latents: Tensor,
    captions: CaptionStates,
    sampler: SamplerConfig,
) -> Tensor:
    def velocity(noisy: Tensor, timesteps: Tensor) -> Tensor:
        return backbone.velocity(noisy, timesteps, attention, captions.first(len(noisy)))

    steps = denoise(guided(velocity, sampler), latents, backbone.schedule(sampler))
    for step in range(sampler.steps):
        attention.begin(step)
        latents = next(steps).latents
    return latents


def _history(
    backbone: Backbone,
    positions_3L: Tensor,
    starts: Sequence[Tensor],
    memories: Sequence[Sequence[TakeMemory]],
    routing: RoutingConfig,
) -> tuple[Tensor, Tensor, Tensor]:
    """Rotated keys, values (N, B, H, T, D) and means (N, B, H, C, D) of takes that begin at `starts`."""
    keys, values, means = [], [], []
    for story in memories:
        rotated = [
            apply_rotary(take.k_NHTD, *backbone.angles(positions_3L + start))
            for take, start in zip(story, starts, strict=True)
        ]
        described = [
            apply_rotary(take.means_NHCD, *backbone.angles(start))
            if routing.pooling == "after"
            else take.means_NHCD
            for take, start in zip(story, starts, strict=True)
        ]
        keys.append(torch.cat(rotated, dim=2))
        values.append(torch.cat([take.v_NHTD for take in story], dim=2))
        means.append(torch.cat(described, dim=2))
    return torch.stack(keys, dim=1), torch.stack(values, dim=1), torch.stack(means, dim=1)


def _candidates(banned: Sequence[Sequence[int]], shots: int, chunks: int) -> Tensor:
    """Bool (B, V, C): the chunks that each variant may select."""
    allowed = torch.ones(len(banned), 1 + len(banned[0]), shots, dtype=torch.bool)
    for story, bans in enumerate(banned):
        for nth, ban in enumerate(bans):
            allowed[story, 1 + nth, ban] = False
    return allowed.repeat_interleave(chunks, dim=-1)


def _banned(shot: int, pairs: int | None, seed: Sequence[int]) -> list[int]:
    """The context shots to ban, ascending: all, or `pairs` of them at random."""
    if pairs is None or shot <= pairs:
        return list(range(shot))
    drawn = np.random.default_rng((*seed, 1)).choice(shot, pairs, replace=False)
    return sorted(drawn.tolist())


def noise_seed(seed: int, story: int, shot: int) -> int:
    """The seed of the noise of a shot of a story."""
    return int(np.random.SeedSequence((seed, story, shot)).generate_state(1)[0])


def _repeated(captions: CaptionStates, times: int) -> CaptionStates:
    mask = captions.mask_BS
    return CaptionStates(
        states_BSE=captions.states_BSE.repeat_interleave(times, dim=0),
        mask_BS=None if mask is None else mask.repeat_interleave(times, dim=0),
    )


def _recorder(
    backbone: Backbone,
    grid: TokenGrid,
    past: Sequence[Sequence[str]],
    *,
    backend: str,
    routing: RoutingConfig,
    sampler: SamplerConfig,
) -> TraceRecorder:
    """A recorder as in a render; `past` names the chunks of the context takes."""
    config, shot = backbone.transformer.config, len(past)
    spans = [(first * PATCH_FRAMES, stop * PATCH_FRAMES) for first, stop in grid.chunk_frames()]
    return TraceRecorder(
        shot=shot,
        model=backbone.name,
        backend=backend,
        routing=asdict(routing),
        steering={},
        query=[
            QueryChunk(name="", frames=span, tokens=length)
            for span, length in zip(spans, np.diff(grid.extent.offsets).tolist(), strict=True)
        ],
        context=[
            ContextChunk(kind="own", name="own shot", shot=shot, frames=(0, grid.frames * PATCH_FRAMES)),
            *(
                ContextChunk(kind="history", name=name, shot=nth, take=str(nth), frames=span)
                for nth, names in enumerate(past)
                for name, span in zip(names, spans, strict=True)
            ),
        ],
        layers=config.num_layers,
        heads=config.num_attention_heads,
        steps=sampler.steps,
        device=backbone.device,
    )


def _named(trace: RoutingTrace, names: Sequence[str]) -> RoutingTrace:
    """The trace with names for the shot's own chunks, which are known only after generation."""
    query = [replace(chunk, name=name) for chunk, name in zip(trace.query, names, strict=True)]
    return replace(trace, query=tuple(query))
