"""Choosing chunks: the best chunks of each query by the dot product with their mean keys.

    queries, means ─► scores, a tile of queries at a time ─► choose_chunks ─► drop-off, drop-in ─► indices

`route_queries` does all of it, for routing a layout, for denoising and for training alike. On CUDA devices
with Triton one kernel computes scores and choice (`ops.triton.top_k`), for float32 and half precision, up to
32 chunks a query and heads of up to 256; with the outer loop over shots, and elsewhere, it is done here.

Shapes: B batch, H heads, L queries, C chunks, D head width, K chosen chunks, R rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from moc_engine.config import RoutingConfig
from moc_engine.ops.autocast import without_autocast
from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.selection import mask_of

CPU_SCORES_AT_ONCE: Final = 1 << 20
SCORES_AT_ONCE: Final = 1 << 24
"""Queries are scored in tiles of at most so many scores (few enough for a CPU's cache): no L × C matrix."""

FEW: Final = 8
"""Up to so many chunks are found one after the other, which is faster than `topk`."""

_LEAST: Final = torch.iinfo(torch.int64).min
_LOW_HALF: Final = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True, eq=False)
class ChunkRules:
    """Which chunks queries may choose: `candidates` (bool) and `boosts` (float32) of R rules, (B or 1, R, C).

    Boosts are added to the scores; None: none. `of_query` (L, int64) is the rule of each query; None where
    one rule holds for all.
    """

    candidates: Tensor
    boosts: Tensor | None = None
    of_query: Tensor | None = None

    @property
    def shared(self) -> bool:
        """Whether all entries of a batch have the same rules."""
        return len(self.candidates) == 1 and (self.boosts is None or len(self.boosts) == 1)

    def tile(self, start: int, stop: int) -> tuple[Tensor, Tensor | None]:
        """Candidates and boosts of the queries start:stop, broadcastable to (B, 1, stop - start, C)."""
        return self._tile(self.candidates, start, stop), (
            None if self.boosts is None else self._tile(self.boosts, start, stop)
        )

    def _tile(self, x_BRC: Tensor, start: int, stop: int) -> Tensor:
        by_query = x_BRC if self.of_query is None else x_BRC.index_select(1, self.of_query[start:stop])
        return by_query[:, None]


