"""Where the parts of a model lie on this machine.

    folder, file, entry or hub id ─► find_model ─► PipelineParts ─► family's loader ─► Backbone

Whatever a model comes from, a loader sees the same: the model_index.json of its pipeline, and for each part a
folder in the format of diffusers and transformers, or one file of weights with the folder of its config.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moc_engine.errors import ModelNotFound


@dataclass(frozen=True, kw_only=True)
class PartSource:
    """Where one part of a model lies.

    `path` is a folder with config.json and weights, or one file of weights (.safetensors, .gguf), whose
    config.json lies in the folder `config`. `names` turns the name of a tensor of the file into that which
    the part's class has for it; `arranged` a tensor of a name into those of the class, where one holds
    several.
    """

    path: Path
    config: Path | None = None
    names: Callable[[str], str] = str
    arranged: Callable[[str, Any], Mapping[str, Any]] | None = None

    @property
    def config_folder(self) -> Path:
        """The folder with the part's config.json."""
        return self.path if self.config is None else self.config


@dataclass(frozen=True, kw_only=True)
class PipelineParts:
    """A model on this machine: the content of its model_index.json, and where each part lies.

    `source` is what a person called the model, `name` what traces call it. `folder` is that of a model in the
    format of diffusers; None for one of single files.
    """

    source: str
    name: str
    index: Mapping[str, Any]
    parts: Mapping[str, PartSource]
    folder: Path | None = None

    @property
    def pipeline_class(self) -> str:
        """The class of the pipeline, by which its family is found."""
        return str(self.index["_class_name"])

    def class_of(self, part: str) -> str | None:
        """The class of a part; None where the pipeline has none."""
        library_and_class = self.index.get(part)
        return str(library_and_class[1]) if part in self.parts and library_and_class else None

    def part(self, name: str) -> PartSource:
        """Where a part lies. Raises `ModelNotFound` where it is missing."""
        found = self.parts.get(name)
        if found is None or not found.path.exists():
            words = name.replace("_", " ")
            where = "" if found is None else f": there is no {found.path}; download or copy the model again"
            raise ModelNotFound(f"the model at {self.source} cannot be read: its {words} is missing{where}")
        return found


def parts_of_folder(folder: Path, index: Mapping[str, Any], *, source: str, name: str) -> PipelineParts:
    """The parts of a pipeline folder in the format of diffusers."""
    parts = {
        part: PartSource(path=folder / part)
        for part, value in index.items()
        if part.isidentifier()  # a name such as "../.." would lead out of the folder
        and isinstance(value, list)
        and len(value) == 2
        and all(isinstance(word, str) for word in value)
    }
    return PipelineParts(source=source, name=name, index=index, parts=parts, folder=folder)
