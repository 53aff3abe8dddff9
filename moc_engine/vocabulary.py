"""The words that the embedded model knows: to underline unknown ones and to find names. No torch.

All functions ask the embedded model's family, which the registry of families finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.models.registry import Vocabulary, family_entry

EMBEDDED_PIPELINE: Final = "AnimaticPipeline"
"""The pipeline class of the embedded model."""


@cache
def embedded_vocabulary() -> Vocabulary:
    """The vocabulary of the embedded model."""
    vocabulary = family_entry(EMBEDDED_PIPELINE).vocabulary
    assert vocabulary is not None, "the embedded model has a closed vocabulary"
    return vocabulary()


def characters_per_shot() -> int:
    """How many characters one shot can show."""
    return embedded_vocabulary().CHARACTERS_PER_SHOT


def largest_cast() -> int:
    """How many cast members the embedded model tells apart."""
    return embedded_vocabulary().LARGEST_CAST


def words() -> dict[str, dict[str, tuple[str, ...]]]:
    """kind -> canonical word -> every word and phrase that means it."""
    return embedded_vocabulary().words()


def unknown_words(caption: str, cast: Sequence[str] = ()) -> list[tuple[str, int, int]]:
    """The words that the model does not know, each with its start and end in the caption."""
    return embedded_vocabulary().unknown_words(caption, cast)


def nearest_word(word: str) -> str | None:
    """The known word that is spelt most like `word`, if one is similar."""
    return embedded_vocabulary().nearest_word(word)


def find_names(captions: Iterable[str]) -> tuple[str, ...]:
    """Capitalised unknown words in order of appearance: the cast of a storyboard that lists none."""
    return embedded_vocabulary().find_names(captions)


def described_cast(caption: str, cast: Sequence[str]) -> tuple[str, ...]:
    """The cast members whose look the caption describes or changes: a shape, a colour, something worn."""
    return embedded_vocabulary().described_cast(caption, cast)


def describe(latents_CFHW: NDArray[np.float32], caption: str, cast: Sequence[str]) -> tuple[str, ...]:
    """Sentences about the looks in a finished shot of the embedded model that its caption does not tell."""
    return embedded_vocabulary().describe(latents_CFHW, caption, cast)
