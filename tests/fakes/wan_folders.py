"""Tiny Wan pipelines with random weights, saved in the format of diffusers with the published config keys.

Sizes are reduced; channels, scale factors, patches, boundaries and schedulers are those of the checkpoints.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerFast,
    UMT5Config,
    UMT5EncoderModel,
)

from moc_engine.models.progress_bars import no_progress_bars

WORDS = ("</s>", "<pad>", "<unk>", "a", "fox", "runs", "at", "dawn", "blurred", "static", "&")
TEXT_WIDTH = 16
IMAGE_WIDTH = 16


def wan_t2v_folder(folder: Path, **scheduler: Any) -> None:
    """As Wan-AI/Wan2.1-T2V-1.3B-Diffusers: 16 channels, UniPC with a flow shift of 3."""
    _save(
        WanPipeline(**_texts(), vae=_vae_2_1(), scheduler=unipc(3.0, **scheduler), transformer=_denoiser()),
        folder,
    )


def wan_euler_folder(folder: Path) -> None:
    """A Wan 2.1 that ships the Euler scheduler."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    _save(WanPipeline(**_texts(), vae=_vae_2_1(), scheduler=scheduler, transformer=_denoiser()), folder)


def wan_ti2v_folder(folder: Path, heads: int = 2) -> None:
    """As Wan-AI/Wan2.2-TI2V-5B-Diffusers: 48 channels, a timestep for each token."""
    pipeline = WanPipeline(
        **_texts(),
        vae=_vae_2_2(),
        scheduler=unipc(5.0),
        transformer=_denoiser(in_channels=48, out_channels=48, num_attention_heads=heads),
        expand_timesteps=True,
    )
    _save(pipeline, folder)


def wan_a14b_folder(
    folder: Path, *, high: bool = True, low: bool = True, boundary: float | None = 0.875, heads: int = 2
) -> None:
    """As Wan-AI/Wan2.2-T2V-A14B-Diffusers: two experts; or with one of them alone."""
    pipeline = WanPipeline(
        **_texts(),
        vae=_vae_2_1(),
        scheduler=unipc(3.0),
        transformer=_denoiser(seed=1, num_attention_heads=heads) if high else None,
        transformer_2=_denoiser(seed=2, num_attention_heads=heads) if low else None,
        boundary_ratio=boundary,
    )
    _save(pipeline, folder)


def wan_i2v_folder(folder: Path, *, projection: bool = False) -> None:
    """As Wan-AI/Wan2.1-I2V-14B-480P-Diffusers: 36 channels, and the picture through CLIP as well.

    Its image encoder comes with or without the projection, which nothing uses.
    """
    kind = CLIPVisionModelWithProjection if projection else CLIPVisionModel
    torch.manual_seed(3)
    side = {"height": 32, "width": 32}
    encoder = CLIPVisionConfig(
        hidden_size=IMAGE_WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    pipeline = WanImageToVideoPipeline(
        **_texts(),
        vae=_vae_2_1(),
        scheduler=unipc(3.0),
        image_encoder=kind(encoder).eval(),
        image_processor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=side),
        transformer=_denoiser(in_channels=36, out_channels=16, image_dim=IMAGE_WIDTH, added_kv_proj_dim=24),
    )
    _save(pipeline, folder)


def wan22_i2v_folder(folder: Path) -> None:
    """As Wan-AI/Wan2.2-I2V-A14B-Diffusers: 36 channels, two experts, no image encoder."""
    pipeline = WanImageToVideoPipeline(
        **_texts(),
        vae=_vae_2_1(),
        scheduler=unipc(3.0),
        transformer=_denoiser(seed=1, in_channels=36, out_channels=16),
        transformer_2=_denoiser(seed=2, in_channels=36, out_channels=16),
        boundary_ratio=0.9,
    )
    _save(pipeline, folder)


def wan_vace_folder(folder: Path, **config: Any) -> None:
    """As Wan-AI/Wan2.1-VACE-1.3B-diffusers: a hint for every other layer, from 96 channels of control."""
    pipeline = WanVACEPipeline(
        **_texts(), vae=_vae_2_1(), scheduler=unipc(3.0), transformer=vace_denoiser(**config)
    )
    _save(pipeline, folder)


def wan_vace_a14b_folder(folder: Path) -> None:
    """As VACE models made from Wan 2.2 T2V A14B: two experts."""
    pipeline = WanVACEPipeline(
        **_texts(),
        vae=_vae_2_1(),
        scheduler=unipc(3.0),
        transformer=vace_denoiser(seed=1),
        transformer_2=vace_denoiser(seed=2),
        boundary_ratio=0.875,
    )
    _save(pipeline, folder)


def unipc(flow_shift: float, **config: Any) -> UniPCMultistepScheduler:
    """As the checkpoints of Wan ship it."""
    published = {
        "beta_end": 0.02,
        "beta_schedule": "linear",
        "beta_start": 0.0001,
        "disable_corrector": [],
        "final_sigmas_type": "zero",
        "lower_order_final": True,
        "num_train_timesteps": 1000,
        "predict_x0": True,
        "prediction_type": "flow_prediction",
        "solver_order": 2,
        "solver_type": "bh2",
        "steps_offset": 0,
        "timestep_spacing": "linspace",
        "use_flow_sigmas": True,
        "flow_shift": flow_shift,
    }
    return UniPCMultistepScheduler(**{**published, **config})


def _texts() -> dict[str, Any]:
    """The tokenizer and the text encoder."""
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 0)])
    torch.manual_seed(0)
    config = UMT5Config(vocab_size=len(WORDS), d_model=TEXT_WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return {
        "tokenizer": PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>"
        ),
        "text_encoder": UMT5EncoderModel(config).eval(),
    }


def _denoiser(seed: int = 0, **config: Any) -> WanTransformer3DModel:
    torch.manual_seed(seed)
    model: WanTransformer3DModel = WanTransformer3DModel(**{**_small(), **config}).eval()
    return model


def vace_denoiser(seed: int = 0, **config: Any) -> WanVACETransformer3DModel:
    """A VACE transformer of three layers, two of which are given hints."""
    torch.manual_seed(seed)
    control = {"num_layers": 3, "vace_layers": [0, 2], "vace_in_channels": 96}
    model: WanVACETransformer3DModel = WanVACETransformer3DModel(**{**_small(), **control, **config}).eval()
    with torch.no_grad():
        model.vace_patch_embedding.weight *= 30  # latents of random autoencoders hardly differ
    return model


def _small() -> dict[str, Any]:
    """The config of a transformer with the published keys."""
    return {
        "patch_size": (1, 2, 2),
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": 16,
        "out_channels": 16,
        "text_dim": TEXT_WIDTH,
        "freq_dim": 16,
        "ffn_dim": 32,
        "num_layers": 2,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
        "added_kv_proj_dim": None,
        "image_dim": None,
        "rope_max_seq_len": 1024,
        "pos_embed_seq_len": None,
    }


def _vae_2_1() -> AutoencoderKLWan:
    """Means and deviations of the latents are the published ones, the class's defaults."""
    torch.manual_seed(0)
    return AutoencoderKLWan(
        base_dim=4,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[False, True, True],
    ).eval()


def _vae_2_2() -> AutoencoderKLWan:
    torch.manual_seed(0)
    return AutoencoderKLWan(
        base_dim=4,
        decoder_base_dim=6,
        z_dim=48,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[False, True, True],
        latents_mean=torch.linspace(-0.5, 0.5, 48).tolist(),
        latents_std=torch.linspace(0.4, 1.2, 48).tolist(),
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        scale_factor_temporal=4,
    ).eval()


def _save(pipeline: Any, folder: Path) -> None:
    with no_progress_bars():
        pipeline.save_pretrained(folder, safe_serialization=True)


def fastwan_folder(folder: Path) -> None:
    """As FastVideo/FastWan2.2-TI2V-5B-FullAttn-Diffusers: a 5B under the class name of its own pipeline."""
    wan_ti2v_folder(folder)
    file = folder / "model_index.json"
    index = json.loads(file.read_text())
    file.write_text(json.dumps({**index, "_class_name": "WanDMDPipeline"}))
