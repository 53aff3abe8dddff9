from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from moc_engine.models.animatic.model import ModelConfig, build, encode_texts, shot_text
from moc_engine.models.animatic.world import NAMES
from moc_engine.models.wan.texts import CaptionEncoder
from moc_engine.training.toon.text_distillation import (
    Teacher,
    TextRecipe,
    build_tokenizer,
    distil,
    sample_caption,
)

SMALL = ModelConfig(layers=1, heads=1, text_layers=1, text_width=32, text_heads=1, smoother_width=8)


@pytest.fixture(scope="module")
def embedded() -> Any:
    torch.manual_seed(0)
    return build(SMALL)


def test_all_words_of_generated_captions_are_known() -> None:
    tokenizer = build_tokenizer()
    unknown = tokenizer.unk_token_id
    for seed in range(60):
        caption = sample_caption(np.random.default_rng(seed))
        assert unknown not in tokenizer(caption).input_ids, caption
    assert tokenizer.tokenize("Mira waves") == ["mira", "waves"]


@torch.no_grad()
def test_a_word_is_taught_the_state_of_its_phrase(embedded: Any) -> None:
    tokenizer = build_tokenizer()
    source = Teacher(tokenizer, embedded.tokenizer, embedded.text_encoder)
    text = "Pip looks around in the mountains"
    tokens, wanted, mask = source.states([text, "Gus sits"])
    states, _ = encode_texts(embedded.tokenizer, embedded.text_encoder, [shot_text(text, NAMES)])
    words = tokens[0].tokens
    assert words[:7] == ["pip", "looks", "around", "in", "the", "mountains", "</s>"]
    assert mask[0].tolist() == [True, True, True, False, False, True, True]
    for at, state in ((0, 1), (1, 2), (2, 2), (5, 3), (6, 0)):  # <shot> <cast5> look snow
        torch.testing.assert_close(wanted[0, at], states[0, state], atol=1e-5, rtol=1e-4)
    assert not mask[1, 3:].any()


def test_distillation_comes_nearer_to_the_teacher(embedded: Any, tmp_path: Path) -> None:
    heard: list[float] = []
    recipe = TextRecipe(layers=1, steps=40, batch=8)
    tokenizer, encoder = distil(
        recipe, embedded.tokenizer, embedded.text_encoder, told=lambda _, error: heard.append(error)
    )
    assert len(heard) == 2
    assert heard[1] < 0.97 * heard[0]
    tokenizer.save_pretrained(tmp_path)
    states = CaptionEncoder(AutoTokenizer.from_pretrained(tmp_path), encoder).states("", "Mira waves")
    assert states.shape == (1, 512, 32)
    assert states[0, :3].abs().sum(dim=1).min() > 0.0
    assert not states[0, 3:].any()
