"""Captions of Wan models: cleaned as they were for training, and encoded by UMT5.

Shapes: S text states, E width of the states.
"""

from __future__ import annotations

import html
from typing import Any, Final

import ftfy
import torch
from torch import Tensor

TEXT_STATES: Final = 512
"""Wan was trained on captions padded with zeros to so many states, all of which it attends to."""


def cleaned(text: str) -> str:
    """The text with broken characters mended, HTML entities resolved, and single spaces."""
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


class CaptionEncoder:
    """The global caption and a shot's own, each encoded by itself, side by side within `TEXT_STATES`.

    Where both do not fit in, the shot's own words stay, and the end of the global caption is left out.
    """

    def __init__(self, tokenizer: Any, text_encoder: Any) -> None:
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder.eval()

    @property
    def tells_positions(self) -> bool:
        """Whether the tokenizer tells which token stands for which characters."""
        return bool(self.tokenizer.is_fast)

    @torch.no_grad()
    def states(self, global_caption: str, caption: str) -> Tensor:
        """The states (1, `TEXT_STATES`, E) of both captions, padded with zeros."""
        parts = [self._encoded(text, room) for text, room in self._shared_out(global_caption, caption)]
        found = torch.cat(parts)
        padding = found.new_zeros(TEXT_STATES - len(found), found.shape[1])
        return torch.cat((found, padding))[None]

    def own_start(self, global_caption: str, caption: str) -> int:
        """The index of the first state of the shot's own caption."""
        *before, _ = self._shared_out(global_caption, caption)
        return sum(self._read(text, room).input_ids.shape[1] for text, room in before)

    def left_out(self, global_caption: str, caption: str) -> tuple[int, int]:
        """How many tokens of the global and of the shot's own caption do not fit in."""
        wanted = [self._length(text) if text else 0 for text in (cleaned(global_caption), cleaned(caption))]
        own = min(TEXT_STATES, wanted[1])
        return max(0, wanted[0] - max(0, TEXT_STATES - own)), wanted[1] - own

    def read_own(self, caption: str) -> tuple[str, Any]:
        """The shot's own caption as it is encoded, and its tokens."""
        words = cleaned(caption)
        return words, self._read(words, TEXT_STATES)

    def _shared_out(self, global_caption: str, caption: str) -> list[tuple[str, int]]:
        """The captions to encode, and how many states each may have; the shot's own is the last."""
        style, own = cleaned(global_caption), cleaned(caption)
        if not style or not own:
            return [(style or own, TEXT_STATES)]
        room = TEXT_STATES - min(TEXT_STATES, self._length(own))
        return [(own, TEXT_STATES)] if room < 2 else [(style, room), (own, TEXT_STATES)]

    def _length(self, words: str) -> int:
        return len(self.tokenizer(words, truncation=False, verbose=False).input_ids)

    def _read(self, words: str, room: int) -> Any:
        """The tokens of one caption, without padding."""
        return self.tokenizer(words, truncation=True, max_length=room, return_tensors="pt")

    def _encoded(self, words: str, room: int) -> Tensor:
        """The states (S, E) of one caption, without padding."""
        read = self._read(words, room).to(self.text_encoder.device)
        states: Tensor = self.text_encoder(read.input_ids, read.attention_mask).last_hidden_state[0]
        return states
