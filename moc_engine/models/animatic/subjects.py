"""Whom each word of a caption is about, as far as counting names tells.

"Mira waves and Otto sits. Otto is blue": to which of the characters that a shot shows a word belongs is a
matter of counting names, which a small text encoder learns slowly. Here it is counted, and marked on each
word as its token type (segment embeddings: BERT, arXiv 1810.04805).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from moc_engine.models.animatic.scene import CHARACTER_SLOTS

NOBODY: Final = 0
ANOTHER: Final = 1 + len(CHARACTER_SLOTS)
"""Beyond the characters that one shot shows."""

SUBJECTS: Final = 1 + ANOTHER
"""How many marks there are, those two included."""


def subjects(words_RW: Tensor, names: Sequence[int]) -> Tensor:
    """(R, W): whom the last name up to each word names; `NOBODY` before any.

    Characters are numbered from 1 in the order in which their row names them first. `names` are the numbers
    of those words that are names.
    """
    numbers = torch.tensor(names, device=words_RW.device)
    named = (words_RW[..., None] == numbers).cummax(dim=1).values  # (R, W, names): so far
    order = named.sum(dim=2)
    first_use = (words_RW[:, :, None] == words_RW[:, None, :]).int().argmax(dim=2)
    place = torch.arange(words_RW.shape[1], device=words_RW.device)
    latest = torch.where(torch.isin(words_RW, numbers), place, -1).cummax(dim=1).values
    subject = order.gather(1, first_use).gather(1, latest.clamp(min=0)).clamp(max=ANOTHER)
    return torch.where(latest < 0, NOBODY, subject)
