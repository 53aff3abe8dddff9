from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moc_engine.models.wan.autoencoder import WanAutoencoder
from moc_engine.models.wan.texts import CaptionEncoder
from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.toon.drawn_stories import Drawing, draw_stories, read_drawn, story_file
from moc_engine.training.toon.picture_autoencoder import AutoencoderSize, build_autoencoder
from moc_engine.training.toon.story_cache import cache_stories, covered
from moc_engine.training.toon.text_distillation import build_text_encoder, build_tokenizer
from moc_engine.training.toon.toon_world import ToonWorld

SMALL = Drawing(world=ToonWorld(sets=("beach",)), shots=2, frames=2, fps=2.0, size=(40, 24), seed=5)


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    return {
        "vae": build_autoencoder(AutoencoderSize(base=4, channels=4)).eval(),
        "tokenizer": tokenizer,
        "text_encoder": build_text_encoder(tokenizer, width=16, layers=1).eval(),
    }


def test_drawn_stories_become_footage(parts: dict[str, Any], tmp_path: Path) -> None:
    drawn, cache = tmp_path / "drawn", tmp_path / "cache"
    numbers = list(draw_stories(SMALL, range(2), drawn, workers=1))
    assert list(cache_stories(cache, drawn, [0], parts, text_encoder="t", fps=2.0)) == [0]
    before = (cache / "index.json").read_text()
    assert list(cache_stories(cache, drawn, numbers, parts, text_encoder="t", fps=2.0)) == [0, 1]
    footage = CachedFootage(cache)
    assert [entry.name for entry in footage.entries] == ["000000", "000001"]
    assert footage.entries[0].digest in before  # not made again
    assert footage.identity.rate == 2.0

    story = read_drawn(story_file(drawn, 1))
    shot = footage[1].shots[0]
    assert (shot.caption, shot.seconds) == (story.captions[0], 1.0)
    assert shot.emphasis is not None
    assert torch.equal(shot.emphasis, covered(story.boxes, 3, 5)[0])
    assert shot.emphasis.amax() == 1.0
    (shown,) = story.shown[0]
    assert shot.identities is not None
    assert torch.equal(shot.identities, (shot.emphasis > 0.5) * (shown.cast + 1))
    texts = CaptionEncoder(parts["tokenizer"], parts["text_encoder"])
    states = texts.states("", shot.caption)[0]
    torch.testing.assert_close(shot.states, states[: len(shot.states)], atol=1e-5, rtol=1e-4)
    assert not states[len(shot.states) :].any()

    codec = WanAutoencoder(parts["vae"], 2.0)
    clip = torch.from_numpy(story.pictures[0][:1]).permute(3, 0, 1, 2)[None].float() / 127.5 - 1.0
    torch.testing.assert_close(shot.latents[:, :1], codec.encoded(clip)[0], atol=1e-4, rtol=1e-3)


def test_names_begin_with_the_prefix(parts: dict[str, Any], tmp_path: Path) -> None:
    drawn, cache = tmp_path / "drawn", tmp_path / "cache"
    list(draw_stories(SMALL, [0], drawn, workers=1))
    for prefix in ("one ", "two "):
        list(cache_stories(cache, drawn, [0], parts, text_encoder="t", fps=2.0, prefix=prefix))
    assert [entry.name for entry in CachedFootage(cache).entries] == ["one 000000", "two 000000"]


def test_the_emphasis_is_the_share_of_a_latent_that_a_character_covers() -> None:
    boxes = np.zeros((1, 2, 1, 4), np.float32)
    boxes[0, 0, 0] = (0.25, 0.0, 0.625, 0.5)
    boxes[0, 1, 0] = (0.5, 0.25, 0.75, 0.5)
    found = covered(boxes, 2, 4)
    assert found.shape == (1, 1, 2, 4)
    assert found[0, 0].tolist() == [[0.0, 1.0, 0.5, 0.0], [0.0] * 4]
    assert not covered(np.zeros((1, 2, 1, 4), np.float32), 2, 4).any()
