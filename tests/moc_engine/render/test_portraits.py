from collections.abc import Iterator

import numpy as np
import pytest
import torch

from moc_engine.models.animatic.scene import SLOTS
from moc_engine.models.animatic.world import Story, sample_story
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import NamesSlots
from moc_engine.models.loading import load_backbone
from moc_engine.render.features import KINDS, features
from moc_engine.render.memory_pass import compute_memory
from moc_engine.render.portraits import FeatureSource, Portrait, pooled, portraits
from tests.fakes.models import tiny_backbone


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


def _portraits(
    backbone: Backbone, story: Story, latents: torch.Tensor, source: FeatureSource | None = None
) -> tuple[Portrait, ...]:
    return portraits(
        backbone,
        latents,
        global_caption=story.global_caption,
        caption=story.shots[0].caption,
        cast=story.cast,
        source=source,
    )


def test_whoever_a_caption_names_has_a_portrait(
    backbone: Backbone, story: Story, latents: torch.Tensor
) -> None:
    found = _portraits(backbone, story, latents)
    actors = {story.cast[actor.cast] for actor in story.shots[0].script.actors}
    assert [portrait.name for portrait in found] == [name for name in story.cast if name in actors]
    width = backbone.transformer.config.num_attention_heads * backbone.transformer.config.attention_head_dim
    for portrait in found:
        assert portrait.vector.shape == (width,)
        assert float(portrait.vector.norm()) == pytest.approx(1.0)
        assert portrait.weights.shape == (2 * SLOTS,)
        assert float(portrait.weights.sum()) == pytest.approx(1.0)
    again = _portraits(backbone, story, latents)
    assert all(torch.equal(a.vector, b.vector) for a, b in zip(found, again, strict=True))


def test_attention_finds_whom_a_caption_names() -> None:
    """Of the embedded model's own tokens those count most that show them."""
    embedded = load_backbone(None, "cpu")
    story = next(
        story
        for story in (
            sample_story(np.random.default_rng(seed), shots=1, cast=2, tokens=4) for seed in range(50)
        )
        if len(story.shots[0].script.actors) == 2
    )
    latents = torch.from_numpy(story.shots[0].scene.to_latents()).permute(2, 0, 1)[..., None]
    found = {portrait.name: portrait.weights for portrait in _portraits(embedded, story, latents)}
    assert isinstance(embedded.family, NamesSlots)
    places = embedded.family.slot_names(latents, story.cast)
    for name, weights in found.items():
        by_place = weights.view(4, SLOTS).sum(dim=0)
        assert places[int(by_place.argmax())] == name


def test_attention_to_names_is_what_the_model_does(
    backbone: Backbone, story: Story, latents: torch.Tensor
) -> None:
    """All states together are all there is to attend to."""
    captions = backbone.family.captions("", story.shots[0].caption, story.cast)
    states = range(captions.states_BSE.shape[1])
    names = {str(state): (state,) for state in states}
    found = features(backbone, latents, captions, noise=0.0, wanted=(), names=names)
    assert not found.tokens
    torch.testing.assert_close(sum(found.named.values()), torch.ones(2 * SLOTS))


def test_all_layers_and_kinds_are_read_and_nothing_is_left_behind(
    backbone: Backbone, story: Story, latents: torch.Tensor
) -> None:
    captions = backbone.family.captions("", story.shots[0].caption, story.cast)
    clean, noisy = (features(backbone, latents, captions, noise=noise).tokens for noise in (0.0, 0.5))
    assert set(clean) == {(layer, kind) for layer in range(2) for kind in KINDS}
    assert all(tokens.shape == (2 * SLOTS, 32) for tokens in clean.values())
    assert not torch.allclose(clean[1, "value"], noisy[1, "value"])
    block = backbone.transformer.blocks[0]
    assert not block._forward_hooks
    assert not block.attn1._forward_pre_hooks
    assert not block.attn2._forward_pre_hooks


def test_values_are_those_that_a_memory_holds(
    backbone: Backbone, story: Story, latents: torch.Tensor
) -> None:
    captions = backbone.family.captions("", story.shots[0].caption, story.cast)
    memory = compute_memory(backbone, latents, captions, chunking="frame", pooling="after", noise=0.0)
    found = features(backbone, latents, captions, noise=0.0).tokens
    for layer in range(2):
        for kind, held in (("key", memory.k_NHTD), ("value", memory.v_NHTD)):
            torch.testing.assert_close(found[layer, kind], held[layer].transpose(0, 1).flatten(1))  # type: ignore[index]


def test_a_mean_over_a_mask_may_weigh_its_tokens() -> None:
    tokens = torch.tensor([[1.0, 0.0], [3.0, 2.0], [100.0, 100.0]])
    assert pooled(tokens, torch.tensor([True, True, False])).tolist() == [2.0, 1.0]
    assert pooled(tokens, torch.tensor([0.25, 0.75, 0.0])).tolist() == [2.5, 1.5]
    with pytest.raises(ValueError, match="no token"):
        pooled(tokens, torch.zeros(3))


def test_whom_no_token_attends_to_has_no_portrait(
    backbone: Backbone, story: Story, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a model's weights give no numbers."""
    projection = backbone.transformer.blocks[0].attn2.to_q.weight
    monkeypatch.setattr(projection, "data", torch.full_like(projection, torch.nan))
    assert _portraits(backbone, story, latents) == ()


def test_there_is_no_such_layer(backbone: Backbone, story: Story, latents: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="layer"):
        _portraits(backbone, story, latents, FeatureSource(layer=7, noise=0.0, kind="key"))


def test_nobody_named_has_no_portrait(backbone: Backbone, latents: torch.Tensor) -> None:
    assert portraits(backbone, latents, global_caption="", caption="a ball flies", cast=("Mira",)) == ()
