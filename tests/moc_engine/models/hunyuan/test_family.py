"""HunyuanVideo's own settings, its captions within their limits, and what it refuses in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from moc_engine.config import RoutingChoice, SamplerChoice
from moc_engine.contract import Control, RenderRequest
from moc_engine.errors import EngineError, ModelMismatch, ModelNotFound
from moc_engine.model_abilities import model_abilities
from moc_engine.model_defaults import model_defaults
from moc_engine.model_library import describe
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import ExtraTokens
from moc_engine.models.compiled_blocks import CompiledBlocks
from moc_engine.models.hunyuan.published_settings import ABILITIES
from moc_engine.models.hunyuan.transformer import HunyuanAdapter
from moc_engine.models.loading import load_backbone
from moc_engine.models.schedulers import flow_shift
from moc_engine.render.prepare import prepare
from moc_engine.stored_file import LocalFile
from tests.fakes.hunyuan_folder import hunyuan_folder, hunyuan_transformer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "hunyuan"
    hunyuan_folder(made)
    return made


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Backbone:
    return load_backbone(folder, "cpu")


def test_its_settings_are_its_authors(folder: Path, backbone: Backbone) -> None:
    own = model_defaults(str(folder))
    assert own is not None
    assert (own.sampler.steps, own.sampler.guidance, own.scheduler, own.shift) == (50, 1.0, "euler", 7.0)
    assert (own.fps, own.frames, own.frame_step, own.size) == (24.0, 129, 4, (1280, 720))
    assert backbone.family.sampler == own.sampler
    assert flow_shift(backbone.scheduler) == 7.0
    assert own.seconds is not None
    assert backbone.family.latent_shape(own.seconds, (1280, 720)) == (16, 33, 90, 160)
    assert backbone.family.abilities == model_abilities(str(folder)) == ABILITIES
    assert describe(str(folder)).title == "HunyuanVideo"
    assert backbone.latent_space.startswith("hunyuan-16c4t8s-")


def test_a_preview_is_a_small_picture(backbone: Backbone) -> None:
    latents = torch.randn(16, 3, 8, 80, generator=torch.Generator().manual_seed(0))
    assert backbone.family.picture(latents, seconds=1.0, size=(640, 64)).shape == (26, 256, 3)


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"first_frame": LocalFile(Path("a.png"))}, "takes no first frame"),
        ({"references": (LocalFile(Path("a.png")),)}, "takes no reference pictures"),
        ({"control": Control(clip=LocalFile(Path("a.mp4")))}, "takes no clip as control"),
        ({"sampler": SamplerChoice(guidance_2=2.0)}, "has no second transformer for low noise"),
    ],
)
def test_what_it_cannot_do_is_said(
    changes: dict[str, Any], lacks: str, backbone: Backbone, tmp_path: Path
) -> None:
    request = RenderRequest(
        shot=0,
        caption="a fox",
        global_caption="",
        cast=(),
        seconds=0.2,
        fps=24,
        size=(64, 32),
        seed=0,
        output=tmp_path,
        routing=RoutingChoice(backend="grouped"),
    )
    with pytest.raises(EngineError, match=f"the model hunyuan {lacks}"):
        prepare(replace(request, **changes), backbone)


def without_a_weight(folder: Path) -> None:
    file = folder / "transformer" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "num_single_layers": 3}))


def with_a_weight_too_many(folder: Path) -> None:
    file = folder / "transformer" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "num_single_layers": 1}))


def another_encoder(folder: Path) -> None:
    file = folder / "model_index.json"
    index = json.loads(file.read_text())
    file.write_text(json.dumps({**index, "text_encoder": ["transformers", "UMT5EncoderModel"]}))


def damaged(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"none")


@pytest.mark.parametrize(
    ("harm", "error", "words"),
    [
        (
            without_a_weight,
            ModelMismatch,
            "the transformer's weights are not those its config.json describes",
        ),
        (with_a_weight_too_many, ModelMismatch, r"single_transformer_blocks\.1\.\S+ is too much"),
        (another_encoder, ModelMismatch, "is a UMT5EncoderModel; the engine reads a LlamaModel"),
        (damaged, ModelNotFound, "cannot be read"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_wrong_files_are_told_in_words(
    harm: Callable[[Path], None], error: type[Exception], words: str, tmp_path: Path
) -> None:
    hunyuan_folder(tmp_path)
    harm(tmp_path)
    with pytest.raises(error, match=words):
        load_backbone(tmp_path, "cpu")


def test_a_model_that_starts_from_pictures_is_refused(tmp_path: Path) -> None:
    hunyuan_folder(tmp_path, image_condition_type="token_replace")
    with pytest.raises(ModelMismatch, match="the engine drives text to video"):
        load_backbone(tmp_path, "cpu")


def test_compiled_blocks_of_both_kinds_compute_the_same(backbone: Backbone) -> None:
    from torch.nn.functional import scaled_dot_product_attention

    class Own:
        def __init__(self) -> None:
            self.layers: list[int] = []

        def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            raise AssertionError

        def attend_jointly(
            self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, extra: ExtraTokens
        ) -> tuple[torch.Tensor, torch.Tensor]:
            self.layers.append(layer)
            told = scaled_dot_product_attention(extra.q_BHSD, extra.k_BHSD, extra.v_BHSD)
            return scaled_dot_product_attention(q, k, v), told

    latents = torch.randn(1, 16, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    captions, time = backbone.family.captions("", "a fox", ()), torch.tensor([500.0])
    one_of_each = (backbone.adapter.blocks[0], backbone.adapter.blocks[-1])
    compiled = replace(backbone, compiled=CompiledBlocks(one_of_each, "eager"))
    found, passes = [], []
    for model in (backbone, compiled):
        attention = Own()
        with torch.no_grad():
            found.append(model.velocity(latents, time, attention, captions))
        passes.append(attention.layers)
    torch._dynamo.reset()
    assert len({type(block) for block in one_of_each}) == 2
    assert passes == [[0, 1, 2, 3]] * 2
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)


def test_angles_are_those_of_the_transformer() -> None:
    adapter = HunyuanAdapter(hunyuan_transformer())
    cos, sin = adapter.transformer.rope(torch.empty(1, 16, 3, 4, 8))
    axes = torch.meshgrid(torch.arange(3), torch.arange(2), torch.arange(4), indexing="ij")
    ours = adapter.angles(torch.stack([axis.flatten() for axis in axes]))
    for table, angles in zip((cos, sin), ours, strict=True):
        torch.testing.assert_close(table[:, ::2], angles, atol=1e-5, rtol=1e-5)
