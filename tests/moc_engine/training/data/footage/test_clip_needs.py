"""What clips must be like for a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.errors import ModelMismatch
from moc_engine.model_index import EMBEDDED
from moc_engine.models.finding import find_model
from moc_engine.training.data.footage.clip_needs import ClipNeeds, checked, needs_of
from tests.fakes.wan_folders import wan_t2v_folder, wan_ti2v_folder


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [(0.0, 0), (0.25, 0), (5 / 16, 5), (8.9 / 16, 5), (9 / 16, 9), (81 / 16, 81), (100.0, 81)],
)
def test_frames_come_in_whole_groups(seconds: float, frames: int) -> None:
    assert ClipNeeds().frames_of(seconds) == frames


def test_an_autoencoder_of_single_frames_takes_any_number() -> None:
    needs = ClipNeeds(rate=8, frame_step=1, frames=10)
    assert [needs.frames_of(n / 8) for n in range(13)] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]


def test_sizes_have_no_more_pixels_and_sides_of_whole_tokens() -> None:
    sizes = ClipNeeds(size=(832, 480), side=16).sizes()
    assert sizes[0] == (832, 480)
    assert (480, 832) in sizes
    assert all(width * height <= 832 * 480 for width, height in sizes)
    assert all(width % 16 == height % 16 == 0 for width, height in sizes)
    assert {width > height for width, height in sizes} == {True, False}


def test_the_bytes_of_latents() -> None:
    needs = ClipNeeds(latent_bytes=4 * 16 / 64)  # float32, 16 channels, 8 pixels a side
    assert needs.bytes_of(81, (832, 480)) == 4 * 16 * 21 * 104 * 60


def test_the_needs_of_models(tmp_path: Path) -> None:
    wan_t2v_folder(tmp_path / "wan")
    needs = needs_of(find_model(tmp_path / "wan"))
    assert (needs.rate, needs.frame_step, needs.frames, needs.size, needs.side) == (16, 4, 81, (832, 480), 16)
    assert needs.latent_bytes == 1.0
    assert needs.left_out is not None
    left_out = needs.left_out("", "fox " * 600)
    assert left_out is not None
    assert left_out.own > 80
    wan_ti2v_folder(tmp_path / "5b")
    needs = needs_of(find_model(tmp_path / "5b"), size=(96, 64), frames=9)
    assert (needs.rate, needs.frames, needs.size, needs.side) == (24, 9, (96, 64), 32)


def test_what_cannot_be_trained_on_footage_is_told() -> None:
    with pytest.raises(ModelMismatch, match="cannot be trained on footage"):
        needs_of(find_model(EMBEDDED))


@pytest.mark.parametrize(
    ("needs", "words"),
    [(ClipNeeds(size=(64, 8)), "size: sides must be 16"), (ClipNeeds(frames=4), "frames: must be 5 or more")],
)
def test_what_no_clip_can_be_is_named(needs: ClipNeeds, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked(needs)
