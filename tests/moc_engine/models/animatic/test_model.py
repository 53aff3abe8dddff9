import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.models.animatic.model import (
    ModelConfig,
    build,
    build_tokenizer,
    encode_texts,
    load,
    save,
    shot_text,
    story_text,
    velocity,
)
from moc_engine.models.animatic.smoother import Smoother
from moc_engine.models.animatic.words import WORDS

TINY = ModelConfig(layers=1, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)


def test_a_saved_model_reads_back_with_the_same_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build(TINY)
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    for part in ("transformer", "smoother", "text_encoder"):
        before, after = getattr(model, part).state_dict(), getattr(again, part).state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert again.tokenizer.get_vocab() == model.tokenizer.get_vocab()
    assert not list(tmp_path.rglob("*.bin"))


def test_the_saved_tokenizer_gives_the_same_token_ids(tmp_path: Path) -> None:
    model = build(TINY)
    save(model, tmp_path / "model")
    text = shot_text("Mira waves on the beach, close-up", ("Mira",))
    assert load(tmp_path / "model").tokenizer(text).input_ids == model.tokenizer(text).input_ids


def test_an_error_names_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=tmp_path.name):
        load(tmp_path)


def test_a_model_without_a_part_is_reported_as_another_version(tmp_path: Path) -> None:
    save(build(TINY), tmp_path)
    index = tmp_path / "model_index.json"
    parts = json.loads(index.read_text())
    del parts["smoother"]
    index.write_text(json.dumps(parts))
    with pytest.raises(ModelMismatch, match="has no smoother"):
        load(tmp_path)


@pytest.mark.parametrize("spoilt", ["missing", "unknown", "misshapen"])
@pytest.mark.parametrize("part", ["transformer", "smoother", "text_encoder"])
def test_weights_that_do_not_match_the_config_are_refused(tmp_path: Path, part: str, spoilt: str) -> None:
    save(build(TINY), tmp_path)
    (file,) = (tmp_path / part).glob("*.safetensors")
    weights = load_file(file)
    first = min(weights)
    match spoilt:
        case "missing":
            del weights[first]
        case "unknown":
            weights["unheard"] = torch.zeros(2)
        case _:
            weights[first] = torch.cat((weights[first], weights[first]))
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelMismatch, match=f"the {part.replace('_', ' ')}'s weights"):
        load(tmp_path)


def test_a_text_encoder_with_other_name_tokens_is_refused(tmp_path: Path) -> None:
    model = build(TINY)
    model.text_encoder.config.names = model.text_encoder.config.names[1:]
    save(model, tmp_path)
    with pytest.raises(ModelMismatch, match="marks names otherwise"):
        load(tmp_path)


def test_an_error_names_the_pipeline_of_another_family(tmp_path: Path) -> None:
    save(build(TINY), tmp_path)
    index = tmp_path / "model_index.json"
    index.write_text(index.read_text().replace("AnimaticPipeline", "WanPipeline"))
    with pytest.raises(ModelMismatch, match="is a WanPipeline"):
        load(tmp_path)


def test_module_names_in_the_model_index_are_ignored(tmp_path: Path) -> None:
    """Folders saved before a module was renamed still load."""
    save(build(TINY), tmp_path)
    index = tmp_path / "model_index.json"
    index.write_text(index.read_text().replace(Smoother.__module__, "moc_engine.animatic.smoother"))
    assert "moc_engine.animatic.smoother" in index.read_text()
    assert isinstance(load(tmp_path).smoother, Smoother)


@pytest.mark.parametrize("file", ["model_index.json", "transformer/config.json", "text_encoder/config.json"])
@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_json_files_are_reported(tmp_path: Path, file: str, content: str) -> None:
    save(build(TINY), tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(ModelNotFound):
        load(tmp_path)


def test_the_default_model_is_at_most_30_megabytes() -> None:
    model = build()
    parts = (model.transformer, model.smoother, model.text_encoder)
    assert sum(p.numel() * p.element_size() for part in parts for p in part.parameters()) <= 30e6


def test_every_word_has_its_own_token_id() -> None:
    tokenizer = build_tokenizer(longest=16)
    numbers = [tokenizer(word).input_ids for word in WORDS]
    assert all(len(n) == 1 and n[0] != tokenizer.unk_token_id for n in numbers)
    assert len({n[0] for n in numbers}) == len(WORDS)
    assert tokenizer.pad_token_id == 0


def test_global_and_shot_captions_start_with_different_tokens() -> None:
    assert story_text("night", ()) == "<story> night"
    assert shot_text("Zed waves", ("Zed",)) == "<shot> <cast1> wave"
    assert story_text("", ()) == "<story>"
    assert shot_text("", ()) == "<shot>"


def test_padding_does_not_change_caption_states() -> None:
    model = build(TINY)
    texts = ["<shot> <cast1> wave", "<shot> <cast2> and <cast3> walk right beach night"]
    with torch.no_grad():
        both, mask = encode_texts(model.tokenizer, model.text_encoder.eval(), texts)
        alone, _ = encode_texts(model.tokenizer, model.text_encoder, texts[:1])
    assert mask[0].sum() == alone.shape[1]
    torch.testing.assert_close(both[0, : alone.shape[1]], alone[0])


def test_velocity_points_from_the_prediction_to_the_noise() -> None:
    clean, noise = torch.randn(4, 3), torch.randn(4, 3)
    level = torch.tensor(0.7)
    noisy = torch.lerp(clean, noise, level)
    torch.testing.assert_close(velocity(noisy, clean, level), noise - clean)
    assert velocity(noisy, clean, torch.tensor(0.0)).isfinite().all()
