from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from moc_engine.animatic.scene import SLOTS
from moc_engine.animatic.world import Story, sample_story
from moc_engine.backbone import Backbone, load_backbone
from moc_engine.identity import KINDS, SHOT, Reading, distance, features, identify, masks_of, pooled
from tests.fakes.models import save_tiny_video, tiny_backbone


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone()


@pytest.fixture(scope="module")
def story() -> Story:
    """One whose first shot shows somebody."""
    stories: Iterator[Story] = (
        sample_story(np.random.default_rng(seed), shots=2, cast=2, tokens=2) for seed in range(9)
    )
    return next(story for story in stories if story.shots[0].script.actors)


@pytest.fixture(scope="module")
def latents(story: Story) -> torch.Tensor:
    return torch.from_numpy(story.shots[0].scene.to_latents()).permute(2, 0, 1)[..., None]


def _identify(backbone: Backbone, story: Story, latents: torch.Tensor, reading: Reading | None = None):  # type: ignore[no-untyped-def]
    return identify(
        backbone,
        latents,
        global_caption=story.global_caption,
        caption=story.shots[0].caption,
        cast=story.cast,
        reading=reading,
    )


def test_whoever_a_take_shows_has_a_vector(backbone: Backbone, story: Story, latents: torch.Tensor) -> None:
    found = _identify(backbone, story, latents)
    names = {story.cast[actor.cast] for actor in story.shots[0].script.actors}
    assert names <= set(found)
    assert not any("empty" in name for name in found)
    width = backbone.transformer.config.num_attention_heads * backbone.transformer.config.attention_head_dim
    for vector in found.values():
        assert vector.shape == (width,)
        assert vector.dtype == np.float16
        assert np.isfinite(vector).all()
    again = _identify(backbone, story, latents)
    assert all(distance(found[name], again[name]) == pytest.approx(0.0, abs=1e-6) for name in found)


def test_the_tokens_of_a_name_are_those_of_its_slot(
    backbone: Backbone, story: Story, latents: torch.Tensor
) -> None:
    masks = masks_of(backbone, latents, story.cast)
    first = story.cast[story.shots[0].script.actors[0].cast]
    assert torch.equal(masks[first], torch.arange(2 * SLOTS) % SLOTS == 2)


def test_all_layers_and_kinds_are_read_and_nothing_is_left_behind(
    backbone: Backbone, story: Story, latents: torch.Tensor
) -> None:
    captions = backbone.family.captions("", story.shots[0].caption, story.cast)
    clean, noisy = (features(backbone, latents, captions, noise=noise) for noise in (0.0, 0.5))
    assert set(clean) == {(layer, kind) for layer in range(2) for kind in KINDS}
    assert all(tokens.shape == (2 * SLOTS, 32) for tokens in clean.values())
    assert not torch.allclose(clean[1, "value"], noisy[1, "value"])
    block = backbone.transformer.blocks[0]
    assert not block._forward_hooks
    assert not block.attn1._forward_pre_hooks


def test_values_are_those_that_a_memory_holds(
    backbone: Backbone, story: Story, latents: torch.Tensor
) -> None:
    captions = backbone.family.captions("", story.shots[0].caption, story.cast)
    memory = backbone.read(latents, captions, chunking="frame", pooling="after", noise=0.0)
    found = features(backbone, latents, captions, noise=0.0)
    for layer in range(2):
        for kind, held in (("key", memory.k_NHTD), ("value", memory.v_NHTD)):
            torch.testing.assert_close(found[layer, kind], held[layer].transpose(0, 1).flatten(1))  # type: ignore[index]


def test_a_mean_over_a_mask_may_weigh_its_tokens() -> None:
    tokens = torch.tensor([[1.0, 0.0], [3.0, 2.0], [100.0, 100.0]])
    assert pooled(tokens, torch.tensor([True, True, False])).tolist() == [2.0, 1.0]
    assert pooled(tokens, torch.tensor([0.25, 0.75, 0.0])).tolist() == [2.5, 1.5]
    with pytest.raises(ValueError, match="no token"):
        pooled(tokens, torch.zeros(3))


def test_distances_are_known() -> None:
    assert distance([1.0, 0.0], [2.0, 0.0]) == pytest.approx(0.0)
    assert distance([1.0, 0.0], [0.0, 3.0]) == pytest.approx(1.0)
    assert distance([1.0, 1.0], [-1.0, -1.0]) == pytest.approx(2.0)
    assert distance([0.0], [1.0]) == 0.0
    with pytest.raises(ValueError, match="other"):
        distance([1.0], [1.0, 2.0])


def test_there_is_no_such_layer(backbone: Backbone, story: Story, latents: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="layer"):
        _identify(backbone, story, latents, Reading(layer=7, noise=0.0, kind="key"))


def test_a_grid_gives_one_vector_for_the_take(tmp_path: Path) -> None:
    save_tiny_video(tmp_path)
    video = load_backbone(tmp_path, "cpu")
    latents = torch.randn(4, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    found = identify(video, latents, global_caption="", caption="a fox runs", cast=())
    assert list(found) == [SHOT]
    assert found[SHOT].shape == (24,)
