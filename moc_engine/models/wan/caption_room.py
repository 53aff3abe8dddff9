"""How the global caption and a shot's own share the states that a Wan model reads. No torch."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any, Final

import ftfy

from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.token_counting import counting_tokenizer
from moc_engine.models.wan.defaults import trained_on
from moc_engine.sources.parts import PipelineParts

TEXT_STATES: Final = 512
"""Wan was trained on captions padded with zeros to so many states, all of which it attends to."""

LEAST: Final = 2
"""Tokens without which a caption is not encoded: one, and its end."""


def caption_states_of(index: Mapping[str, Any]) -> int:
    """The text states that a pipeline reads: `TEXT_STATES`, but for one that was trained with others."""
    told = trained_on(index)
    return TEXT_STATES if told is None else told.caption_states


def cleaned(text: str) -> str:
    """The text with broken characters mended, HTML entities resolved, and single spaces."""
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


def shared_room(style: int, own: int, states: int) -> tuple[int, int]:
    """The tokens that are read of a global caption and of a shot's own, of which there are so many, within
    `states`.

    The shot's own words stay, and the end of the global caption gives way.
    """
    read = min(own, states)
    room = states - read
    return (0 if room < LEAST else min(style, room)), read


def left_out(model: PipelineParts, global_caption: str, caption: str) -> LeftOut | None:
    """What of two captions a model does not read; None where its tokenizer is not one file to count with."""
    tokenizer = counting_tokenizer(model)
    if tokenizer is None:
        return None
    of_style, of_own = (
        len(tokenizer.encode(text).ids) if text else 0 for text in (cleaned(global_caption), cleaned(caption))
    )
    style, own = shared_room(of_style, of_own, caption_states_of(model.index))
    return LeftOut(style=of_style - style, own=of_own - own)
