"""Untrained toon models with random weights, of the sizes of a preset."""

from __future__ import annotations

from pathlib import Path

import torch

from moc_engine.training.toon.model_folder import build_transformer, save_model
from moc_engine.training.toon.picture_autoencoder import build_autoencoder
from moc_engine.training.toon.text_distillation import build_text_encoder, build_tokenizer
from moc_engine.training.toon.toon_presets import PRESETS

TEXT_WIDTH = 16


def toon_folder(folder: Path, preset: str = "toon-smoke") -> None:
    """A toon model whose transformer predicts some velocity."""
    plan = PRESETS[preset]()
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    transformer = build_transformer(
        plan.transformer, channels=plan.autoencoder.size.channels, text_width=TEXT_WIDTH
    )
    torch.nn.init.normal_(transformer.proj_out.weight, std=0.05)
    parts = {
        "tokenizer": tokenizer,
        "text_encoder": build_text_encoder(tokenizer, width=TEXT_WIDTH, layers=1),
        "vae": build_autoencoder(plan.autoencoder.size),
        "transformer": transformer,
    }
    save_model(folder, parts, plan.told)
