"""What queries attend to, and the two forms of attention, for any function that computes one softmax.

    Attended    spans that all queries of a shot attend to (own shot, captions, pins), and routed chunks
    Attend      computes it: the output, and the share of attention of each span and routed chunk

`history_attention` is the form for rendering, and for training on memories: own and history keys apart.
`layout_attention` is the form in which all keys of a story lie in one tensor.

Shapes: B batch, H heads, L queries, S own keys, T history keys, C chunks, K routed chunks per query,
D head width; R = B · H rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.ops.backend import Mass
from moc_engine.ops.layout import ChunkLayout, Ints
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.selection import QueryGroup, Selection


@dataclass(frozen=True, kw_only=True)
class Span:
    """All `queries` start:stop attend to all `keys` start:stop of one source."""

    source: int
    queries: tuple[int, int]
    keys: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Attended:
    """What is attended to: spans of the sources, and chunks of the source `history`.

    `rotary` is the embedding of keys of the history that are kept unrotated, None where they are rotated.
    """

    spans: tuple[Span, ...]
    history: int
    offsets: Ints
    indices_RLK: Tensor
    scale: float
    rotary: Rotary | None


class Attend(Protocol):
    """One softmax over spans and routed chunks."""

    def __call__(
        self, attended: Attended, q_BHLD: Tensor, sources: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """The output (B, H, L, D), the mass of each span (B, H, its queries) and of each index (B, H, L, K).

        `sources` are keys and values (B, H, T, D) in turn; those of the history may have a batch of 1 and lie
        on another device where the function supports it. Masses are detached, 0 where the index is -1.
        """


def history_attention(
    attend: Attend,
    q_BHLD: Tensor,
    own_k_BHSD: Tensor,
    own_v_BHSD: Tensor,
    history_k_BHTD: Tensor | None = None,
    history_v_BHTD: Tensor | None = None,
    history_offsets: Ints | None = None,
    indices_BHLK: Tensor | None = None,
    *,
    pinned: Sequence[int] = (),
    rotary: Rotary | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Mass]:
    """Attention of one shot's queries over its own keys in full, pinned and routed history chunks.

    q, own keys and values are (B, H, L or S, D), ready for use. History keys and values (B, H, T, D) are
    cut into C chunks by `history_offsets` [C + 1]; `indices_BHLK` names the chunks of each query, -1 for
    none, no chunk twice and none of `pinned`. Pins that differ within a batch go among the indices. The
    history may lie on another device (only what is attended is fetched) and be kept unrotated: `rotary` then
    rotates the keys as they are read. `scale` is 1 / √D where None.

    Returns the output (B, H, L, D) in the dtype of q, differentiable in q and all keys and values but
    for keys that `rotary` rotates, and the shares of attention.
    """
    B, H, L, D = q_BHLD.shape
    if not L:
        raise ValueError("q_BHLD: there are no queries")
    if not own_k_BHSD.shape[2]:
        raise ValueError("own_k_BHSD: there are no keys")
    if indices_BHLK is None:
        indices_BHLK = torch.empty(B, H, L, 0, dtype=torch.int64, device=q_BHLD.device)
    dense = [Span(source=0, queries=(0, L), keys=(0, own_k_BHSD.shape[2]))]
    sources = [own_k_BHSD, own_v_BHSD]
    offsets = np.zeros(1, dtype=np.int64)
    if history_k_BHTD is not None:
        if history_v_BHTD is None or history_offsets is None:
            raise ValueError("history_offsets: history keys need values and offsets")
        if rotary is not None and history_k_BHTD.requires_grad:
            raise ValueError("rotary: keys that need gradients must come rotated")
        sources += [history_k_BHTD, history_v_BHTD]
        offsets = history_offsets
        dense += [Span(source=1, queries=(0, L), keys=keys) for keys in _keys(offsets, pinned)]
    attended = Attended(
        spans=tuple(dense),
        history=len(sources) // 2 - 1,
        offsets=offsets,
        indices_RLK=indices_BHLK.reshape(B * H, L, -1),
        scale=1 / math.sqrt(D) if scale is None else scale,
        rotary=rotary,
    )
    out, span_mass, routed_mass = attend(attended, q_BHLD, sources)
    mass = torch.stack(span_mass, dim=-1)
    return out, Mass(own=mass[..., :1], pinned=mass[..., 1:], routed=routed_mass)


def layout_attention(
    attend: Attend,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: ChunkLayout,
    selection: Selection,
    scale: float,
    *,
    mass: bool,
) -> tuple[Tensor, Tensor | None]:
    """As `naive_attention`: the output (B, H, L, D), and with `mass` that of each chunk (B, H, L, C).

    With `mass` the dense pass is cut at chunk borders, which is what tells mandatory chunks apart. Without it
    shots that attend in full to one run of keys are computed by torch's own attention.
    """
    if mass:
        return _with_mass(attend, q, k, v, layout, selection, scale)
    spans = _joined_spans(layout, selection.groups)
    if not selection.indices.shape[-1] and len(spans) == len(selection.groups):
        outs = [_one_span(q, k, v, span, scale) for span in spans]
        return outs[0] if len(outs) == 1 else torch.cat(outs, dim=2), None
    return attend(_attended(layout, selection, spans, scale), q, [k, v])[0], None


@lru_cache(maxsize=256)
def _joined_spans(layout: ChunkLayout, groups: tuple[QueryGroup, ...]) -> tuple[Span, ...]:
    """The keys that the queries of each group attend to in full, as few spans as there can be."""
    return tuple(
        Span(source=0, queries=(group.start, group.stop), keys=keys)
        for group in groups
        for keys in _joined(_keys(layout.offsets, np.flatnonzero(group.mandatory).tolist()))
    )


def _one_span(q: Tensor, k: Tensor, v: Tensor, span: Span, scale: float) -> Tensor:
    """The attention of a span's queries where they attend to nothing else."""
    if span.queries != (0, q.shape[2]):
        q = q[:, :, slice(*span.queries)]
    if span.keys != (0, k.shape[2]):
        k, v = (x[:, :, slice(*span.keys)] for x in (k, v))
    return scaled_dot_product_attention(q, k, v, scale=scale)


