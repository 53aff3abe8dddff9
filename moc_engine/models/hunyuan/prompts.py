"""Captions of HunyuanVideo: read by a language model within a prompt, and by CLIP as one vector.

Shapes: S text states, E width of the states.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from moc_engine.models.base import CaptionStates
from moc_engine.models.caption_cache import Encoded
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.hunyuan.prompt_room import TEMPLATE_TOKENS, TEXT_STATES, PromptRoom, fitted

CLIP_TOKENS: Final = 77
"""Tokens of which CLIP makes its vector; what it does not read, the language model does."""

SKIPPED_LAYERS: Final = 2
"""The last layers of the language model, whose states are not used."""


class StatesBeforeLast(nn.Module):
    """A language model whose states are those before its last `SKIPPED_LAYERS`, without the prompt's."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Encoded:
        read = self.model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        states: Tensor = read.hidden_states[-1 - SKIPPED_LAYERS]
        return Encoded(last_hidden_state=states[:, TEMPLATE_TOKENS:])


class CaptionEncoder:
    """Encodes a global caption and a shot's own as one text.

    `text_encoder` returns `Encoded` states; `clip` is a text model of CLIP. Where the two captions are too
    long for an encoder, it reads the shot's own, and as many first words of the global one as there is room.
    """

    def __init__(self, tokenizer: Any, text_encoder: Any, clip_tokenizer: Any, clip: Any) -> None:
        self._tokenizer = tokenizer
        self._text_encoder = text_encoder
        self._room = PromptRoom(lambda text: len(tokenizer(text, truncation=False, verbose=False).input_ids))
        self._clip_tokenizer = clip_tokenizer
        self._clip = clip

    @torch.no_grad()
    def states(self, global_caption: str, caption: str) -> CaptionStates:
        """The states (1, S, E) of both captions, as many as there are tokens, and CLIP's vector (1, E)."""
        read = self._tokenizer(
            self._room.prompt(global_caption, caption),
            truncation=True,
            max_length=TEMPLATE_TOKENS + TEXT_STATES,
            return_tensors="pt",
        )
        device = self._text_encoder.device
        found = self._text_encoder(read.input_ids.to(device), read.attention_mask.to(device))
        text = fitted(global_caption, caption, self._fits_clip)
        short = self._clip_tokenizer(text, truncation=True, max_length=CLIP_TOKENS, return_tensors="pt")
        pooled: Tensor = self._clip(short.input_ids.to(self._clip.device)).pooler_output
        return CaptionStates(states_BSE=found.last_hidden_state, pooled_BE=pooled.to(device))

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        """How many tokens of the two captions the language model does not read."""
        return self._room.left_out(global_caption, caption)

    def _fits_clip(self, text: str) -> bool:
        return len(self._clip_tokenizer(text, truncation=False, verbose=False).input_ids) <= CLIP_TOKENS
