"""The toon model's transformer, and its folder: a Wan pipeline that the studio loads as any other."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from moc_engine.files import write_text
from moc_engine.models.wan.defaults import TrainedOn

SHIFT: Final = 3.0
"""Of the scheduler: half of a render's steps are at noise levels above 3/4, where colours are settled."""


@dataclass(frozen=True, kw_only=True)
class TransformerSize:
    """`layers` of `heads` heads, each of `head_width`; the feed-forward layers are `feed_forward` times as
    wide as the transformer."""

    layers: int = 6
    heads: int = 4
    head_width: int = 32
    feed_forward: int = 3

    @property
    def width(self) -> int:
        return self.heads * self.head_width


def build_transformer(size: TransformerSize, *, channels: int, text_width: int) -> Any:
    """An untrained `WanTransformer3DModel` that predicts no velocity yet; seed torch first."""
    from diffusers import WanTransformer3DModel

    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=size.heads,
        attention_head_dim=size.head_width,
        in_channels=channels,
        out_channels=channels,
        text_dim=text_width,
        freq_dim=128,
        ffn_dim=size.feed_forward * size.width,
        num_layers=size.layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
    )
    with torch.no_grad():
        for name, weight in transformer.blocks.named_parameters():
            if weight.ndim == 2:
                outputs = name.endswith(("to_out.0.weight", "ffn.net.2.weight"))
                weight.normal_(std=0.03 if not outputs else 0.03 / math.sqrt(size.layers / 2))
        transformer.proj_out.weight.zero_()
        transformer.proj_out.bias.zero_()
    return transformer


def save_model(folder: Path, parts: dict[str, Any], told: TrainedOn) -> None:
    """Writes the parts transformer, vae, text_encoder and tokenizer, a scheduler and model_index.json."""
    from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline

    from moc_engine.models.progress_bars import no_progress_bars

    pipeline = WanPipeline(**parts, scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT))
    with no_progress_bars():
        pipeline.save_pretrained(folder, safe_serialization=True)
    index = folder / "model_index.json"
    written = json.loads(index.read_text(encoding="utf-8"))
    write_text(index, json.dumps({**written, "trained_on": asdict(told)}, indent=2) + "\n")
