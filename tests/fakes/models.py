"""Tiny models with random weights: real classes, small enough to run in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from moc_engine.models.animatic.family import AnimaticFamily
from moc_engine.models.animatic.model import AnimaticPipeline, ModelConfig, build
from moc_engine.models.backbone import Backbone
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.models.wan_adapter import WanAdapter

TINY = ModelConfig(
    layers=2, heads=2, head_width=16, feed_forward=2, text_layers=1, text_width=32, text_heads=2
)


def tiny_transformer(seed: int = 0, **config: Any) -> WanTransformer3DModel:
    """A Wan transformer of two layers; `config` overrides what it is made of."""
    torch.manual_seed(seed)
    small = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 16,
        "freq_dim": 16,
        "ffn_dim": 32,
        "num_layers": 2,
    }
    return WanTransformer3DModel(**{**small, **config}).eval()


def tiny_animatic() -> AnimaticPipeline:
    torch.manual_seed(0)
    pipeline = build(TINY)
    torch.nn.init.normal_(pipeline.smoother.out.weight, std=0.1)  # untrained it would change nothing
    return pipeline


def tiny_backbone() -> Backbone:
    """The animatic family with a tiny transformer."""
    pipeline = tiny_animatic()
    return Backbone(
        name="tiny",
        adapter=WanAdapter(pipeline.transformer.eval()),
        scheduler=pipeline.scheduler,
        family=AnimaticFamily(pipeline),
        device=torch.device("cpu"),
    )


def save_tiny_video(folder: Path) -> None:
    """A `WanPipeline` folder: 4 frames and 8 pixels to a latent, as the hub's models have it."""
    torch.manual_seed(0)
    words = ("</s>", "<pad>", "<unk>", "a", "fox", "runs", "at", "dawn")
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 0)])
    pipeline = WanPipeline(
        tokenizer=PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>"),
        text_encoder=UMT5EncoderModel(
            UMT5Config(vocab_size=len(words), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        ),
        vae=AutoencoderKLWan(
            base_dim=4,
            z_dim=4,
            num_res_blocks=1,
            latents_mean=[0.1, 0.0, -0.1, 0.2],
            latents_std=[1.0, 2.0, 1.5, 1.0],
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=tiny_transformer(),
    )
    with no_progress_bars():
        pipeline.save_pretrained(folder, safe_serialization=True)
