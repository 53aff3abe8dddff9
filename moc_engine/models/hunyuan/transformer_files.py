"""HunyuanVideo's transformer as a single file, the other parts from a folder in diffusers' format. No torch.

The text encoders are those of such a folder: ComfyUI's files of them (llava_llama3, clip_l) carry no
tokenizers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.model_index import parse_model_index
from moc_engine.models.hunyuan.original_names import arranged, without_prefix
from moc_engine.sources.model_files import FilePart, ModelFiles
from moc_engine.sources.parts import PartSource, PipelineParts, parts_of_folder
from moc_engine.sources.weights_header import WeightsHeader, read_header

TITLE: Final = "HunyuanVideo"

WIDTH: Final = 3072

_PUBLISHED: Final[Mapping[str, tuple[int, ...]]] = {
    "img_in.proj.weight": (WIDTH, 16, 1, 2, 2),
    "txt_in.input_embedder.weight": (WIDTH, 4096),
    "vector_in.in_layer.weight": (WIDTH, 768),
    "guidance_in.mlp.0.weight": (WIDTH, 256),
    "double_blocks.19.img_attn_qkv.weight": (3 * WIDTH, WIDTH),
    "single_blocks.39.linear1.weight": (7 * WIDTH, WIDTH),
    "final_layer.linear.weight": (64, WIDTH),
}
"""Shapes by which the published text-to-video model is told."""

_FROM_PICTURES: Final = re.compile(r"(?i)(?<![a-z])i2v(?![a-z])|image[ _-]to[ _-]video")
"""Names of files of picture-to-video models, some of which have the shapes of the other."""


class HunyuanFiles:
    """The single files of HunyuanVideo, as `SingleFiles`."""

    def identify(self, path: Path) -> FilePart | None:
        header = read_header(path)
        names = {without_prefix(name): name for name in header.tensors}
        if "single_blocks.0.linear1.weight" not in names or "txt_in.input_embedder.weight" not in names:
            return None
        _check_published(header, names)
        return FilePart(part="transformer", variant="hunyuanvideo-t2v", title=TITLE)

    def title(self, model: PipelineParts) -> str | None:
        if model.pipeline_class != "HunyuanVideoPipeline":
            return None
        return TITLE if model.part("transformer").path.is_file() else None

    def assemble(self, files: ModelFiles, *, source: str, name: str) -> PipelineParts:
        """The model of a transformer's file and the folder `config` with all other parts.

        Raises `ModelNotFound` without the folder, `ModelMismatch` for other files beside the transformer's.
        """
        if files.config is None:
            raise ModelNotFound(
                f"{files.transformer} is the transformer of HunyuanVideo alone; name a folder of it in "
                "diffusers' format by --config, such as that of hunyuanvideo-community/HunyuanVideo, whose "
                "text encoders, tokenizers and autoencoder are then used with it"
            )
        others = sorted(files.present.keys() - {"transformer", "config"})
        if others:
            words = ", ".join(other.replace("_", " ") for other in others)
            raise ModelMismatch(
                f"{files.transformer}: of HunyuanVideo the transformer alone is read from a single file; its "
                f"{words} must lie in the folder {files.config}"
            )
        index = parse_model_index(files.config, files.config / "model_index.json")
        folder = parts_of_folder(files.config, index, source=source, name=name)
        transformer = files.transformer
        if transformer.is_dir():
            part = PartSource(path=transformer)
        else:
            config = files.config / "transformer"
            part = PartSource(
                path=transformer, config=config, arranged=partial(arranged, width=_width(config))
            )
        return replace(folder, folder=None, parts={**folder.parts, "transformer": part})


def _check_published(header: WeightsHeader, names: Mapping[str, str]) -> None:
    if _FROM_PICTURES.search(header.path.name):
        raise ModelMismatch(
            f"{header.path} starts each shot from a picture; of HunyuanVideo the engine drives text to video"
        )
    blocks = {name.split(".")[1] for name in names if name.startswith("double_blocks.")}
    found = {name: header.shape(names[name]) if name in names else None for name in _PUBLISHED}
    wrong = next((name for name, shape in _PUBLISHED.items() if found[name] != shape), None)
    if wrong is not None or len(blocks) != 20:
        raise ModelMismatch(
            f"{header.path} is a HunyuanVideo transformer unlike the published one for text to video"
            + (f": its {wrong} has the shape {found[wrong]} and not {_PUBLISHED[wrong]}" if wrong else "")
            + "; name a folder with its config.json files by --config"
        )


def _width(config: Path) -> int:
    try:
        content: dict[str, Any] = json.loads((config / "config.json").read_bytes())
        return int(content["num_attention_heads"]) * int(content["attention_head_dim"])
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ModelNotFound(
            f"the config.json of the transformer is missing in {config}, or damaged"
        ) from error