def _with_mass(
    attend: Attend,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: ChunkLayout,
    selection: Selection,
    scale: float,
) -> tuple[Tensor, Tensor]:
    B, H, L, _ = q.shape
    filled = layout.lengths > 0
    cuts = [
        (group, int(chunk))
        for group in selection.groups
        for chunk in np.flatnonzero(group.mandatory & filled)
    ]
    spans = [
        Span(source=0, queries=(group.start, group.stop), keys=next(_keys(layout.offsets, [chunk])))
        for group, chunk in cuts
    ]
    out, span_mass, routed_mass = attend(_attended(layout, selection, spans, scale), q, [k, v])
    mass = routed_mass.new_zeros(B, H, L, layout.chunks + 1)
    indices = selection.indices
    mass.scatter_(-1, indices.where(indices >= 0, layout.chunks), routed_mass)
    for (group, chunk), share in zip(cuts, span_mass, strict=True):
        mass[:, :, group.start : group.stop, chunk] = share
    return out, mass[..., :-1]


def _attended(layout: ChunkLayout, selection: Selection, spans: Sequence[Span], scale: float) -> Attended:
    return Attended(
        spans=tuple(spans),
        history=0,
        offsets=layout.offsets,
        indices_RLK=selection.indices.flatten(0, 1),
        scale=scale,
        rotary=None,
    )


def _keys(offsets: Ints, chunks: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The spans of keys of some chunks; an empty chunk has none."""
    for chunk in chunks:
        start, stop = int(offsets[chunk]), int(offsets[chunk + 1])
        if stop > start:
            yield start, stop


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ascending spans with those that touch made one."""
    start = stop = 0
    for first, last in spans:
        if first != stop:
            if stop > start:
                yield start, stop
            start = first
        stop = last
    if stop > start:
        yield start, stop
