from pathlib import Path

import pytest
import torch

from moc_engine.animatic.model import (
    CLOCK_RATES,
    INPUTS,
    ModelConfig,
    build,
    build_tokenizer,
    encode_texts,
    load,
    save,
    shot_text,
    story_text,
    velocity,
    with_marks,
)
from moc_engine.animatic.scene import CHANNELS, SLOTS
from moc_engine.errors import ModelNotFound
from moc_engine.vocabulary import WORDS

TINY = ModelConfig(layers=1, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)


def test_a_saved_model_reads_back_with_the_same_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build(TINY)
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    for part in ("transformer", "text_encoder"):
        before, after = getattr(model, part).state_dict(), getattr(again, part).state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert again.tokenizer.get_vocab() == model.tokenizer.get_vocab()
    assert not list(tmp_path.rglob("*.bin"))


def test_the_saved_tokenizer_reads_the_same_numbers(tmp_path: Path) -> None:
    model = build(TINY)
    save(model, tmp_path / "model")
    text = shot_text("Mira waves on the beach, close-up", ("Mira",))
    assert load(tmp_path / "model").tokenizer(text).input_ids == model.tokenizer(text).input_ids


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=tmp_path.name):
        load(tmp_path)


def test_the_default_model_is_at_most_30_megabytes() -> None:
    model = build()
    parameters = [*model.transformer.parameters(), *model.text_encoder.parameters()]
    assert sum(p.numel() * p.element_size() for p in parameters) <= 30e6


def test_every_word_has_a_number_of_its_own() -> None:
    tokenizer = build_tokenizer(longest=16)
    numbers = [tokenizer(word).input_ids for word in WORDS]
    assert all(len(n) == 1 and n[0] != tokenizer.unk_token_id for n in numbers)
    assert len({n[0] for n in numbers}) == len(WORDS)
    assert tokenizer.pad_token_id == 0


def test_global_and_own_captions_begin_differently_and_are_never_empty() -> None:
    assert story_text("night", ()) == "<story> night"
    assert shot_text("Zed waves", ("Zed",)) == "<shot> <cast1> wave"
    assert story_text("", ()) == "<story>"
    assert shot_text("", ()) == "<shot>"


def test_a_caption_reads_the_same_beside_a_longer_one() -> None:
    model = build(TINY)
    texts = ["<shot> <cast1> wave", "<shot> <cast2> and <cast3> walk right beach night"]
    with torch.no_grad():
        both, mask = encode_texts(model.tokenizer, model.text_encoder.eval(), texts)
        alone, _ = encode_texts(model.tokenizer, model.text_encoder, texts[:1])
    assert mask[0].sum() == alone.shape[1]
    torch.testing.assert_close(both[0, : alone.shape[1]], alone[0])


def test_slots_are_marked_by_a_one_of_their_own() -> None:
    marked = with_marks(torch.zeros(2, CHANNELS, 3, SLOTS, 1))
    assert marked.shape == (2, INPUTS, 3, SLOTS, 1)
    torch.testing.assert_close(marked[1, CHANNELS : CHANNELS + SLOTS, 2, :, 0], torch.eye(SLOTS))


def test_every_frame_is_marked_with_the_time_in_its_shot() -> None:
    clock = with_marks(torch.zeros(2, CHANNELS, 12, SLOTS, 1))[1, CHANNELS + SLOTS :, :, 5, 0]
    share, seconds, hands = clock[0], clock[1] * 4, clock[2:].unflatten(0, (-1, 2))
    torch.testing.assert_close(seconds, (torch.arange(12) + 0.5) / 6)
    torch.testing.assert_close(share, seconds - 1)
    for rate, (sine, cosine) in zip(CLOCK_RATES, hands, strict=True):
        torch.testing.assert_close(sine, torch.sin(2 * torch.pi * rate * seconds), atol=1e-5, rtol=0)
        torch.testing.assert_close(cosine, torch.cos(2 * torch.pi * rate * seconds), atol=1e-5, rtol=0)


def test_velocity_leads_from_a_noisy_latent_to_the_prediction() -> None:
    clean, noise = torch.randn(4, 3), torch.randn(4, 3)
    level = torch.tensor(0.7)
    noisy = torch.lerp(clean, noise, level)
    torch.testing.assert_close(velocity(noisy, clean, level), noise - clean)
    assert velocity(noisy, clean, torch.tensor(0.0)).isfinite().all()
