"""Correctness: what is to be timed, against one masked softmax in float64.

Shapes: H heads, n sampled queries, L queries, T keys of the whole story, C chunks of it, D head width.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from moc_engine.evaluation.benchmark.story import Story
from moc_engine.ops.selection import mask_of

SCALES: Final = (0.3, 1.0, 3.0, 30.0)
"""Scales of the inputs: scores grow by their square, so that softmax goes from flat to a single key."""

GRADIENT_SCALES: Final = (0.3, 1.0, 3.0)
"""Above, a query attends to one key and its gradients vanish in rounding, whoever computes them."""

SAMPLE: Final = 64
"""Queries whose output is compared, spread over the shot."""

GRADIENT_HEADS: Final = 2
"""Heads whose gradients are compared, for all queries."""

_QUERIES_AT_ONCE: Final = 256
_TOLERANCES: Final = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 1.5e-2}
_TF32: Final = 3e-3


def tolerance(dtype: torch.dtype, device: torch.device, scale: float, *, gradients: bool = False) -> float:
    """The largest relative error (Frobenius norm) that is right.

    In float32 it grows with the inputs, as the rounding error of the scores does; a GPU may compute products
    of float32 in tf32, whose error grows with the scores.
    """
    allowed = _TOLERANCES[dtype]
    if dtype == torch.float32:
        allowed = _TF32 * max(1.0, scale**2) if device.type == "cuda" else allowed * max(1.0, scale)
    return 3 * allowed if gradients else allowed


def sampled_queries(queries: int) -> Tensor:
    """The numbers of the sampled queries, the first and the last among them."""
    numbers: Tensor = torch.linspace(0, queries - 1, min(SAMPLE, queries)).round().long().unique()
    return numbers


def relative_error(found: Tensor, right: Tensor) -> float:
    """‖found - right‖ / ‖right‖; infinite where `found` is not finite or `right` is zero and it is not."""
    difference = (found.double() - right.double()).norm().item()
    size = right.double().norm().item()
    if difference == 0:
        return 0.0
    error = difference / size if size else float("inf")
    return error if error == error else float("inf")


def attended_chunks(story: Story, chosen_HLK: Tensor | None, *, own_shot: bool) -> Tensor:
    """Bool (H, L, C): the chunks of the whole story that are attended to (`chosen_HLK` None: all)."""
    H, L, C = story.case.heads, story.case.queries, story.layout.chunks
    if chosen_HLK is None:
        return torch.ones(H, L, C, dtype=torch.bool, device=story.q.device)
    mask = mask_of(chosen_HLK.long(), C)
    if own_shot:
        mask[..., story.history.chunks :] = True
    return mask


def reference_output(story: Story, mask_HLC: Tensor, queries: Tensor) -> Tensor:
    """The output (H, n, D) of the sampled queries in float64."""
    weights, _, v = _weights(story, mask_HLC, queries, slice(None))
    return weights @ v


def reference_gradients(story: Story, mask_HLC: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of q, k and v of the whole story in the first heads (h, L or T, D), in float64."""
    some = slice(0, heads)
    q, grad = (x[0, some].double() for x in (story.q, story.grad))
    dq = torch.zeros_like(q)
    dk = torch.zeros(heads, story.case.context, story.case.width, dtype=torch.float64, device=q.device)
    dv = torch.zeros_like(dk)
    for queries in torch.arange(story.case.queries, device=q.device).split(_QUERIES_AT_ONCE):
        weights, k, v = _weights(story, mask_HLC, queries, some)
        dout = grad[:, queries]
        dv += weights.transpose(1, 2) @ dout
        dweights = dout @ v.transpose(1, 2)
        mean = (weights * dweights).sum(dim=-1, keepdim=True)
        dscores = weights * (dweights - mean) * story.case.width**-0.5
        dq[:, queries] = dscores @ k
        dk += dscores.transpose(1, 2) @ q[:, queries]
    return dq, dk, dv


def _weights(story: Story, mask_HLC: Tensor, queries: Tensor, heads: slice) -> tuple[Tensor, Tensor, Tensor]:
    """Attention weights (h, n, T), and keys and values (h, T, D), in float64."""
    queries = queries.to(story.q.device)
    q, k, v = (x[0, heads].double() for x in (story.q, story.k, story.v))
    chunk_of_token = torch.tensor(story.layout.token_chunk).to(q.device)
    attended = mask_HLC[heads][:, queries][..., chunk_of_token]
    scores = q[:, queries] @ k.transpose(1, 2) * story.case.width**-0.5
    return scores.masked_fill(~attended, -torch.inf).softmax(dim=-1), k, v


def choice_error(story: Story, chosen_HLK: Tensor, queries: Tensor) -> float:
    """How much worse the worst chosen history chunk scores than the best k-th, over the sampled queries.

    In units of the scores' standard deviation; 0 where the choice is the best one. Infinite where a query
    has too few chunks, or one twice.
    """
    queries = queries.to(story.q.device)
    scores = story.q[0, :, queries].double() @ story.means[0].double().transpose(1, 2)
    chosen = chosen_HLK[:, queries].long()
    count = min(story.case.top_k, scores.shape[-1])
    mask = mask_of(chosen, scores.shape[-1])
    if not bool((mask.sum(dim=-1) == count).all()) or not bool(((chosen >= 0).sum(dim=-1) == count).all()):
        return float("inf")
    if not count:
        return 0.0
    best = scores.topk(count, dim=-1).values[..., -1]
    worst = scores.masked_fill(~mask, torch.inf).amin(dim=-1)
    return float(((best - worst) / scores.std()).amax().clamp(min=0))
