"""The prompt in which HunyuanVideo's language model reads captions, and its room for tokens. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.token_counting import counting_tokenizer
from moc_engine.sources.parts import PipelineParts

TEXT_STATES: Final = 256
"""Tokens that the language model reads of a caption, those that end the prompt among them."""

TEMPLATE: Final = (
    "<|start_header_id|>system<|end_header_id|>\n\nDescribe the video by detailing the following aspects: "
    "1. The main content and theme of the video."
    "2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects."
    "3. Actions, events, behaviors temporal relationships, physical movement changes of the objects."
    "4. background environment, light, style and atmosphere."
    "5. camera angles, movements, and transitions used in the video:<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
)
"""The prompt that it was trained with (`PROMPT_TEMPLATE_ENCODE_VIDEO` of Tencent-Hunyuan/HunyuanVideo)."""

TEMPLATE_TOKENS: Final = 95
"""Tokens of the prompt before the caption, whose states are left out."""


class PromptRoom:
    """What the language model reads of captions; `tokens` counts those of a text with those of its start."""

    def __init__(self, tokens: Callable[[str], int]) -> None:
        self._tokens = tokens

    def prompt(self, global_caption: str, caption: str) -> str:
        """The prompt with the shot's own caption, and as many first words of the global one as have room."""
        return TEMPLATE.format(fitted(global_caption, caption, self._fits))

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        """How many tokens of the two captions are not read."""
        own = max(0, self._length(caption) - TEXT_STATES)
        whole, read = joined(global_caption, caption), fitted(global_caption, caption, self._fits)
        return LeftOut(style=self._length(whole) - self._length(read), own=own)

    def _length(self, text: str) -> int:
        return self._tokens(TEMPLATE.format(text)) - TEMPLATE_TOKENS

    def _fits(self, text: str) -> bool:
        return self._length(text) <= TEXT_STATES


def left_out(model: PipelineParts, global_caption: str, caption: str) -> LeftOut | None:
    """What of two captions a model does not read; None where its tokenizer is not one file to count with."""
    tokenizer = counting_tokenizer(model)
    if tokenizer is None:
        return None
    return PromptRoom(lambda text: len(tokenizer.encode(text).ids)).left_out(global_caption, caption)


def joined(global_caption: str, caption: str) -> str:
    """Both captions as one text, the global one first."""
    return " ".join(text for text in (global_caption.strip(), caption.strip()) if text)


def fitted(global_caption: str, caption: str, fits: Callable[[str], bool]) -> str:
    """The longest text that fits, of the first words of the global caption and all of the shot's own."""
    if fits(joined(global_caption, caption)):
        return joined(global_caption, caption)
    words = global_caption.split()
    fewest, most = 0, len(words)
    while most - fewest > 1:
        middle = (fewest + most) // 2
        fewest, most = (middle, most) if fits(joined(" ".join(words[:middle]), caption)) else (fewest, middle)
    return joined(" ".join(words[:fewest]), caption)
