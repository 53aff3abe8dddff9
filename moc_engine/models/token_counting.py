"""Tokenizers that count a caption's tokens before a model is loaded. No torch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from moc_engine.sources.parts import PipelineParts


def counting_tokenizer(model: PipelineParts) -> Tokenizer | None:
    """The tokenizer of a model, which cuts and pads nothing; None where it is not one tokenizer.json."""
    file = model.part("tokenizer").path / "tokenizer.json"
    return _kept(file) if file.is_file() else None


@lru_cache(maxsize=2)
def _kept(file: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