@torch.no_grad()
def route_queries(
    q_BHLD: Tensor,
    means_BHCD: Tensor,
    rules: ChunkRules,
    config: RoutingConfig,
    *,
    layout: ChunkLayout | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The chunks that each query attends to: int64 (B, H, L, K), best first, -1 where there were too few.

    `means_BHCD` are the chunks' mean keys; all entries of the batch share them where their batch is 1.
    Scores are float32. K is the smaller of `config.top_k` and C, and more with drop-in. The outer loop over
    shots needs the `layout` of the chunks; drop-off and drop-in, for training, need a `generator`.
    """
    with without_autocast(q_BHLD.device.type):
        if chosen_by_kernel(q_BHLD, config):
            chosen = _choose_by_kernel(q_BHLD, means_BHCD.float(), rules, config)
        else:
            chosen = _choose_in_tiles(q_BHLD, means_BHCD.float(), rules, config, layout)
        return chosen if generator is None else _perturbed(chosen, rules, config, generator)


def has_kernels(device: torch.device) -> bool:
    """Whether Triton kernels run on a device."""
    return device.type == "cuda" and find_spec("triton") is not None


def chosen_by_kernel(q_BHLD: Tensor, config: RoutingConfig) -> bool:
    """Whether a kernel chooses the chunks of these queries."""
    if config.outer_shots is not None or not has_kernels(q_BHLD.device):
        return False
    from moc_engine.ops.triton.top_k import supports

    return supports(q_BHLD, config.top_k)


def _choose_by_kernel(q_BHLD: Tensor, means_BHCD: Tensor, rules: ChunkRules, config: RoutingConfig) -> Tensor:
    from moc_engine.ops.triton.top_k import best_chunks

    return best_chunks(
        q_BHLD,
        means_BHCD,
        rules.candidates,
        config.top_k,
        boosts_BRC=rules.boosts,
        rule_L=rules.of_query,
    )


def _choose_in_tiles(
    q_BHLD: Tensor, means_BHCD: Tensor, rules: ChunkRules, config: RoutingConfig, layout: ChunkLayout | None
) -> Tensor:
    B, H, L, D = q_BHLD.shape
    if B > 1 and len(means_BHCD) == 1 and rules.shared and rules.of_query is None:
        if q_BHLD.device.type == "cpu" and all(torch.equal(q_BHLD[0], q) for q in q_BHLD[1:]):
            chosen = _choose_in_tiles(q_BHLD[:1], means_BHCD, rules, config, layout)  # before any caption
            return chosen.repeat(B, 1, 1, 1)
        queries = q_BHLD.transpose(0, 1).reshape(1, H, B * L, D)
        chosen = _choose_in_tiles(queries, means_BHCD, rules, config, layout)
        return chosen.view(H, B, L, chosen.shape[-1]).transpose(0, 1).contiguous()
    if q_BHLD.device.type == "cpu" and rules.shared and rules.of_query is None:
        shots = None if config.outer_shots is None else _CandidateShots.of(rules, layout)
        if shots is not None or config.outer_shots is None:
            return _choose_among_candidates(q_BHLD, means_BHCD, rules, config, shots)
    tiles = []
    for start, stop in _tiles(L, B * H * means_BHCD.shape[2], q_BHLD.device):
        candidates, boosts = rules.tile(start, stop)
        scores = _scores(q_BHLD[:, :, start:stop], means_BHCD, boosts)
        tiles.append(choose_chunks(scores, candidates, config, layout=layout))
    return torch.cat(tiles, dim=2)


@dataclass(frozen=True, kw_only=True, eq=False)
class _CandidateShots:
    """The shots S of the candidates N, in story order, for the outer loop on a CPU.

    `positions_SC` are the places of each shot's chunks among the candidates, -1 behind them; `tokens_N` are
    the candidates' lengths, `tokens_S` their sums by shot.
    """

    positions_SC: Tensor
    tokens_N: Tensor
    tokens_S: Tensor

    @classmethod
    def of(cls, rules: ChunkRules, layout: ChunkLayout | None) -> _CandidateShots | None:
        """None where the candidates do not stand in the order of their shots."""
        if layout is None:
            raise ValueError("layout: the outer loop over shots needs it")
        numbers = np.flatnonzero(rules.candidates[0, 0].numpy())
        shots, tokens = layout.shot[numbers], layout.lengths[numbers]
        if not len(shots) or (np.diff(shots) < 0).any() or not tokens.all():
            return None
        _, first, counts = np.unique(shots, return_index=True, return_counts=True)
        within = np.arange(counts.max())
        positions = np.where(within < counts[:, None], first[:, None] + within, -1)
        return cls(
            positions_SC=torch.from_numpy(positions),
            tokens_N=torch.from_numpy(tokens).float(),
            tokens_S=torch.from_numpy(np.add.reduceat(tokens, first)).float(),
        )

    @property
    def ragged(self) -> bool:
        """Whether some shots have fewer chunks than others."""
        return self.positions_SC.numel() > len(self.tokens_N)

    def sums(self, x_NX: Tensor) -> Tensor:
        """Sums (…, S, X) over the tokens of each shot, of what its chunks (…, N, X) have."""
        weighted: Tensor = x_NX * self.tokens_N[:, None]
        if not self.ragged:
            by_shot: Tensor = weighted.unflatten(-2, self.positions_SC.shape)
            return by_shot.sum(dim=-2)
        shot_N = torch.arange(len(self.tokens_S)).repeat_interleave((self.positions_SC >= 0).sum(dim=1))
        summed: Tensor = one_hot(shot_N).T.float() @ weighted
        return summed

    def best(self, scores_BHLS: Tensor, count: int) -> Tensor:
        """Places (B, H, L, count · C) of the best shots' chunks among the candidates, ascending, -1 for none.

        `scores_BHLS` are the sums of scores over the tokens of a shot.
        """
        chosen = _best(scores_BHLS.div_(self.tokens_S), count).sort(dim=-1).values
        return self.positions_SC[chosen].flatten(-2)


def _choose_among_candidates(
    q_BHLD: Tensor,
    means_BHCD: Tensor,
    rules: ChunkRules,
    config: RoutingConfig,
    shots: _CandidateShots | None = None,
) -> Tensor:
    """The choice of queries that share one rule, on a CPU: only candidates are scored.

    With `shots` those of the best `config.outer_shots` alone may be chosen.
    """
    B, H, L, _ = q_BHLD.shape
    count = min(config.top_k, means_BHCD.shape[2])
    candidates, boosts = rules.candidates[0, 0], rules.boosts
    numbers = candidates.nonzero()[:, 0]
    if len(numbers) < len(candidates):
        means_BHCD = means_BHCD.index_select(2, numbers)
        boosts = None if boosts is None else boosts.index_select(2, numbers)
    outer = config.outer_shots
    if shots is None or outer is None or outer >= len(shots.tokens_S):  # all shots are near
        shots = outer = None
    sums = None if shots is None else shots.sums(means_BHCD)
    boost_sums = None if shots is None or boosts is None else shots.sums(boosts[..., None])[..., 0]
    tiles = []
    for start, stop in _tiles(L, B * H * len(numbers), q_BHLD.device):
        queries = q_BHLD[:, :, start:stop]
        scores = _scores(queries, means_BHCD, None if boosts is None else boosts[:, None])
        if shots is None or sums is None or outer is None:
            tiles.append(_best(scores, min(count, len(numbers))))
            continue
        near = shots.best(_scores(queries, sums, None if boost_sums is None else boost_sums[:, None]), outer)
        scores = scores.gather(-1, near.clamp(min=0)).masked_fill_(near < 0, -torch.inf)
        tiles.append(near.gather(-1, _best(scores, min(count, near.shape[-1]))))
    chosen = torch.cat(tiles, dim=2)
    if len(numbers) < len(candidates):
        chosen = numbers[chosen.clamp(min=0)].masked_fill_(chosen < 0, -1)
    if shots is not None and shots.ragged:
        chosen = chosen.gather(-1, (chosen < 0).int().argsort(dim=-1, stable=True))
    return pad(chosen, (0, count - chosen.shape[-1]), value=-1)


def _best(scores: Tensor, count: int) -> Tensor:
    """Indices of the best `count` of contiguous scores of candidates, on a CPU; overwrites the scores.

    Few are found one after the other by numpy, which is many times faster than torch here: `argmax` takes
    the first of equals, as `_top` does.
    """
    if count > FEW or not scores.numel() or not count:
        return _top(scores, torch.ones((), dtype=torch.bool), count)
    rows = scores.view(-1, scores.shape[-1]).numpy()
    flat, row = rows.reshape(-1), np.arange(len(rows)) * rows.shape[1]
    chosen = np.empty((len(rows), count), dtype=np.int64)
    values = np.empty((count, len(rows)), dtype=np.float32)
    for nth in range(count):
        best = rows.argmax(axis=1)
        chosen[:, nth] = best
        at = best + row
        flat.take(at, out=values[nth], mode="clip")
        if nth + 1 < count:
            flat[at] = -np.inf
    if not (values > -np.inf).all():  # scores that overflow, or NaN
        for nth in reversed(range(count)):
            flat[chosen[:, nth] + row] = values[nth]
        return _top(scores, torch.ones((), dtype=torch.bool), count)
    return torch.from_numpy(chosen).view(*scores.shape[:-1], count)


def _tiles(queries: int, scores_per_query: int, device: torch.device) -> list[tuple[int, int]]:
    """Tiles start:stop of the queries, at least one."""
    at_once = CPU_SCORES_AT_ONCE if device.type == "cpu" else SCORES_AT_ONCE
    tile = max(1, at_once // max(1, scores_per_query))
    return [(start, min(start + tile, queries)) for start in range(0, max(1, queries), tile)]


def _scores(q_BHLD: Tensor, means_BHCD: Tensor, boosts: Tensor | None) -> Tensor:
    """Dot products (B, H, L, C) in float32, and boosts."""
    scores = torch.matmul(q_BHLD.float(), means_BHCD.transpose(2, 3))
    return scores if boosts is None else scores.add_(boosts)


def choose_chunks(
    scores: Tensor, candidates: Tensor, config: RoutingConfig, *, layout: ChunkLayout | None = None
) -> Tensor:
    """The best chunks by their scores: int64 (..., K), best first, -1 where there were too few.

    `scores` (..., C) are float32, `candidates` bool and broadcasts against them; what is no candidate may
    hold anything, NaN too. Equal scores: the lower chunk wins. K is the smaller of `config.top_k` and C.

    `config.outer_shots` first keeps the shots whose mean key scores best (a dot product with a mean
    is the mean of dot products, so chunk scores suffice); it needs the `layout` of the chunks.
    """
    if config.outer_shots is not None:
        if layout is None:
            raise ValueError("layout: the outer loop over shots needs it")
        candidates = candidates & _best_shots(scores, candidates, config.outer_shots, layout)
    return _top(scores, candidates, config.top_k)


def _top(scores: Tensor, candidates: Tensor, count: int) -> Tensor:
    """Indices of the best `count` candidates along the last axis, -1 where there are fewer.

    Score and index are packed into one integer, which orders like the float and then by lower index,
    so that no two are equal and the choice does not depend on how `topk` treats ties.
    """
    width = scores.shape[-1]
    if width == 0:
        return scores.new_empty(scores.shape, dtype=torch.int64)
    bits = (scores.float() + 0.0).view(torch.int32)  # adding 0 makes -0 and 0 one
    keys = bits.bitwise_xor_((bits >> 31).bitwise_and_(0x7FFFFFFF)).long()
    keys.bitwise_left_shift_(32).add_(torch.arange(width - 1, -1, -1, device=scores.device))
    keys.masked_fill_(~candidates, _LEAST)
    if count > FEW:
        best = keys.topk(min(count, width), dim=-1)
        return best.indices.masked_fill(best.values == _LEAST, -1)
    chosen = []
    for _ in range(min(count, width)):
        largest = keys.amax(dim=-1, keepdim=True)
        index = width - 1 - largest.bitwise_and(_LOW_HALF)
        keys.scatter_(-1, index, _LEAST)
        chosen.append(index.masked_fill_(largest == _LEAST, -1))
    return torch.cat(chosen, dim=-1) if chosen else keys[..., :0]


def _best_shots(scores: Tensor, candidates: Tensor, count: int, layout: ChunkLayout) -> Tensor:
    """Whether each chunk (..., C) belongs to one of the best `count` shots of its query."""
    index, tokens = _shots(layout.shot.tobytes(), layout.lengths.tobytes(), scores.device)
    weight = candidates.float() @ tokens
    means = (scores.masked_fill(~candidates, 0.0).float() @ tokens) / weight.clamp(min=1.0)
    return mask_of(_top(means, weight > 0, count), tokens.shape[1])[..., index]


@lru_cache(maxsize=64)
def _shots(shot: bytes, lengths: bytes, device: torch.device) -> tuple[Tensor, Tensor]:
    """The index of each chunk's shot (C,), and the tokens of each chunk in the column of its shot (C, shots).

    Of the arrays of a layout; copied to the device once.
    """
    shots, shot_of_chunk = np.unique(np.frombuffer(shot, dtype=np.int64), return_inverse=True)
    tokens = np.zeros((len(shot_of_chunk), len(shots)), dtype=np.float32)
    tokens[np.arange(len(shot_of_chunk)), shot_of_chunk] = np.frombuffer(lengths, dtype=np.int64)
    return torch.tensor(shot_of_chunk).to(device), torch.tensor(tokens).to(device)


def _perturbed(
    chosen_BHLK: Tensor, rules: ChunkRules, config: RoutingConfig, generator: torch.Generator
) -> Tensor:
    """The chosen chunks after drop-off and drop-in: per query, a share p ~ U(0, drop_off) of them is
    dropped, and m ~ Poisson(drop_in) other candidates are added.
    """
    kept = _drop_off(chosen_BHLK, config.drop_off, generator) if config.drop_off else chosen_BHLK
    if config.drop_in:
        kept = torch.cat((kept, _drop_in(chosen_BHLK, rules, config.drop_in, generator)), dim=-1)
    return kept.gather(-1, (kept < 0).int().argsort(dim=-1, stable=True))


def _draw(shape: Sequence[int], like: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform numbers on the device of `like`, drawn there from a seed that a generator of another gives."""
    if generator.device != like.device:
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        generator = torch.Generator(like.device).manual_seed(seed)
    return torch.rand(tuple(shape), generator=generator, device=like.device)


def _drop_off(chosen: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """`chosen` with floor(p · k) of each query's k chunks replaced by -1, p ~ U(0, most)."""
    share = _draw(chosen.shape[:-1], chosen, generator) * most
    dropped = (share * (chosen >= 0).sum(dim=-1)).floor()
    order = _draw(chosen.shape, chosen, generator).masked_fill(chosen < 0, 2.0)
    rank = order.argsort(dim=-1, stable=True).argsort(dim=-1, stable=True)
    return chosen.masked_fill(rank < dropped[..., None], -1)


def _drop_in(chosen_BHLK: Tensor, rules: ChunkRules, mean: float, generator: torch.Generator) -> Tensor:
    """m ~ Poisson(mean) random candidates of each query that are not among its chosen, else -1."""
    B, H, L, _ = chosen_BHLK.shape
    chunks = rules.candidates.shape[-1]
    wanted = torch.poisson(torch.full((B, H, L), mean, device=generator.device), generator)
    width = min(chunks, int(wanted.max())) if wanted.numel() else 0  # waits for nothing on a CPU
    if wanted.device != chosen_BHLK.device:
        wanted = wanted.pin_memory().to(chosen_BHLK.device, non_blocking=True)
    added = []
    for start, stop in _tiles(L, B * H * chunks, chosen_BHLK.device):
        candidates, _ = rules.tile(start, stop)
        free = candidates & ~mask_of(chosen_BHLK[:, :, start:stop], chunks)
        drawn = _draw(free.shape, free, generator).masked_fill(~free, -1.0).topk(width, dim=-1)
        surplus = torch.arange(width, device=free.device) >= wanted[:, :, start:stop, None]
        added.append(drawn.indices.masked_fill(surplus | (drawn.values < 0), -1))
    return torch.cat(added, dim=2)
