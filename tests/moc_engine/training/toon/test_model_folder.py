import json
from pathlib import Path

import pytest
import torch

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.errors import ModelMismatch
from moc_engine.model_defaults import model_defaults
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.finding import find_model
from moc_engine.models.loading import load_backbone
from moc_engine.models.wan.caption_room import left_out
from moc_engine.models.wan.defaults import TrainedOn
from moc_engine.models.wan.family import WanFamily
from moc_engine.training.toon.model_folder import TransformerSize, build_transformer, save_model
from moc_engine.training.toon.picture_autoencoder import AutoencoderSize, build_autoencoder
from moc_engine.training.toon.text_distillation import build_text_encoder, build_tokenizer

TOLD = TrainedOn(fps=2.0, frames=2, size=(48, 32), steps=4, guidance=1.5, top_k=2, caption_states=20)
SIZE = TransformerSize(layers=2, heads=1, head_width=12)


def tiny_folder(folder: Path) -> None:
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    parts = {
        "tokenizer": tokenizer,
        "text_encoder": build_text_encoder(tokenizer, width=16, layers=1),
        "vae": build_autoencoder(AutoencoderSize(base=4, channels=4)),
        "transformer": build_transformer(SIZE, channels=4, text_width=16),
    }
    save_model(folder, parts, TOLD)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("toon")
    tiny_folder(made)
    return made


def test_the_studio_loads_it_as_any_wan_model(folder: Path) -> None:
    backbone = load_backbone(folder, "cpu")
    family = backbone.family
    assert isinstance(family, WanFamily)
    assert family.latent_shape(1.0, (48, 32)) == (4, 2, 4, 6)
    assert (family.trained_frames, family.negative_prompt) == (2, "")
    assert family.sampler == SamplerConfig(steps=4, guidance=1.5)
    assert family.routing == RoutingConfig(top_k=2, chunking="frame")
    states = family.captions("", "Mira waves", ("Mira",)).states_BSE
    assert states.shape == (1, 20, 16)
    assert family.mentions("", "Mira waves at Otto", ("Otto", "Mira")) == {"Otto": [3], "Mira": [0]}


def test_what_it_was_trained_on_is_known_before_it_is_loaded(folder: Path) -> None:
    own = model_defaults(str(folder))
    assert own is not None
    assert (own.fps, own.frames, own.frame_step, own.size) == (2.0, 2, 1, (48, 32))
    assert (own.seconds, own.negative_prompt, own.scheduler, own.shift) == (1.0, "", "euler", 3.0)
    assert own.sampler == SamplerConfig(steps=4, guidance=1.5)


def test_captions_share_the_room_that_it_was_trained_with(folder: Path) -> None:
    model = find_model(str(folder))
    style, own = "red " * 30, "Mira waves at Otto"  # each with its end
    assert left_out(model, style, own) == LeftOut(style=16, own=0)
    family = load_backbone(folder, "cpu").family
    assert isinstance(family, WanFamily)
    assert family.left_out(style, own) == LeftOut(style=16, own=0)
    assert family.left_out("", "red " * 30) == LeftOut(style=0, own=11)


@pytest.mark.parametrize("change", [{"fps": 0.0}, {"size": [48]}, {"steps": 0}, {"speed": 3}])
def test_a_damaged_record_is_refused(change: dict[str, object], folder: Path, tmp_path: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["trained_on"] |= change
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    for part in folder.iterdir():
        if part.is_dir():
            (tmp_path / part.name).symlink_to(part, target_is_directory=True)
    with pytest.raises(ModelMismatch, match=r"trained_on in model_index\.json is damaged"):
        load_backbone(tmp_path, "cpu")


@torch.no_grad()
def test_an_untrained_transformer_predicts_no_velocity() -> None:
    transformer = build_transformer(SIZE, channels=4, text_width=16)
    latents, time = torch.randn(1, 4, 2, 4, 6), torch.tensor([500.0])
    assert not transformer(latents, time, torch.randn(1, 5, 16), return_dict=False)[0].any()
