"""How much memory a model needs under a profile, from the configurations of its parts. No torch.

Weights are counted exactly. What is computed with is estimated from what the layers hold at once, as measured
on models of random weights: within a fifth of it there; drivers and fragments add to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from moc_engine.profiles import GIB, Profile, Residence

Config = Mapping[str, Any]

AUTOENCODERS: Final = {16: 126_892_531, 48: 704_688_668}
"""Parameters of the published autoencoders by the channels of their latents: Wan 2.1's and Wan 2.2's (5B)."""

WIDTHS_HELD_BY_CONTROL: Final = 1.0
"""Numbers as wide as the model that VACE holds for each token beside one for each of its hints."""

WIDTHS_HELD: Final = 19.0
"""Numbers as wide as the model that a block holds for each token at its peak, those of the feed-forward layer
apart."""

FEED_FORWARD_HELD: Final = 0.75
"""The share of the feed-forward layer's width that adds to it."""

DECODER_HELD: Final = {False: 50.0, True: 22.3}
"""Numbers that a decoder holds for each pixel, in widths of its last layers, whether or not it is residual
(Wan 2.2)."""

TILES_HELD: Final = 5.3
"""Numbers for each pixel of each frame that wait in tiles while others are decoded."""

JOINED_HELD: Final = 14.0
"""Numbers for each pixel of each frame while tiles are joined."""

IN_FULL: Final = 4
"""Bytes of a number of Wan's autoencoder, which is computed in float32 everywhere."""

STREAMED: Final = 5 * GIB // 2
"""Bytes of a text encoder on the device where its layers are copied over one by one: its words, mostly."""

