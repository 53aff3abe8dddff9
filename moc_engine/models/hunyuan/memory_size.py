"""The size of a HunyuanVideo model, from the configurations of its parts. No torch.

Weights are counted exactly; what is computed with as measured on models of random weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from moc_engine.model_memory import Config, ModelSize
from moc_engine.models.hunyuan.prompt_room import TEXT_STATES
from moc_engine.models.hunyuan.published_settings import RATE

AUTOENCODER: Final = 246_478_803
"""Parameters of the published autoencoder."""

WIDTHS_HELD: Final = 8.5
"""Numbers as wide as the model that a single-stream block holds for each token at its peak."""

FEED_FORWARD_HELD: Final = 2.0
"""The feed-forward layer's widths that add to it."""

DECODER_HELD: Final = 9.5
"""Numbers that the decoder holds for each pixel of the frames it makes, in widths of its last layers."""

PIECE: Final = 5
"""Latent frames that are decoded at once."""


def hunyuan_size(configs: Mapping[str, Config]) -> ModelSize:
    """The size of a HunyuanVideo model. Raises `KeyError` for what such a model has and this one has not."""
    transformer, autoencoder = configs["transformer"], configs["vae"]
    width, layers = _width(transformer), transformer["num_layers"] + transformer["num_single_layers"]
    modulations = _modulations(transformer)
    in_8_bits = _block_linears(transformer) + _time_text(transformer)
    return ModelSize(
        transformers=1,
        transformer=transformer_parameters(transformer),
        blocks=_block_linears(transformer) + modulations,
        in_8_bits=in_8_bits,
        layers=layers,
        remembering=layers,
        heads=transformer["num_attention_heads"],
        head_size=transformer["attention_head_dim"],
        held=WIDTHS_HELD * width + FEED_FORWARD_HELD * width * transformer["mlp_ratio"],
        caption_tokens=TEXT_STATES,
        patch=(transformer["patch_size_t"], transformer["patch_size"], transformer["patch_size"]),
        text_encoder=llama_parameters(configs["text_encoder"]) + clip_parameters(configs["text_encoder_2"]),
        autoencoder=AUTOENCODER,
        autoencoder_bytes=None,
        decoder=DECODER_HELD * autoencoder["block_out_channels"][0],
        piece=PIECE,
        channels=autoencoder["latent_channels"],
        over_time=autoencoder["temporal_compression_ratio"],
        rate=RATE,
        pixels=autoencoder["spatial_compression_ratio"],
    )


def transformer_parameters(config: Config) -> int:
    """The parameters of a `HunyuanVideoTransformer3DModel`."""
    width, text = _width(config), config["text_embed_dim"]
    patch = config["patch_size_t"] * config["patch_size"] ** 2
    refiner = 4 * _linear(width, width) + _linear(width, 4 * width) + _linear(4 * width, width)
    refiner += _linear(width, 2 * width) + 4 * width
    captions = _timestep(width) + 2 * _linear(text, width) + _linear(width, width)
    captions += config["num_refiner_layers"] * refiner
    norms = (4 * config["num_layers"] + 2 * config["num_single_layers"]) * config["attention_head_dim"]
    head = _linear(width, 2 * width) + _linear(width, patch * config["out_channels"])
    embedding = config["in_channels"] * patch * width + width
    blocks = _block_linears(config) + _modulations(config)
    return int(embedding + captions + _time_text(config) + blocks + norms + head)


def llama_parameters(config: Config) -> int:
    """The parameters of a `LlamaModel`."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    head = config.get("head_dim") or width // heads
    keys = (config.get("num_key_value_heads") or heads) * head
    attention = 2 * width * heads * head + 2 * width * keys
    block = attention + 3 * width * config["intermediate_size"] + 2 * width
    return int(config["vocab_size"] * width + config["num_hidden_layers"] * block + width)


def clip_parameters(config: Config) -> int:
    """The parameters of a `CLIPTextModel`."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    block = 4 * _linear(width, width) + _linear(width, inner) + _linear(inner, width) + 4 * width
    words = config["vocab_size"] + config["max_position_embeddings"]
    return int(words * width + config["num_hidden_layers"] * block + 2 * width)


def _block_linears(config: Config) -> int:
    """Parameters of the linear layers of all blocks but their modulations."""
    width = _width(config)
    inner = int(width * config["mlp_ratio"])
    double = 8 * _linear(width, width) + 2 * (_linear(width, inner) + _linear(inner, width))
    single = 3 * _linear(width, width) + _linear(width, inner) + _linear(width + inner, width)
    return int(config["num_layers"] * double + config["num_single_layers"] * single)


def _modulations(config: Config) -> int:
    """Parameters of the layers of all blocks that turn the noise level into scales: never kept in 8 bits."""
    width = _width(config)
    return int(
        config["num_layers"] * 2 * _linear(width, 6 * width)
        + config["num_single_layers"] * _linear(width, 3 * width)
    )


def _time_text(config: Config) -> int:
    """Parameters of the layers that read the noise level, the guidance and CLIP's vector."""
    width = _width(config)
    guidance = _timestep(width) if config["guidance_embeds"] else 0
    return (
        _timestep(width) + guidance + _linear(config["pooled_projection_dim"], width) + _linear(width, width)
    )


def _timestep(width: int) -> int:
    return _linear(256, width) + _linear(width, width)


def _width(config: Config) -> int:
    return int(config["num_attention_heads"] * config["attention_head_dim"])


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs
