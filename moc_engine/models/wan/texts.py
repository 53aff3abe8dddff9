"""Captions of Wan models: cleaned as they were for training, and encoded by UMT5.

Shapes: S text states, E width of the states.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.wan.caption_room import TEXT_STATES, cleaned, shared_room


class CaptionEncoder:
    """The global caption and a shot's own, each encoded by itself, side by side within `room` states."""

    def __init__(self, tokenizer: Any, text_encoder: Any, room: int = TEXT_STATES) -> None:
        self.room = room
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder.eval()

    @property
    def tells_positions(self) -> bool:
        """Whether the tokenizer tells which token stands for which characters."""
        return bool(self.tokenizer.is_fast)

    @torch.no_grad()
    def states(self, global_caption: str, caption: str) -> Tensor:
        """The states (1, `room`, E) of both captions, padded with zeros."""
        style, own = self._rooms(global_caption, caption)
        parts = [
            self._encoded(text, room) for text, room in ((global_caption, style), (caption, own)) if room
        ]
        found = torch.cat(parts or [self._encoded("", self.room)])
        padding = found.new_zeros(self.room - len(found), found.shape[1])
        return torch.cat((found, padding))[None]

    def unpadded(self, caption: str) -> Tensor:
        """The states (S, E) of one caption by itself, without padding: of its first `TEXT_STATES` tokens."""
        return self._encoded(caption, TEXT_STATES)

    def own_start(self, global_caption: str, caption: str) -> int:
        """The index of the first state of the shot's own caption."""
        return self._rooms(global_caption, caption)[0]

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        """How much of the two captions is not read."""
        style, own = self._rooms(global_caption, caption)
        return LeftOut(style=self._length(global_caption) - style, own=self._length(caption) - own)

    def read_own(self, caption: str) -> tuple[str, Any]:
        """The shot's own caption as it is encoded, and its tokens."""
        words = cleaned(caption)
        return words, self._read(words, self.room)

    def _rooms(self, global_caption: str, caption: str) -> tuple[int, int]:
        """The tokens that are read of each caption."""
        return shared_room(self._length(global_caption), self._length(caption), self.room)

    def _length(self, text: str) -> int:
        words = cleaned(text)
        return len(self.tokenizer(words, truncation=False, verbose=False).input_ids) if words else 0

    def _read(self, words: str, room: int) -> Any:
        """The tokens of one caption, without padding."""
        return self.tokenizer(words, truncation=True, max_length=room, return_tensors="pt")

    @torch.no_grad()
    def _encoded(self, text: str, room: int) -> Tensor:
        """The states (S, E) of one caption, without padding."""
        read = self._read(cleaned(text), room).to(self.text_encoder.device)
        states: Tensor = self.text_encoder(read.input_ids, read.attention_mask).last_hidden_state[0]
        return states