CONTEXT: Final = GIB // 2
"""Bytes that a driver takes for itself."""


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """What the memory that a model needs follows from: parameters of its parts, and what is computed at once.

    A transformer has `blocks` parameters in linear layers of its `layers` blocks, and `in_8_bits` in those
    that profiles keep in 8 bits. `remembering` blocks keep keys and values, of `heads` heads of `head_size`.
    It holds `held` numbers at once for each token; of those, `caption_tokens` are the captions'.

    Latents have `channels`, and stand for `over_time` frames, `rate` a second, and `pixels` to a side. They
    are decoded `piece` latent frames at once; the decoder holds `decoder` numbers for each pixel of each of
    their frames (of one latent frame: for each pixel), of `autoencoder_bytes`, None for full precision.
    """

    transformers: int
    transformer: int
    blocks: int
    in_8_bits: int
    layers: int
    remembering: int
    heads: int
    head_size: int
    held: float
    caption_tokens: int = 0
    patch: tuple[int, int, int]
    text_encoder: int
    autoencoder: int
    autoencoder_bytes: int | None = IN_FULL
    decoder: float
    piece: int = 1
    channels: int
    over_time: int
    rate: float
    pixels: int

    def latent_shape(self, size: tuple[int, int], seconds: float) -> tuple[int, int, int, int]:
        """(C, F, H, W) of a shot."""
        frames = 1 + round(max(0.0, seconds * self.rate - 1) / self.over_time)
        width, height = (max(1, side // self.pixels) for side in size)
        return self.channels, frames, height, width


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes that a render needs at its peak: of the device, and of main memory beside it, through which all
    parts go that do not stay on the device.

    `stages` are the peaks on the device while captions are encoded, shots denoised and frames decoded.
    """

    device: int
    host: int
    stages: Mapping[str, int]

    def fits(self, device: int, host: int) -> bool:
        """Whether a machine with so many bytes can render."""
        return self.device <= device and self.host <= host


def wan_size(configs: Mapping[str, Config]) -> ModelSize:
    """The size of a Wan model, from the config.json of each part by its name in model_index.json.

    Raises `KeyError` for what a Wan model has and this one has not.
    """
    transformers = [configs[name] for name in ("transformer", "transformer_2") if name in configs]
    if not transformers:
        raise KeyError("transformer")
    first, autoencoder = transformers[0], configs["vae"]
    hints = len(_vace_layers(first))
    layers = first["num_layers"] + hints
    residual = bool(autoencoder.get("is_residual"))
    width = autoencoder.get("decoder_base_dim") or autoencoder.get("base_dim", 96)
    held = WIDTHS_HELD * _width(first) + FEED_FORWARD_HELD * first["ffn_dim"]
    if hints:
        held += (hints + WIDTHS_HELD_BY_CONTROL) * _width(first)
    blocks = block_parameters(first) * layers + _hint_parameters(first)
    channels = int(autoencoder.get("z_dim", 16))
    return ModelSize(
        transformers=len(transformers),
        transformer=transformer_parameters(first),
        blocks=blocks,
        in_8_bits=blocks,
        layers=layers,
        remembering=first["num_layers"],
        heads=first["num_attention_heads"],
        head_size=first["attention_head_dim"],
        held=held,
        patch=tuple(first["patch_size"]),
        text_encoder=text_encoder_parameters(configs["text_encoder"]),
        autoencoder=AUTOENCODERS.get(channels, AUTOENCODERS[16]),
        decoder=DECODER_HELD[residual] * width,
        channels=channels,
        over_time=autoencoder.get("scale_factor_temporal", 4),
        rate=24.0 if channels == 48 else 16.0,
        pixels=autoencoder.get("scale_factor_spatial", 8),
    )


def predicted_need(
    size: ModelSize,
    profile: Profile,
    latent_shape: Sequence[int],
    *,
    guided: bool = True,
    history: int = 0,
    full_bytes: int = 2,
) -> Need:
    """What a shot with latents (C, F, H, W) needs.

    `history` are bytes of earlier takes on the device; `full_bytes` those of a number in full precision.
    """
    one = transformer_bytes(size, profile, full_bytes)
    weights = {
        "captions": size.text_encoder * full_bytes,
        "denoise": size.transformers * one,
        "decode": size.autoencoder * (size.autoencoder_bytes or full_bytes),
    }
    residences: dict[str, Residence] = {
        "captions": profile.text_encoder,
        "denoise": profile.transformer,
        "decode": profile.autoencoder,
    }
    tokens = math.prod(side / patch for side, patch in zip(latent_shape[1:], size.patch, strict=True))
    tokens += size.caption_tokens
    working = {
        "captions": STREAMED if profile.text_encoder == "streamed" else 0,
        "denoise": int((2 if guided and not profile.two_passes else 1) * tokens * size.held * full_bytes)
        + history,
        "decode": _decoding(size, profile, latent_shape, full_bytes),
    }
    always = CONTEXT + sum(weights[stage] for stage, residence in residences.items() if residence == "stays")
    if profile.transformer == "groups":
        always += size.transformers * _outside_blocks(size, full_bytes)
        working["denoise"] += _groups(size, profile, one)
    visiting = {"captions": weights["captions"], "denoise": one, "decode": weights["decode"]}
    stages = {
        stage: always + working[stage] + (visiting[stage] if residences[stage] in ("visits", "freed") else 0)
        for stage in weights
    }
    host = sum(weights[stage] for stage, residence in residences.items() if residence != "stays")
    return Need(device=max(stages.values()), host=host, stages=stages)


def transformer_bytes(size: ModelSize, profile: Profile, full_bytes: int = 2) -> int:
    """The bytes of one transformer's weights."""
    if profile.weights == "full":
        return size.transformer * full_bytes
    return size.in_8_bits + (size.transformer - size.in_8_bits) * full_bytes


def transformer_parameters(config: Config) -> int:
    """The parameters of a `WanTransformer3DModel` or a `WanVACETransformer3DModel`."""
    width, patch = _width(config), math.prod(config["patch_size"])
    embedding = config["in_channels"] * width * patch + width
    time = _linear(config["freq_dim"], width) + _linear(width, width) + _linear(width, 6 * width)
    text = _linear(config["text_dim"], width) + _linear(width, width)
    image = 0
    if (image_dim := config.get("image_dim")) is not None:
        image = _linear(image_dim, image_dim) + _linear(image_dim, width) + 2 * image_dim + 2 * width
        image += (config.get("pos_embed_seq_len") or 0) * image_dim
    norms = 6 * width + 2 * width + 2 * width  # modulation, the affine norm, and those of queries and keys
    norms += 2 * width  # of the cross-attention
    block = block_parameters(config) + norms
    if config.get("added_kv_proj_dim") is not None:
        block += width
    head = _linear(width, config["out_channels"] * patch) + 2 * width
    layers = config["num_layers"] + len(_vace_layers(config))
    if _vace_layers(config):
        embedding += config["vace_in_channels"] * width * patch + width
    return int(embedding + time + text + image + layers * block + _hint_parameters(config) + head)


def block_parameters(config: Config) -> int:
    """The parameters of the linear layers of one block."""
    width, added = _width(config), config.get("added_kv_proj_dim")
    attention = 8 * _linear(width, width) + (0 if added is None else 2 * _linear(added, width))
    return attention + _linear(width, config["ffn_dim"]) + _linear(config["ffn_dim"], width)


def _vace_layers(config: Config) -> Sequence[int]:
    """The blocks that VACE's layers give hints to; none where it is another model."""
    layers: Sequence[int] = config.get("vace_layers") or ()
    return layers


def _hint_parameters(config: Config) -> int:
    """The parameters of VACE's layers that blocks lack: a projection out of each, and into the first."""
    layers, width = len(_vace_layers(config)), _width(config)
    return (layers + 1) * _linear(width, width) if layers else 0


def text_encoder_parameters(config: Config) -> int:
    """The parameters of a `UMT5EncoderModel`."""
    width, inner = config["d_model"], config["num_heads"] * config["d_kv"]
    gated = str(config.get("feed_forward_proj", "gated-gelu")).startswith("gated")
    block = 4 * width * inner + (3 if gated else 2) * width * config["d_ff"] + 2 * width
    block += config.get("relative_attention_num_buckets", 32) * config["num_heads"]
    return int(config["vocab_size"] * width + config["num_layers"] * block + width)


def _outside_blocks(size: ModelSize, full_bytes: int) -> int:
    """Bytes of one transformer outside the linear layers of its blocks."""
    return (size.transformer - size.blocks) * full_bytes


def _groups(size: ModelSize, profile: Profile, transformer: int) -> int:
    """Bytes of blocks on the device at once: a group that is computed with, and the next one."""
    blocks = min(size.layers, 2 * profile.blocks_per_group)
    return int(transformer * blocks / size.layers)


def _decoding(size: ModelSize, profile: Profile, latent_shape: Sequence[int], full_bytes: int) -> int:
    _, frames, height, width = latent_shape
    pixels = height * width * size.pixels**2
    shown = 1 + (min(frames, size.piece) - 1) * size.over_time
    held = pixels * size.decoder * shown
    if profile.tile is not None:  # what is kept from frame to frame then lies in main memory
        tile = profile.tile**2
        of_tile = tile * size.decoder * shown
        if size.piece == 1:
            held = min(held, of_tile)
        elif pixels > tile:
            held = max(of_tile + TILES_HELD * pixels * shown, JOINED_HELD * pixels * shown)
    return int((size.autoencoder_bytes or full_bytes) * held)


def _width(config: Config) -> int:
    return int(config["num_attention_heads"] * config["attention_head_dim"])


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs
