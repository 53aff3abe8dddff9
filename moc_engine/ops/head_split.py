"""The heads and tokens of one sequence split over the processes of a group, as in Ulysses.

Between attentions each process has a part of the tokens, with all heads; within attention it has a part of
the heads, with all tokens. Two exchanges of all with all lead from one to the other (Jacobs et al.,
"DeepSpeed Ulysses", 2023). Nothing is padded: parts differ by one head or token where there is a remainder.

    tokens of this process ─ to_heads ─► heads of this process ─ attention ─ to_tokens ─► tokens

What comes out of `to_heads` is what `route` and `moc_attention` take: heads do not depend on each other, so
that each process gets the selection and the output of its heads.

Shapes: X tensors side by side, B batch, H heads of the model, N heads of this process, L tokens of the
sequence, S tokens of this process, D head width, E width of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


def part_of(count: int, part: int, parts: int) -> range:
    """The items of one of so many parts, as equal as can be; the first ones have one more."""
    size, more = divmod(count, parts)
    start = part * size + min(part, more)
    return range(start, start + size + (part < more))


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadSplit:
    """The place of this process, `rank`, among the `processes` of a `group` that compute one sequence.

    All processes of the group must call its methods in the same order. No gradients.
    """

    group: dist.ProcessGroup
    rank: int
    processes: int

    @classmethod
    def of(cls, group: dist.ProcessGroup) -> HeadSplit:
        """The split over all processes of a group."""
        return cls(group=group, rank=dist.get_rank(group), processes=dist.get_world_size(group))

    def check(self, heads: int, tokens: int) -> None:
        """Raises `ValueError` where some process would have no head, or no token."""
        for count, what in ((heads, "heads"), (tokens, "tokens")):
            if count < self.processes:
                raise ValueError(
                    f"processes: {count} {what} cannot be split over {self.processes} processes; "
                    f"use {count} or fewer"
                )

    def own(self, count: int) -> range:
        """The heads or tokens of this process, of so many."""
        return part_of(count, self.rank, self.processes)

    def own_tokens(self, x: Tensor, dim: int) -> Tensor:
        """The part of this process along a dimension of tokens."""
        own = self.own(x.shape[dim])
        return x.narrow(dim, own.start, len(own))

    @torch.no_grad()
    def to_heads(self, x_XBHSD: Tensor, tokens: int) -> Tensor:
        """All `tokens` of the heads of this process (X, B, N, L, D), from its tokens of all heads."""
        X, B, H, S, D = x_XBHSD.shape
        if len(self.own(tokens)) != S:
            raise ValueError(f"tokens: of {tokens} this process has {len(self.own(tokens))}, got {S}")
        self.check(H, tokens)
        N = len(self.own(H))
        heads, lengths = self._sizes(H), self._sizes(tokens)
        received = self._exchange(
            x_XBHSD.permute(2, 0, 1, 3, 4),
            [count * X * B * S * D for count in heads],
            [N * X * B * length * D for length in lengths],
        )
        parts = [part.view(N, X, B, length, D) for part, length in zip(received, lengths, strict=True)]
        return torch.cat(parts, dim=3).permute(1, 2, 0, 3, 4)

    @torch.no_grad()
    def to_tokens(self, x_BNLD: Tensor, heads: int) -> Tensor:
        """All `heads` of the tokens of this process (B, H, S, D), from its heads of all tokens."""
        B, N, L, D = x_BNLD.shape
        if len(self.own(heads)) != N:
            raise ValueError(f"heads: of {heads} this process has {len(self.own(heads))}, got {N}")
        S = len(self.own(L))
        counts, lengths = self._sizes(heads), self._sizes(L)
        received = self._exchange(
            x_BNLD.permute(2, 0, 1, 3),
            [length * B * N * D for length in lengths],
            [S * B * count * D for count in counts],
        )
        parts = [part.view(S, B, count, D) for part, count in zip(received, counts, strict=True)]
        return torch.cat(parts, dim=2).permute(1, 2, 0, 3)

    @torch.no_grad()
    def gather_tokens(self, x_BSE: Tensor, tokens: int) -> Tensor:
        """All tokens (B, L, E), on each process, from the tokens of each."""
        lengths = self._sizes(tokens)
        B, _, E = x_BSE.shape
        padded = x_BSE.new_zeros(B, max(lengths), E)
        padded[:, : x_BSE.shape[1]] = x_BSE
        parts = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(parts, padded, group=self.group)
        return torch.cat([part[:, :length] for part, length in zip(parts, lengths, strict=True)], dim=1)

    @torch.no_grad()
    def sum_(self, *tensors: Tensor) -> None:
        """Replaces each tensor by the sum over all processes."""
        for tensor in tensors:
            dist.all_reduce(tensor, dist.ReduceOp.SUM, group=self.group)

    @torch.no_grad()
    def least_(self, *tensors: Tensor) -> None:
        """Replaces each tensor by the least over all processes; NaN where one has it."""
        for tensor in tensors:
            gathered = [torch.empty_like(tensor) for _ in range(self.processes)]
            dist.all_gather(gathered, tensor, group=self.group)
            tensor.copy_(torch.stack(gathered).amin(dim=0))

    def _sizes(self, count: int) -> list[int]:
        return [len(part_of(count, rank, self.processes)) for rank in range(self.processes)]

    def _exchange(self, x: Tensor, given: list[int], received: list[int]) -> tuple[Tensor, ...]:
        """What each process has for this one: `given` numbers of `x`, in its order, are for each of them."""
        out: Tensor = x.new_empty(sum(received))
        dist.all_to_all_single(out, x.reshape(-1), received, given, group=self.group)
        return tuple(out.split(received))
