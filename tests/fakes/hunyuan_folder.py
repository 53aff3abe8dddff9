"""A tiny HunyuanVideo pipeline with random weights, saved in the format of diffusers.

Sizes are reduced; config keys, channels, scale factors, scheduler and prompt are those of
hunyuanvideo-community/HunyuanVideo.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLHunyuanVideo,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
)
from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTextModel, LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates
from moc_engine.models.hunyuan.transformer import HunyuanAdapter
from moc_engine.models.progress_bars import no_progress_bars
from tests.fakes.prepared import BareVideo, Shape

WORDS = ("a", "fox", "runs", "at", "dawn", "blurred", "static")
TEXT_WIDTH = 16
POOLED_WIDTH = 12

SHOT: Shape = (16, 2, 8, 6)
"""The shape of latents for `bare_hunyuan`."""

_SPLIT = pre_tokenizers.Split(Regex(r"<\|\w+\|>|[\w.:,]+"), behavior="removed", invert=True)
"""Words, and what marks the parts of the prompt, are one token each."""


def hunyuan_folder(folder: Path, **transformer: Any) -> None:
    """The pipeline; `transformer` overrides what its transformer is made of."""
    words = _words_of_prompt()
    pipeline = HunyuanVideoPipeline(
        tokenizer=_tokenizer(words, DEFAULT_PROMPT_TEMPLATE["crop_start"]),
        text_encoder=_llama(),
        tokenizer_2=_tokenizer([], 1),
        text_encoder_2=_clip(),
        vae=hunyuan_autoencoder(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        transformer=hunyuan_transformer(**transformer),
    )
    with no_progress_bars():
        pipeline.save_pretrained(folder, safe_serialization=True)


def hunyuan_transformer(**config: Any) -> HunyuanVideoTransformer3DModel:
    """Two double-stream blocks and two single-stream ones."""
    torch.manual_seed(0)
    small = {
        "in_channels": 16,
        "out_channels": 16,
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 2,
        "num_single_layers": 2,
        "num_refiner_layers": 1,
        "mlp_ratio": 2.0,
        "patch_size": 2,
        "patch_size_t": 1,
        "qk_norm": "rms_norm",
        "guidance_embeds": True,
        "text_embed_dim": TEXT_WIDTH,
        "pooled_projection_dim": POOLED_WIDTH,
        "rope_theta": 256.0,
        "rope_axes_dim": (4, 6, 6),
        "image_condition_type": None,
    }
    model: HunyuanVideoTransformer3DModel = HunyuanVideoTransformer3DModel(**{**small, **config}).eval()
    return model


def hunyuan_autoencoder(channels: tuple[int, ...] = (4, 4, 4, 4)) -> AutoencoderKLHunyuanVideo:
    """4 frames and 8 × 8 pixels to a latent."""
    torch.manual_seed(0)
    vae: AutoencoderKLHunyuanVideo = AutoencoderKLHunyuanVideo(
        latent_channels=16, block_out_channels=channels, layers_per_block=1, norm_num_groups=2
    ).eval()
    return vae


class BareHunyuan(BareVideo):
    """A family of HunyuanVideo's transformer without parts for texts and pictures."""

    def captions(self, global_caption: str, caption: str, *_: Any) -> CaptionStates:
        generator = torch.Generator().manual_seed(len(caption))
        return CaptionStates(
            states_BSE=torch.randn(1, 7, TEXT_WIDTH, generator=generator).to(self._device),
            pooled_BE=torch.randn(1, POOLED_WIDTH, generator=generator).to(self._device),
        )


def bare_hunyuan(device: torch.device) -> Backbone:
    """A tiny transformer on a device."""
    family: Any = BareHunyuan(device)
    return Backbone(
        name="tiny",
        adapter=HunyuanAdapter(hunyuan_transformer().to(device)),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        family=family,
        device=device,
    )


def _words_of_prompt() -> list[str]:
    before = DEFAULT_PROMPT_TEMPLATE["template"].partition("{}")[0]
    return [word for word, _ in _SPLIT.pre_tokenize_str(before)]


def _tokenizer(prompt: list[str], before: int) -> PreTrainedTokenizerFast:
    """One token a word; `before` tokens stand before the caption, those of the prompt among them."""
    names = dict.fromkeys(("<pad>", "<unk>", "<bos>", "<eos>", *WORDS, *prompt, "<|eot_id|>"))
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = _SPLIT
    starts = " ".join(["<bos>"] * (before - len(prompt)))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{starts} $A <eos>",
        special_tokens=[(name, vocabulary[name]) for name in ("<bos>", "<eos>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        padding_side="right",
    )


def _llama() -> LlamaModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=160,
        hidden_size=TEXT_WIDTH,
        intermediate_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
    )
    return LlamaModel(config).eval()


def _clip() -> CLIPTextModel:
    torch.manual_seed(1)
    config = CLIPTextConfig(
        vocab_size=32,
        hidden_size=POOLED_WIDTH,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
    )
    return CLIPTextModel(config).eval()
