"""The subject of each word of a caption: the character that was named last.

In "Mira waves and Otto sits. Otto is blue", "blue" belongs to the second character. A small text encoder
learns this slowly, so it is computed here and passed as the token type of each word (segment embeddings:
BERT, arXiv 1810.04805).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from moc_engine.models.animatic.scene import CHARACTER_SLOTS

NOBODY: Final = 0
ANOTHER: Final = 1 + len(CHARACTER_SLOTS)
"""The subject number of any character beyond those that one shot can show."""

SUBJECTS: Final = 1 + ANOTHER
"""The number of subjects, including `NOBODY` and `ANOTHER`."""


def subjects(words_RW: Tensor, names: Sequence[int]) -> Tensor:
    """The subjects (R, W) of words: the number of the character named last, `NOBODY` before any name.

    Characters are numbered from 1 in the order of their first mention in the row. `names` has the token ids
    of names.
    """
    numbers = torch.tensor(names, device=words_RW.device)
    named = (words_RW[..., None] == numbers).cummax(dim=1).values  # (R, W, names): so far
    order = named.sum(dim=2)
    first_use = (words_RW[:, :, None] == words_RW[:, None, :]).int().argmax(dim=2)
    place = torch.arange(words_RW.shape[1], device=words_RW.device)
    latest = torch.where(torch.isin(words_RW, numbers), place, -1).cummax(dim=1).values
    subject = order.gather(1, first_use).gather(1, latest.clamp(min=0)).clamp(max=ANOTHER)
    return torch.where(latest < 0, NOBODY, subject)
