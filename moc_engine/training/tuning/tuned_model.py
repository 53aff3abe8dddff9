"""Loads the transformer of a model for tuning, and saves a model with the weights that came of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from moc_engine.config import RoutingConfig
from moc_engine.errors import ModelMismatch
from moc_engine.files import atomic_folder, write_text
from moc_engine.sources.parts import PipelineParts
from moc_engine.training.tuning.noise_levels import NoiseLevels
from moc_engine.training.tuning.recipe import TuningRecipe
from moc_engine.training.tuning.trainable import Trainable, make_trainable
from moc_engine.training.tuning.tunable import noise_range, noise_shift, transformer_part

SHARD: Final = "5GB"
"""The largest file of weights that is written, as diffusers has it."""

WEIGHTS: Final = "diffusion_pytorch_model"


@dataclass(frozen=True, kw_only=True, eq=False)
class TunedModel:
    """The transformer of a model, ready to be trained by a recipe.

    `part` is its name in the pipeline, `routing` the model's own. Captions are padded to `caption_states`.
    """

    source: PipelineParts
    part: str
    transformer: Any
    trainable: Trainable
    levels: NoiseLevels
    routing: RoutingConfig
    caption_states: int


def load_for_tuning(model: PipelineParts, recipe: TuningRecipe) -> TunedModel:
    """Loads the transformer that the recipe trains into main memory, its trained weights in float32.

    Frozen weights are in the recipe's precision. Raises `ModelMismatch`, `ModelNotFound` and `ValueError` for
    what cannot be tuned, in words.
    """
    from diffusers import WanTransformer3DModel

    from moc_engine.models.part_loading import load_part
    from moc_engine.models.wan.caption_room import caption_states_of
    from moc_engine.models.wan.defaults import routing_of

    part = transformer_part(model, recipe)
    in_half = recipe.kind == "lora" and recipe.precision == "bf16"
    transformer = load_part(
        WanTransformer3DModel, model, part, dtype=torch.bfloat16 if in_half else torch.float32
    )
    low, high = noise_range(model, recipe)
    return TunedModel(
        source=model,
        part=part,
        transformer=transformer,
        trainable=make_trainable(transformer, recipe),
        levels=NoiseLevels(levels=recipe.levels, shift=noise_shift(model, recipe), low=low, high=high),
        routing=routing_of(model.index),
        caption_states=caption_states_of(model.index),
    )


def save_model(
    tuned: TunedModel,
    folder: Path,
    *,
    weights: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Saves the whole model as a pipeline folder of diffusers, with the trained transformer in its place.

    `weights` are the transformer's (None: those that it has now), saved in `dtype` where given, but for those
    that diffusers keeps in float32. Files of other parts are hard links where the file system has them.
    Raises `ModelMismatch` for a model of single files, and `OSError` where the folder cannot be written.
    """
    source = tuned.source.folder
    if source is None:
        raise ModelMismatch(
            f"{tuned.source.source} is made of single files: train a LoRA, or take the model as a folder"
        )
    state = tuned.transformer.state_dict() if weights is None else weights
    with atomic_folder(folder) as part:
        for child in sorted(source.iterdir()):
            if child.name == tuned.part or child.name.startswith("."):
                continue
            if child.is_dir():
                shutil.copytree(child, part / child.name, copy_function=_link)
            else:
                shutil.copyfile(child, part / child.name)
        target = part / tuned.part
        target.mkdir()
        tuned.transformer.save_config(target)
        kept = tuple(tuned.transformer._keep_in_fp32_modules or ())
        _save_weights(state, target, dtype, kept)


def _save_weights(
    state: Mapping[str, Tensor], folder: Path, dtype: torch.dtype | None, in_full: tuple[str, ...]
) -> None:
    """Writes weights in files of limited size, one after the other, with an index if there are several."""
    from huggingface_hub import split_torch_state_dict_into_shards

    split = split_torch_state_dict_into_shards(
        dict(state), filename_pattern=WEIGHTS + "{suffix}.safetensors", max_shard_size=SHARD
    )
    for name, keys in split.filename_to_tensors.items():
        tensors = {}
        for key in keys:
            full = dtype is None or any(word in key.split(".") for word in in_full)
            tensors[key] = state[key].detach().to("cpu", state[key].dtype if full else dtype).contiguous()
        save_file(tensors, folder / name, {"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        write_text(folder / f"{WEIGHTS}.safetensors.index.json", json.dumps(index, indent=2, sort_keys=True))


def _link(source: str, target: str) -> str:
    """A hard link to the file itself, or a copy where there can be none."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copyfile(source, target)
    return target
