"""Puts a Wan model together from single files: its variant, the other parts, what is missing. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import EngineError, ModelMismatch, ModelNotFound
from moc_engine.models.wan.defaults import has_part
from moc_engine.models.wan.experts import expert_of, other_expert
from moc_engine.models.wan.identification import identify, part_of
from moc_engine.models.wan.image_encoders import (
    find_image_encoder,
    identify_image_encoder,
    image_encoder_class,
    image_encoder_names,
    image_encoder_parts,
)
from moc_engine.models.wan.tensor_names import text_encoder_name, transformer_name, vae_name
from moc_engine.models.wan.variants import (
    CONFIGS,
    TEXT_ENCODER,
    TWO_EXPERTS,
    VAES,
    VARIANTS,
    Variant,
    transformer_config,
)
from moc_engine.sources.comfyui import beside
from moc_engine.sources.model_files import FilePart, ModelFiles
from moc_engine.sources.part_files import read_json
from moc_engine.sources.parts import PartSource, PipelineParts
from moc_engine.sources.weights_header import GGUF_PIECES, SPIECE, read_header

_CLASSES: Final[Mapping[str, tuple[str, str]]] = {
    "tokenizer": ("transformers", "T5TokenizerFast"),
    "text_encoder": ("transformers", "UMT5EncoderModel"),
    "image_encoder": ("transformers", "CLIPVisionModelWithProjection"),
    "image_processor": ("transformers", "CLIPImageProcessor"),
    "vae": ("diffusers", "AutoencoderKLWan"),
    "transformer": ("diffusers", "WanTransformer3DModel"),
    "transformer_2": ("diffusers", "WanTransformer3DModel"),
    "scheduler": ("diffusers", "UniPCMultistepScheduler"),
}

_NAMES: Final[Mapping[str, Callable[[str], str]]] = {
    "transformer": transformer_name,
    "transformer_2": transformer_name,
    "vae": vae_name,
    "text_encoder": text_encoder_name,
}


class WanFiles:
    """The single files of the Wan family, as `SingleFiles`."""

    def identify(self, path: Path) -> FilePart | None:
        return _identified(path)

    def title(self, model: PipelineParts) -> str | None:
        return title_of(model)

    def assemble(self, files: ModelFiles, *, source: str, name: str) -> PipelineParts:
        """The model of these files; parts that are not named are looked for beside the transformer.

        Raises `ModelMismatch` for files that do not go together, `ModelNotFound` for what is missing.
        """
        if files.config is not None:
            return _configured(files, files.config, source=source, name=name)
        variant = _variant(files)
        vae = files.vae or _found(files.transformer, "vae", variant.vae, f"the {VAES[variant.vae]}", "vae")
        _check_vae(vae, variant)
        text_encoder = files.text_encoder or _found(
            files.transformer, "text_encoder", TEXT_ENCODER, "the text encoder UMT5-XXL", "text-encoder"
        )
        parts = {
            "transformer": _weights("transformer", files.transformer, variant.transformer),
            "vae": _weights("vae", vae, variant.vae),
            "text_encoder": _text_encoder(text_encoder),
            "tokenizer": PartSource(path=_tokenizer(files.tokenizer, text_encoder)),
            "scheduler": PartSource(path=_config("scheduler", f"unipc-shift-{variant.shift:g}")),
        }
        if variant.experts == 2:
            high, low = _experts(files)
            parts["transformer"] = _weights("transformer", high, variant.transformer)
            parts["transformer_2"] = _weights("transformer", low, variant.transformer)
        if variant.name in ("wan2.1-i2v-14b", "wan2.1-flf2v-14b"):
            parts |= image_encoder_parts(
                files.image_encoder or find_image_encoder(files.transformer, variant.title)
            )
        return _pipeline(variant, parts, source=source, name=name)


def _pipeline(variant: Variant, parts: Mapping[str, PartSource], *, source: str, name: str) -> PipelineParts:
    index: dict[str, Any] = {"_class_name": variant.pipeline, **variant.index}
    for part in parts:
        library, kind = _CLASSES[part]
        if part.startswith("transformer"):
            kind = variant.transformer_class
        elif part == "image_encoder":
            kind = image_encoder_class(parts[part].path)
        index[part] = [library, kind]
    return PipelineParts(source=source, name=name, index=index, parts=parts)


def _config(part: str, name: str) -> Path:
    return CONFIGS / part / name


def _identified(path: Path) -> FilePart | None:
    """What a file is; the answer is kept while the file does not change. Raises as `identify`."""
    try:
        found = path.stat()
    except OSError:
        return _identity(path)
    return _kept_identity(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=256)
def _kept_identity(path: Path, size: int, changed: int) -> FilePart | None:
    return _identity(path)


def _identity(path: Path) -> FilePart | None:
    header = read_header(path)
    return identify(header) or identify_image_encoder(header)


def _weights(part: str, path: Path, config: str) -> PartSource:
    """A part in a file, or in a folder of its own."""
    if path.is_dir():
        return PartSource(path=path)
    return PartSource(path=path, config=_config(part, config), names=_NAMES[part])


def _part(path: Path, wanted: str) -> FilePart:
    """What a file is. Raises `ModelMismatch` unless it is the part that is wanted."""
    found = _identified(path)
    words = wanted.replace("_", " ")
    if found is None:
        raise ModelMismatch(f"{path} is no {words} of a Wan model")
    if found.part != wanted:
        raise ModelMismatch(
            f"{path} is no {words}, but {_with_article(found.title)}{_other_option(wanted, found.part)}"
        )
    return found


def _other_option(wanted: str, found: str) -> str:
    """What to do with a file that was given as another part than it is, naming the options of both."""
    options = [f"--{part.replace('_', '-')}" for part in (found, wanted)]
    return f"; name it by {options[0]} of moc-studio models add, and another file by {options[1]}"


def _check_kind(path: Path, wanted: str) -> None:
    """Raises `ModelMismatch` for a file of weights that is another part than the `wanted` one.

    A transformer and an autoencoder must be known as such; a text encoder may have names of its own.
    """
    found = part_of(read_header(path))
    words = wanted.replace("_", " ")
    if found is not None and found != wanted:
        raise ModelMismatch(
            f"{path} is no {words}, but a {found.replace('_', ' ')}{_other_option(wanted, found)}"
        )
    if found is None and wanted != "text_encoder":
        raise ModelMismatch(f"{path}, given by --{wanted.replace('_', '-')}, is no {words} of a Wan model")


def _with_article(title: str) -> str:
    return f"the {title}" if title.startswith(("Wan", "UMT5")) else f"a {title}"


def _variant(files: ModelFiles) -> Variant:
    """The published model that a transformer belongs to.

    Raises `ModelMismatch` where its name says Wan 2.2, but not which of two experts it is, and for a second
    transformer of a model that has one.
    """
    file = files.transformer
    variant = VARIANTS[_part(file, "transformer").variant]
    two = TWO_EXPERTS.get(variant.name)
    if two is not None and files.transformer_2 is not None:
        return VARIANTS[two]
    if two is not None and re.search(r"(?<!\d)2[._-]?2(?!\d)", file.stem):
        raise ModelMismatch(
            f"{file} has the shapes of {variant.title} and of an expert of {VARIANTS[two].title}, and its "
            "name says 2.2: have high_noise or low_noise in the names of both experts, or name the one for "
            "low noise by --transformer-2 of moc-studio models add"
        )
    if files.transformer_2 is not None and variant.experts == 1:
        raise ModelMismatch(f"{files.transformer_2}: {variant.title} has one transformer, {file}")
    return variant


def _check_vae(vae: Path, variant: Variant) -> None:
    if vae.is_dir():
        return
    found = _part(vae, "vae")
    if found.variant != variant.vae:
        raise ModelMismatch(f"{vae} is the {found.title}, but {variant.title} needs the {VAES[variant.vae]}")


def _experts(files: ModelFiles) -> tuple[Path, Path]:
    """The files of the experts for high and for low noise."""
    first = files.transformer
    second = files.transformer_2 or other_expert(first)
    if second is None:
        other = "low" if expert_of(first) != "low" else "high"
        raise ModelNotFound(
            f"{first} is one of two experts, and the one for {other} noise is not beside it; name it by "
            "--transformer-2"
        )
    kinds = {VARIANTS[_part(file, "transformer").variant].transformer for file in (first, second)}
    if len(kinds) > 1:
        raise ModelMismatch(f"{first} and {second} are experts of different models")
    experts = {expert_of(first): first, expert_of(second): second}
    if None in experts:  # a name that does not say it: the order in which they were given
        return first, second
    if experts.keys() != {"high", "low"}:
        raise ModelMismatch(f"{first} and {second} are both experts for {expert_of(first)} noise")
    return experts["high"], experts["low"]


def _found(transformer: Path, part: str, variant: str, words: str, option: str) -> Path:
    """A part among the files beside a transformer. Raises `ModelNotFound` where there is none."""
    folders = beside(transformer, part)
    for folder in folders:
        for file in sorted(folder.iterdir(), key=_preference):
            if file.suffix.lower() not in (".safetensors", ".gguf"):
                continue
            try:
                found = _identified(file)
            except EngineError:
                continue  # another model's, or damaged
            if found is not None and (found.part, found.variant) == (part, variant):
                return file
    places = " or ".join(map(str, folders)) or "ComfyUI's folders, as it lies in none of them"
    raise ModelNotFound(
        f"{transformer} needs {words}, which is not in {places}; put it there, or name it by --{option} of "
        "moc-studio models add"
    )


def _preference(file: Path) -> tuple[bool, bool, str]:
    """Files in full precision, then those of 8 bits, then GGUF; by name."""
    return file.suffix.lower() == ".gguf", "fp8" in file.name.lower(), file.name


def _text_encoder(path: Path) -> PartSource:
    if path.is_dir():
        return PartSource(path=path)
    _part(path, "text_encoder")
    return PartSource(path=path, config=_config("text_encoder", TEXT_ENCODER), names=text_encoder_name)


def _tokenizer(given: Path | None, text_encoder: Path) -> Path:
    """The folder of the tokenizer, or the file of the text encoder that carries it."""
    folders = [given] if given is not None else [text_encoder, text_encoder.parent / "tokenizer"]
    for folder in folders:
        if (folder / "tokenizer.json").is_file() or (folder / "spiece.model").is_file():
            return folder
    if given is None and text_encoder.is_file() and _carries_tokenizer(text_encoder):
        return text_encoder
    raise ModelNotFound(
        f"the tokenizer of {text_encoder} is missing: ComfyUI's umt5_xxl files carry it and most in GGUF, "
        "others do not; "
        "name a folder with tokenizer.json, such as tokenizer/ of a Wan model in diffusers' format, by "
        "--tokenizer"
    )


def _carries_tokenizer(text_encoder: Path) -> bool:
    header = read_header(text_encoder)
    return SPIECE in header.tensors or GGUF_PIECES in header.metadata


def title_of(model: PipelineParts) -> str | None:
    """The published model that a pipeline has the configuration of, such as "Wan 2.2 TI2V 5B"."""
    try:
        config = read_json(model.parts["transformer"].config_folder / "config.json")
    except (KeyError, ModelNotFound):
        return None
    experts = 2 if model.class_of("transformer_2") else 1
    for variant in VARIANTS.values():
        published = transformer_config(variant.transformer)
        like = (variant.transformer_class, variant.experts) == (model.class_of("transformer"), experts)
        if like and all(
            config.get(key, value) == value for key, value in published.items() if not key.startswith("_")
        ):
            return variant.title
    return None


def _configured(files: ModelFiles, config: Path, *, source: str, name: str) -> PipelineParts:
    """The model of these files with the configurations of a folder in diffusers' format."""
    from moc_engine.model_index import parse_model_index

    index = parse_model_index(config, config / "model_index.json")
    given = files.present
    parts: dict[str, PartSource] = {}
    for part in (part for part in _CLASSES if has_part(index, part)):
        path = given.get(part)
        if path is None and part == "tokenizer" and "text_encoder" in given:
            folder = config / part
            path = folder if folder.is_dir() else _tokenizer(None, given["text_encoder"])
        if path is None:
            parts[part] = PartSource(path=config / part)
        else:
            own = None if path.is_dir() else config / part
            kind = "transformer" if part == "transformer_2" else part
            if own is not None and kind in ("transformer", "vae", "text_encoder"):
                _check_kind(path, kind)
            names = image_encoder_names(index[part][1]) if part == "image_encoder" else _NAMES.get(part, str)
            parts[part] = PartSource(path=path, config=own, names=names)
    return PipelineParts(source=source, name=name, index=index, parts=parts)
