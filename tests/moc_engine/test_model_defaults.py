"""What a model brings with it is known before it is loaded, and is what it has once it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from moc_engine.config import SamplerConfig
from moc_engine.errors import ModelMismatch
from moc_engine.model_defaults import model_defaults
from moc_engine.models.loading import load_backbone
from moc_engine.models.schedulers import flow_shift
from moc_engine.models.wan.defaults import NEGATIVE_PROMPT
from moc_engine.own_settings import OwnSettings
from tests.fakes.wan_folders import (
    fastwan_folder,
    wan22_i2v_folder,
    wan_a14b_folder,
    wan_euler_folder,
    wan_i2v_folder,
    wan_t2v_folder,
    wan_ti2v_folder,
    wan_vace_a14b_folder,
    wan_vace_folder,
)

Make = Callable[[Path], None]


@pytest.mark.parametrize(
    ("make", "sampler", "scheduler", "shift"),
    [
        (wan_t2v_folder, SamplerConfig(steps=50, guidance=5.0), "unipc", 3.0),
        (wan_euler_folder, SamplerConfig(steps=50, guidance=5.0), "euler", 3.0),
        (wan_ti2v_folder, SamplerConfig(steps=50, guidance=5.0), "unipc", 5.0),
        (wan_a14b_folder, SamplerConfig(steps=40, guidance=4.0, guidance_2=3.0), "unipc", 3.0),
        (wan_i2v_folder, SamplerConfig(steps=40, guidance=5.0), "unipc", 3.0),
        (wan22_i2v_folder, SamplerConfig(steps=40, guidance=3.5, guidance_2=3.5), "unipc", 3.0),
        (wan_vace_folder, SamplerConfig(steps=50, guidance=5.0), "unipc", 3.0),
        (wan_vace_a14b_folder, SamplerConfig(steps=50, guidance=5.0), "unipc", 3.0),
        (fastwan_folder, SamplerConfig(steps=3, guidance=1.0), None, None),
    ],
)
def test_each_variant_has_its_authors_settings(
    make: Make, sampler: SamplerConfig, scheduler: str | None, shift: float | None, tmp_path: Path
) -> None:
    make(tmp_path)
    own = model_defaults(str(tmp_path))
    assert own is not None
    assert (own.sampler, own.scheduler, own.shift) == (sampler, scheduler, shift)
    assert own.negative_prompt == ("" if make is fastwan_folder else NEGATIVE_PROMPT)
    backbone = load_backbone(tmp_path, "cpu")
    assert backbone.family.sampler == own.sampler
    if shift is not None:
        assert flow_shift(backbone.scheduler) == shift


@pytest.mark.parametrize(
    ("make", "size", "fps", "frames"),
    [(wan_t2v_folder, (832, 480), 16.0, 81), (wan_ti2v_folder, (1280, 704), 24.0, 121)],
)
def test_shots_of_the_trained_length_have_so_many_frames(
    make: Make, size: tuple[int, int], fps: float, frames: int, tmp_path: Path
) -> None:
    make(tmp_path)
    own = model_defaults(str(tmp_path))
    assert own is not None
    assert (own.size, own.fps, own.frames, own.frame_step) == (size, fps, frames, 4)
    assert own.seconds is not None
    assert own.seconds == pytest.approx(5.05, abs=0.02)
    family = load_backbone(tmp_path, "cpu").family
    latent_frames = family.latent_shape(own.seconds, size)[1]
    assert 1 + 4 * (latent_frames - 1) == frames


def test_the_size_is_that_of_the_larger_model(tmp_path: Path) -> None:
    wan_t2v_folder(tmp_path)
    file = tmp_path / "transformer" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "num_layers": 40}))
    own = model_defaults(str(tmp_path))
    assert own is not None
    assert own.size == (1280, 720)


def test_the_embedded_model_has_its_own(tmp_path: Path) -> None:
    own = model_defaults(None)
    assert own == OwnSettings(sampler=load_backbone(None, "cpu").family.sampler)
    assert own is not None
    assert own.seconds is None


def test_what_is_not_here_or_damaged_has_none(tmp_path: Path) -> None:
    assert model_defaults(str(tmp_path / "none")) is None
    wan_euler_folder(tmp_path / "wan")
    (tmp_path / "wan" / "scheduler" / "scheduler_config.json").write_text("{")
    assert model_defaults(str(tmp_path / "wan")) is None


def test_a_model_of_first_and_last_pictures_is_refused_in_words(tmp_path: Path) -> None:
    wan_i2v_folder(tmp_path)
    file = tmp_path / "transformer" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pos_embed_seq_len": 514}))
    with pytest.raises(ModelMismatch, match="needs a first and a last picture of each shot"):
        load_backbone(tmp_path, "cpu")
