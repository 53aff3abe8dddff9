"""The embedded model: a Wan transformer over scene slots, a smoother, text encoder and tokenizer, one folder.

Latents are (B, CHANNELS, F, SLOTS, 1): a picture that is one slot high per row, through F latent frames.

The transformer predicts the clean latents rather than the velocity: scenes lie on a thin surface of
their space, noise fills it, and a narrow network need not carry the noise through (Li and He, "Back to
Basics: Let Denoising Generative Models Denoise", 2025). The smoother then mends what trembles in it, and
`velocity` is what samplers want.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from moc_engine.errors import ModelMismatch
from moc_engine.models.animatic.grammar import CAST_TOKENS, normalise
from moc_engine.models.animatic.marks import INPUTS
from moc_engine.models.animatic.scene import CHANNELS, PATCH_FRAMES
from moc_engine.models.animatic.smoother import Smoother
from moc_engine.models.animatic.subjects import SUBJECTS, subjects
from moc_engine.models.animatic.words import WORDS
from moc_engine.models.finding import find_model
from moc_engine.models.part_loading import load_part, load_settings, reading
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.models.registry import LoadedParts
from moc_engine.ops.routers.router import LearnedRouter, ModelSizes
from moc_engine.ops.routers.weights import read_routers, write_routers
from moc_engine.sources.parts import PipelineParts

PAD: Final = "<pad>"
UNKNOWN: Final = "<unk>"
STORY: Final = "<story>"
SHOT: Final = "<shot>"
"""Every caption begins with one of these two, so that an empty one has a token too."""

LEAST_LEVEL: Final = 1e-3
"""Below this noise level a velocity is not told apart from that at it."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The sizes of the transformer and of the text encoder trained with it."""

    layers: int = 6
    heads: int = 6
    head_width: int = 32
    feed_forward: int = 4  # times the transformer's width
    text_layers: int = 3
    text_width: int = 192
    text_heads: int = 6
    smoother_width: int = 96
    longest_caption: int = 128  # in words

    @property
    def width(self) -> int:
        return self.heads * self.head_width


PARTS: Final[Mapping[str, tuple[Any, Mapping[str, Any]]]] = {
    "transformer": (WanTransformer3DModel, {"dtype": torch.float32}),
    "smoother": (Smoother, {}),
    "text_encoder": (BertModel, {"add_pooling_layer": False, "dtype": torch.float32}),
    "tokenizer": (PreTrainedTokenizerFast, {}),
    "scheduler": (FlowMatchEulerDiscreteScheduler, {}),
}
"""The parts of a saved pipeline: the class of each, and how its weights are read."""


class AnimaticPipeline(DiffusionPipeline):  # type: ignore[misc]
    """The parts of the model, saved and loaded as a diffusers pipeline folder."""

    def __init__(
        self, transformer: Any, smoother: Any, text_encoder: Any, tokenizer: Any, scheduler: Any
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer,
            smoother=smoother,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            scheduler=scheduler,
        )
        self.routers: dict[str, LearnedRouter] = {}
        """The learned routers of the model, by name."""


def build(config: ModelConfig | None = None) -> AnimaticPipeline:
    """An untrained model; seed torch first for the same weights."""
    config = config if config is not None else ModelConfig()
    transformer = WanTransformer3DModel(
        patch_size=(PATCH_FRAMES, 1, 1),
        num_attention_heads=config.heads,
        attention_head_dim=config.head_width,
        in_channels=INPUTS,
        out_channels=CHANNELS,
        text_dim=config.text_width,
        freq_dim=128,
        ffn_dim=config.feed_forward * config.width,
        num_layers=config.layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
    )
    tokenizer = build_tokenizer(config.longest_caption)
    text_encoder = BertModel(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.text_width,
            num_hidden_layers=config.text_layers,
            num_attention_heads=config.text_heads,
            intermediate_size=4 * config.text_width,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=config.longest_caption,
            type_vocab_size=SUBJECTS,
            pad_token_id=tokenizer.pad_token_id,
            names=tokenizer.convert_tokens_to_ids(list(CAST_TOKENS)),
        ),
        add_pooling_layer=False,
    )
    return AnimaticPipeline(
        transformer,
        Smoother(width=config.smoother_width),
        text_encoder,
        tokenizer,
        FlowMatchEulerDiscreteScheduler(),
    )


