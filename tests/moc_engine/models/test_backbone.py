from __future__ import annotations

import json
import pickle
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from moc_engine.config import RoutingConfig, SamplerConfig, Steering
from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.evaluation.generation.settings import GenerationSettings
from moc_engine.evaluation.generation.stories import generate
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.animatic.model import save
from moc_engine.models.animatic.scene import CHANNELS, SLOTS
from moc_engine.models.animatic.words import WORDS
from moc_engine.models.animatic.world import sample_story
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates, stacked
from moc_engine.models.loading import load_backbone
from moc_engine.render.denoise import denoise, guided
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.memory_pass import compute_memory
from tests.fakes.models import save_tiny_video, tiny_animatic, tiny_backbone


@pytest.fixture(scope="module")
def animatic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save(tiny_animatic(), folder)
    return folder


def test_a_pipeline_folder_is_loaded_with_its_weights(animatic: Path) -> None:
    backbone, made = load_backbone(animatic, "cpu"), tiny_backbone()
    assert backbone.name == "tiny"
    assert backbone.family.routing == RoutingConfig()
    loaded, weights = backbone.transformer.state_dict(), made.transformer.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in weights.items())
    assert backbone.parameters == sum(weight.numel() for weight in made.transformer.parameters())


def test_tokens_of_latents_are_slots_by_frames() -> None:
    backbone = tiny_backbone()
    shape = backbone.family.latent_shape(2.0, (1280, 720))
    assert shape == (CHANNELS, 12, SLOTS, 1)
    assert backbone.grid(shape, "track") == TokenGrid(frames=4, height=SLOTS, width=1, chunking="track")


def test_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere"):
        load_backbone(tmp_path / "nowhere")
    with pytest.raises(ModelNotFound, match=tmp_path.name):
        load_backbone(tmp_path)


def test_other_pipelines_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(ModelMismatch, match="StableDiffusionPipeline"):
        load_backbone(tmp_path)


def test_a_folder_with_parts_missing_is_told(animatic: Path, tmp_path: Path) -> None:
    shutil.copytree(animatic, tmp_path / "model")
    for file in (tmp_path / "model" / "transformer").glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ModelNotFound, match="model"):
        load_backbone(tmp_path / "model", "cpu")


def changed(animatic: Path, folder: Path, **config: object) -> Path:
    """A copy of the model whose transformer says something else of itself."""
    shutil.copytree(animatic, folder)
    file = folder / "transformer" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **config}))
    return folder


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"num_layers": 1}, "the transformer's weights"),
        ({"num_layers": 3}, "the transformer's weights"),
        ({"in_channels": 9}, "9 channels"),
        ({"patch_size": [1, 1, 1]}, r"patches of \[1, 1, 1\]"),
    ],
)
def test_a_transformer_of_another_make_is_refused(
    animatic: Path, tmp_path: Path, config: dict[str, object], words: str
) -> None:
    with pytest.raises(ModelMismatch, match=words):
        load_backbone(changed(animatic, tmp_path / "model", **config), "cpu")


def test_a_tokenizer_that_lacks_words_is_refused(animatic: Path, tmp_path: Path) -> None:
    shutil.copytree(animatic, tmp_path / "model")
    file = tmp_path / "model" / "tokenizer" / "tokenizer.json"
    told = json.loads(file.read_text())
    words = told["model"]["vocab"]
    words["unheard"] = words.pop(WORDS[0])
    file.write_text(json.dumps(told))
    with pytest.raises(ModelMismatch, match=f"does not know the word “{WORDS[0]}”"):
        load_backbone(tmp_path / "model", "cpu")


@pytest.mark.parametrize("part", ["transformer", "text_encoder"])
def test_damaged_weights_are_told(animatic: Path, tmp_path: Path, part: str) -> None:
    shutil.copytree(animatic, tmp_path / "model")
    (weights,) = (tmp_path / "model" / part).glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(ModelNotFound, match=f"{weights} is cut off: 2,000 of .* download or copy it again"):
        load_backbone(tmp_path / "model", "cpu")


class Canary:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize(
    ("part", "name"),
    [("transformer", "diffusion_pytorch_model.bin"), ("text_encoder", "pytorch_model.bin")],
)
@pytest.mark.parametrize("family", ["animatic", "video"])
def test_pickled_weights_are_never_read(tmp_path: Path, family: str, part: str, name: str) -> None:
    model = tmp_path / "model"
    if family == "animatic":
        save(tiny_animatic(), model)
    else:
        save_tiny_video(model)
    for weights in (model / part).glob("*.safetensors"):
        weights.unlink()
    (model / part / name).write_bytes(pickle.dumps(Canary(tmp_path / "mark")))
    with pytest.raises(ModelNotFound):
        load_backbone(model, "cpu")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(("guidance", "floor"), [(1.0, 0.0), (2.0, 0.0), (2.0, 0.5)])
def test_a_story_renders_as_the_evaluation_plays_it(guidance: float, floor: float) -> None:
    """Two implementations of the same model, router and sampler, one shot by shot, one in batches."""
    story = sample_story(np.random.default_rng(5), shots=4, cast=3, tokens=2)
    routing = RoutingConfig(top_k=2)
    sampler = SamplerConfig(steps=3, guidance=guidance, guidance_floor=floor)
    played = generate(
        tiny_animatic(),
        [story],
        GenerationSettings(
            routing=routing,
            sampler=sampler,
            seed=3,
        ),
    )
    backbone, memory = tiny_backbone(), ContextMemory()
    draws = torch.Generator().manual_seed(int(np.random.SeedSequence((3, 0, 0)).generate_state(1)[0]))
    for nth, shot in enumerate(story.shots):
        drawn = torch.randn(len(shot.scene), SLOTS, CHANNELS, generator=draws)
        noise = drawn.permute(2, 0, 1)[None, ..., None]
        grid = backbone.grid(noise.shape[1:], routing.chunking)
        own = backbone.family.captions(story.global_caption, shot.caption, story.cast)
        captions = own if guidance == 1.0 else stacked(own, backbone.family.captions("", "", ()))
        attention = DenoisingPass(
            AttentionContext(
                shot=nth, grid=grid, history=memory.history(), routing=routing, steering=Steering()
            ),
            backbone.angles,
            backbone.device,
            rows=len(captions.states_BSE),
        )
        way = guided(partial(velocity, backbone, attention, captions), sampler)
        *_, done = denoise(way, noise.contiguous(), backbone.schedule(sampler))
        ours = done.latents[0, ..., 0].permute(1, 2, 0)
        torch.testing.assert_close(ours, played.latents[0, nth], atol=1e-4, rtol=1e-4)
        read = compute_memory(
            backbone, done.latents[0], own, chunking=routing.chunking, pooling=routing.pooling, noise=0.0
        )
        memory.add(str(nth), grid.extent, lambda read=read: read)  # type: ignore[misc]


def velocity(
    backbone: Backbone,
    attention: DenoisingPass,
    captions: CaptionStates,
    latents: torch.Tensor,
    timesteps: torch.Tensor,
) -> torch.Tensor:
    return backbone.velocity(latents, timesteps, attention, captions.first(len(latents)))


def states(count: int, mask: list[bool] | None = None) -> CaptionStates:
    return CaptionStates(
        states_BSE=torch.full((1, count, 2), float(count)),
        mask_BS=None if mask is None else torch.tensor([mask]),
    )


def test_captions_of_both_branches_are_padded_to_one_length() -> None:
    both = stacked(states(3, [True, True, False]), states(1))
    assert both.states_BSE.shape == (2, 3, 2)
    assert both.mask_BS is not None
    assert both.mask_BS.tolist() == [[True, True, False], [True, False, False]]


def test_equally_long_captions_without_masks_need_none() -> None:
    assert stacked(states(3), states(3)).mask_BS is None
