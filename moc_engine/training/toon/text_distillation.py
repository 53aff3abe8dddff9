"""The toon model's text encoder: a small UMT5 that gives the states of the embedded model's text encoder.

Wan models read captions through UMT5. The embedded model's encoder reads canonical words and cast tokens;
this one learns to give the same states from captions as they are written, with the names of the generated
stories in them (distillation: arXiv 1503.02531). A word of a phrase gives the state of the phrase.

Shapes: R captions, T tokens, D width of the states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from moc_engine.models.animatic.captions import LOOK_PARTS, CaptionContent, write
from moc_engine.models.animatic.grammar import read
from moc_engine.models.animatic.lexicon import FILLERS, KINDS, TIMES
from moc_engine.models.animatic.model import SHOT, encode_words
from moc_engine.models.animatic.scene import CAST_SIZE, PROPS
from moc_engine.models.animatic.script import (
    NAMED,
    sample_colour,
    sample_look,
    sample_place,
    sample_set_kind,
    sample_shot,
    sample_weather,
)
from moc_engine.models.animatic.world import NAMES

PAD: Final = "<pad>"
END: Final = "</s>"
UNKNOWN: Final = "<unk>"
LONGEST: Final = 128
"""Words of the longest caption."""

_MARKS: Final = tuple(",;:.!?&-'")


@dataclass(frozen=True, kw_only=True)
class TextRecipe:
    """`layers` of the encoder, and how it is distilled: `steps` of `batch` captions each."""

    layers: int = 2
    steps: int = 400
    batch: int = 48
    learning_rate: float = 3e-3
    seed: int = 7


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word that the embedded model knows, per name of its stories, and per mark."""
    phrases = chain.from_iterable(chain.from_iterable(words.values()) for words in KINDS.values())
    known = chain.from_iterable(_split(text) for text in (*phrases, *FILLERS, *NAMES))
    vocabulary = dict.fromkeys((PAD, END, UNKNOWN, *_MARKS, *sorted(set(known))))
    tokenizer = Tokenizer(
        models.WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token=UNKNOWN)
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=LONGEST,
    )


def _split(text: str) -> list[str]:
    return [word for word, _ in pre_tokenizers.Whitespace().pre_tokenize_str(text.lower())]


def build_text_encoder(tokenizer: Any, *, width: int, layers: int) -> Any:
    """An untrained `UMT5EncoderModel` of states of `width`; seed torch first for the same weights."""
    heads = max(1, width // 32)
    return UMT5EncoderModel(
        UMT5Config(
            vocab_size=len(tokenizer),
            d_model=width,
            d_kv=width // heads,
            d_ff=2 * width,
            num_layers=layers,
            num_heads=heads,
            dropout_rate=0.0,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def sample_caption(rng: np.random.Generator) -> str:
    """The caption of a shot of the embedded model's world, with some looks described."""
    members = [int(i) for i in rng.choice(CAST_SIZE, int(rng.integers(1, 4)), replace=False)]
    looks = {i: sample_look(rng) for i in members}
    colours = [str(name) for name in rng.choice(list(NAMED), len(PROPS))]
    script = sample_shot(
        rng,
        place=sample_place(rng, sample_set_kind(rng)),
        cast=list(looks.items()),
        prop_colours=[(name, sample_colour(rng, name)) for name in colours],
        time=str(rng.choice(list(TIMES))),
        weather=sample_weather(rng),
        event_rate=0.1,
    )
    described = {
        i: tuple(
            part
            for part in LOOK_PARTS
            if rng.random() < 0.6 and (part != "accessory" or looks[i].accessory is not None)
        )
        for i in members
        if rng.random() < 0.5
    }
    content = CaptionContent(
        place=bool(rng.random() < 0.8),
        time=bool(rng.random() < 0.4),
        weather=bool(rng.random() < 0.4),
        looks={i: parts for i, parts in described.items() if parts},
        prop_colours=frozenset(p.kind for p in script.props if rng.random() < 0.4),
    )
    return write(script, NAMES, content, rng)


class Teacher:
    """The embedded model's states for each token of captions as they are written."""

    def __init__(self, tokenizer: Any, teacher_tokenizer: Any, teacher: Any) -> None:
        self._tokenizer = tokenizer
        self._words: dict[str, int] = teacher_tokenizer.get_vocab()
        self._encoder = teacher.eval()

    @property
    def width(self) -> int:
        return int(self._encoder.config.hidden_size)

    @torch.no_grad()
    def states(self, captions: Sequence[str]) -> tuple[Any, Tensor, Tensor]:
        """The tokens of captions, the wanted states (R, T, D), and the mask (R, T) of those that are wanted.

        Fillers have none; the end has the state of the mark before a caption.
        """
        tokens = self._tokenizer(
            list(captions), padding=True, return_tensors="pt", return_offsets_mapping=True
        )
        rows = [[word for word in read(text, NAMES) if word.meaning] for text in captions]
        longest = 1 + max(len(row) for row in rows)
        words = torch.zeros(len(rows), longest, dtype=torch.long)
        for row, found in enumerate(rows):
            numbers = [self._words[SHOT], *(self._words[str(word.meaning)] for word in found)]
            words[row, : len(numbers)] = torch.tensor(numbers)
        given, _ = encode_words(self._encoder, words)
        source = torch.full(tokens.input_ids.shape, -1)
        for row, found in enumerate(rows):
            spans = tokens.offset_mapping[row].tolist()
            for at, (start, end) in enumerate(spans):
                if end > start:
                    inside = (n for n, word in enumerate(found, 1) if word.start <= start < word.end)
                    source[row, at] = next(inside, -1)
            source[row, int(tokens.attention_mask[row].sum()) - 1] = 0
        wanted = given.gather(1, source.clamp(min=0)[..., None].expand(-1, -1, given.shape[2]))
        return tokens, wanted, source >= 0


def distil(
    recipe: TextRecipe,
    teacher_tokenizer: Any,
    teacher: Any,
    told: Callable[[int, float], None] = lambda *_: None,
) -> tuple[Any, Any]:
    """The tokenizer and the trained text encoder; `told` hears how much of the variance is not explained."""
    torch.manual_seed(recipe.seed)
    tokenizer = build_tokenizer()
    source = Teacher(tokenizer, teacher_tokenizer, teacher)
    encoder = build_text_encoder(tokenizer, width=source.width, layers=recipe.layers).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=recipe.learning_rate, weight_decay=0.0)
    for step in range(recipe.steps):
        rate = min(1.0, (step + 1) / 20) * max(0.02, 0.5 + 0.5 * math.cos(math.pi * step / recipe.steps))
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * rate
        rng = np.random.default_rng((recipe.seed, step))
        tokens, wanted, mask = source.states([sample_caption(rng) for _ in range(recipe.batch)])
        given = encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state
        error = (given - wanted)[mask].square().mean() / wanted[mask].var()
        optimizer.zero_grad(set_to_none=True)
        error.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 20 == 0:
            told(step + 1, float(error.detach()))
    return tokenizer, encoder.eval()