def build_tokenizer(longest: int) -> PreTrainedTokenizerFast:
    """One token per canonical word; longer captions are cut after `longest` words."""
    vocabulary = {word: i for i, word in enumerate((PAD, UNKNOWN, STORY, SHOT, *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token=PAD, unk_token=UNKNOWN, model_max_length=longest
    )


def save(pipeline: AnimaticPipeline, folder: Path) -> None:
    """Writes model_index.json and a folder for each part, weights as safetensors, and the learned routers."""
    with no_progress_bars():
        pipeline.save_pretrained(folder, safe_serialization=True)
    write_routers(folder, pipeline.routers)


def sizes_of(pipeline: AnimaticPipeline) -> ModelSizes:
    """The sizes that the parameters of a learned router depend on."""
    config = pipeline.transformer.config
    return ModelSizes(
        layers=config.num_layers,
        heads=config.num_attention_heads,
        width=config.num_attention_heads * config.attention_head_dim,
    )


def load(source: str | Path) -> AnimaticPipeline:
    """Reads what `save` wrote, from a folder or the hub, in float32.

    Raises as `find_model` does, `ModelNotFound` for a damaged model, and `ModelMismatch` for a model of other
    parts, other latents or another vocabulary.
    """
    loading = load_pipeline_parts(find_model(source))
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            pipeline: AnimaticPipeline = stop.value
            return pipeline


def load_pipeline_parts(model: PipelineParts) -> Generator[LoadedParts, None, AnimaticPipeline]:
    """As `load`, one part after the other: yields before each part and at the end."""
    if model.pipeline_class != AnimaticPipeline.__name__:
        raise ModelMismatch(f"{model.source} is a {model.pipeline_class}, and no animatic model")
    for name in PARTS:
        if name not in model.index:
            raise ModelMismatch(f"{model.source} has no {name.replace('_', ' ')}; it is of another version")
    _check_latents(model)
    parts: dict[str, Any] = {}
    for done, (name, (kind, options)) in enumerate(PARTS.items()):
        yield LoadedParts(done=done, parts=len(PARTS), part=name)
        if name in ("tokenizer", "scheduler"):
            parts[name] = load_settings(kind, model, name)
        else:
            parts[name] = load_part(kind, model, name, **options)
    pipeline = AnimaticPipeline(**parts)
    _check_words(model.source, pipeline)
    if model.folder is not None:
        pipeline.routers = read_routers(model.folder, sizes_of(pipeline))
    yield LoadedParts(done=len(PARTS), parts=len(PARTS), part=None)
    return pipeline


def _check_latents(model: PipelineParts) -> None:
    with reading(model, "transformer") as part:
        config = WanTransformer3DModel.load_config(part.config_folder)
        channels, patch = config.get("in_channels"), list(config.get("patch_size", ()))
    if channels != INPUTS or patch != [PATCH_FRAMES, 1, 1]:
        raise ModelMismatch(
            f"{model.source} reads {channels} channels in patches of {patch}; "
            f"animatic latents have {INPUTS} in patches of {[PATCH_FRAMES, 1, 1]}"
        )


def _check_words(source: str, pipeline: AnimaticPipeline) -> None:
    numbers = pipeline.tokenizer.get_vocab()
    unread = set(WORDS) - numbers.keys()
    if unread:
        raise ModelMismatch(f"{source} does not know the word “{min(unread)}”; it is of another version")
    config = pipeline.text_encoder.config
    names = [numbers[name] for name in CAST_TOKENS]
    if getattr(config, "names", None) != names or config.type_vocab_size != SUBJECTS:
        raise ModelMismatch(f"{source}: the text encoder marks names otherwise; it is of another version")


def story_text(caption: str, cast: Sequence[str]) -> str:
    """A global caption as the tokenizer reads it."""
    return f"{STORY} {normalise(caption, cast)}".rstrip()


def shot_text(caption: str, cast: Sequence[str]) -> str:
    """A shot's own caption as the tokenizer reads it."""
    return f"{SHOT} {normalise(caption, cast)}".rstrip()


def encode_texts(tokenizer: Any, text_encoder: Any, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """States (R, W, E) of prepared texts, each by itself, and the mask (R, W) of real tokens."""
    device = next(text_encoder.parameters()).device
    read = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(device)
    return encode_words(text_encoder, read.input_ids)


def encode_words(text_encoder: Any, words_RW: Tensor) -> tuple[Tensor, Tensor]:
    """States (R, W, E) of rows of word numbers, zeros behind, and the mask (R, W) of real ones."""
    mask = words_RW != 0
    about = subjects(words_RW, text_encoder.config.names)
    states = text_encoder(input_ids=words_RW, attention_mask=mask, token_type_ids=about).last_hidden_state
    return states, mask


def velocity(latents: Tensor, clean: Tensor, level: Tensor) -> Tensor:
    """The flow ε - x0 at `latents` = (1 - σ) x0 + σ ε, given the predicted x0; `level`, σ, broadcasts."""
    return (latents - clean) / level.clamp(min=LEAST_LEVEL)
