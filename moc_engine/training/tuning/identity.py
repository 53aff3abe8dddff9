"""A loss beside that of the velocity: who is where, told from tokens in the middle of the transformer.

A memory can be looked up by a name only where the tokens of both shots carry it, and nothing asks tokens to
carry names before memories are looked up by them. Supervision of a hidden layer (Lee et al.,
"Deeply-supervised nets", AISTATS 2015) asks for it from the first step. The classifier is fixed (Hoffer et
al., "Fix your classifier", ICLR 2018): a code for each label, all orthogonal; so a run has no weights but the
model's.

Shapes: R rows, B · P memories and then B · M noisy shots; S tokens of a row, E their width; F, H, W frames
and sides in latents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool3d, normalize

from moc_engine.training.tuning.batch import TuningBatch
from moc_engine.training.tuning.draws import TuningDraw

SHARPNESS: Final = 16.0
"""What cosines are multiplied by to become logits."""

NOT_ASKED: Final = -100


@contextmanager
def middle_tokens(blocks: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Collects the tokens (R, S, E) behind the middle one of a transformer's blocks, call by call.

    Of no blocks there are none.
    """
    found: list[Tensor] = []
    if not blocks:
        yield found
        return

    def keep(block: nn.Module, inputs: Any, tokens: Tensor) -> None:
        found.append(tokens)

    handle = blocks[(len(blocks) - 1) // 2].register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


def identity_loss(
    tokens_RSE: Tensor, batch: TuningBatch, draw: TuningDraw, patch: tuple[int, int, int]
) -> Tensor:
    """The mean cross-entropy of the labels of all tokens, in float32; 0 for a batch without labels.

    A token's label is the greatest within its `patch`. Noisy shots without a caption are not asked, nor is
    what lies behind the end of a shot.
    """
    if batch.identities is None:
        return tokens_RSE.new_zeros((), dtype=torch.float32)
    labels_BNS = _by_token(batch, patch)
    noisy = labels_BNS[:, list(draw.denoised)].masked_fill(draw.without_caption[..., None], NOT_ASKED)
    labels = torch.cat((labels_BNS[:, : draw.memories].flatten(0, 1), noisy.flatten(0, 1)))
    known = codes(int(labels.max()) + 1, tokens_RSE.shape[-1]).to(tokens_RSE.device)
    logits = SHARPNESS * normalize(tokens_RSE.float(), dim=-1) @ known.T
    return cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=NOT_ASKED)


@cache
def codes(count: int, width: int) -> Tensor:
    """The codes (count, width) of the labels: orthogonal unit vectors, each the same for any count.

    Raises `ValueError` for more of them than the width has room for.
    """
    if count > width:
        raise ValueError(f"identity: tokens of width {width} tell at most {width} apart, got {count}")
    drawn = torch.randn(width, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(drawn).Q
    return basis.T[:count].float()


def _by_token(batch: TuningBatch, patch: tuple[int, int, int]) -> Tensor:
    """The label (B, N, S) of each token."""
    assert batch.identities is not None
    real_BNF = torch.arange(batch.identities.shape[2]) < torch.tensor(batch.frames)[..., None]
    labels = batch.identities.masked_fill(~real_BNF.to(batch.identities.device)[..., None, None], NOT_ASKED)
    pooled = max_pool3d(labels.flatten(0, 1).float()[:, None], patch, patch)
    by_token: Tensor = pooled.flatten(1).long().unflatten(0, batch.identities.shape[:2])
    return by_token
