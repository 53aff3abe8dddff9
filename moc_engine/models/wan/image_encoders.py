"""The image encoder of Wan 2.1's image-to-video models: CLIP ViT-H, as a file or a folder. No torch.

Several models have this encoder's shapes, and other weights: only one whose name says that it is Wan's is
taken unasked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.models.wan.variants import CONFIGS
from moc_engine.sources.comfyui import beside
from moc_engine.sources.model_files import FilePart
from moc_engine.sources.parts import PartSource
from moc_engine.sources.weights_header import WeightsHeader, read_header

IMAGE_ENCODER: Final = "clip-vit-h"

_OWN_NAME: Final = re.compile(r"(?i)clip_vision_h|xlm[-_]roberta")
"""What names of files with the image encoder that Wan was trained with have in them."""

_WITH_PROJECTION: Final = "CLIPVisionModelWithProjection"
_CLASSES: Final = ("CLIPVisionModel", _WITH_PROJECTION)


def identify_image_encoder(header: WeightsHeader) -> FilePart | None:
    """What a file is, where it is a CLIP ViT-H in the names of transformers."""
    config = json.loads((CONFIGS / "image_encoder" / IMAGE_ENCODER / "config.json").read_bytes())
    embedding = header.shape("vision_model.embeddings.patch_embedding.weight")
    layers = len(
        {name.split(".")[3] for name in header.tensors if name.startswith("vision_model.encoder.layers.")}
    )
    wanted = (config["hidden_size"], config["num_channels"], *[config["patch_size"]] * 2)
    if embedding != wanted or layers != config["num_hidden_layers"]:
        return None
    return FilePart(part="image_encoder", variant=IMAGE_ENCODER, title="CLIP ViT-H image encoder")


def find_image_encoder(transformer: Path, title: str) -> Path:
    """Wan's image encoder in the folders of a transformer. Raises `ModelNotFound` where it is not there."""
    folders = beside(transformer, "image_encoder")
    for folder in folders:
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() == ".safetensors" and _OWN_NAME.search(file.name):
                return file
    places = " or ".join(map(str, folders)) or "ComfyUI's folders, as the model lies in none of them"
    raise ModelNotFound(
        f"{title} reads its first frame through an image encoder as well: put clip_vision_h.safetensors into "
        f"{places}, or name it, or its folder in the format of transformers, by --image-encoder of "
        "moc-studio models add"
    )


def image_encoder_parts(path: Path) -> dict[str, PartSource]:
    """The image encoder at a path, and what prepares pictures for it.

    Raises `ModelMismatch` for a file of another kind, `ModelNotFound` for a folder without its settings.
    """
    if path.is_dir():
        return {
            "image_encoder": PartSource(path=path),
            "image_processor": PartSource(path=_processor_of_folder(path)),
        }
    if identify_image_encoder(read_header(path)) is None:
        raise ModelMismatch(
            f"{path} is no image encoder of a Wan model: that is CLIP ViT-H in the names of transformers, as "
            "in clip_vision_h.safetensors"
        )
    config = CONFIGS / "image_encoder" / IMAGE_ENCODER
    names = image_encoder_names(image_encoder_class(path))
    return {
        "image_encoder": PartSource(path=path, config=config, names=names),
        "image_processor": PartSource(path=config),
    }


def image_encoder_class(path: Path) -> str:
    """The class of transformers that an image encoder is of, with or without its unused projection."""
    if path.is_file():
        return _WITH_PROJECTION if "visual_projection.weight" in read_header(path).tensors else _CLASSES[0]
    try:
        content: Mapping[str, Any] = json.loads((path / "config.json").read_bytes())
        named = content["architectures"][0]
    except (OSError, ValueError, LookupError, TypeError):
        return _WITH_PROJECTION  # loading it reports what is wrong
    return named if named in _CLASSES else _WITH_PROJECTION


def image_encoder_names(kind: str) -> Callable[[str], str]:
    """How tensors of a file are called in a class: the one without a projection has no common prefix."""
    return str if kind == _WITH_PROJECTION else _without_prefix


def _without_prefix(name: str) -> str:
    return name.removeprefix("vision_model.")


def _processor_of_folder(image_encoder: Path) -> Path:
    """The folder that says how pictures are prepared for an image encoder."""
    for folder in (image_encoder, image_encoder.parent / "image_processor"):
        if (folder / "preprocessor_config.json").is_file():
            return folder
    raise ModelNotFound(
        f"preprocessor_config.json is missing in {image_encoder} and in image_processor beside it"
    )
