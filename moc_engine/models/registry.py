"""The model families: which one drives a pipeline class, and how its models are loaded. No torch.

    model_index.json ─► "_class_name" ─► FamilyEntry ─► load ─► Backbone

Families of the engine are listed here by module and imported when a model needs them. Others join by an
entry point of the group `moc_studio.families`, whose name is the pipeline class and whose value a
`FamilyEntry`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from moc_engine.abilities import Ability
from moc_engine.errors import ModelMismatch
from moc_engine.model_memory import Config, ModelSize
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.footage_encoders import FootageEncoders
from moc_engine.own_settings import OwnSettings
from moc_engine.plug_ins import BadPlugIn, find_plug_in
from moc_engine.profiles import Profile
from moc_engine.sources.model_files import FilePart, ModelFiles
from moc_engine.sources.parts import PipelineParts

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from moc_engine.models.backbone import Backbone

ENTRY_POINTS: Final = "moc_studio.families"

BUILT_IN: Final[Mapping[str, str]] = {
    "AnimaticPipeline": "moc_engine.models.animatic",
    "HunyuanVideoPipeline": "moc_engine.models.hunyuan",
    "WanDMDPipeline": "moc_engine.models.wan",
    "WanImageToVideoPipeline": "moc_engine.models.wan",
    "WanPipeline": "moc_engine.models.wan",
    "WanVACEPipeline": "moc_engine.models.wan",
}
"""Pipeline class -> the package that defines `FAMILY`, a `FamilyEntry`."""


@dataclass(frozen=True, kw_only=True)
class LoadedParts:
    """`done` of the model's `parts` are loaded; `part` names the next one, None after the last."""

    done: int
    parts: int
    part: str | None


class Vocabulary(Protocol):
    """The words of a family that knows a closed set of them. A module may implement it."""

    @property
    def WORDS(self) -> tuple[str, ...]:
        """All canonical words, in the order of the tokenizer."""

    @property
    def CHARACTERS_PER_SHOT(self) -> int:
        """How many characters one shot can show."""

    @property
    def LARGEST_CAST(self) -> int:
        """How many cast members the model tells apart."""

    def words(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """kind -> canonical word -> every word and phrase that means it."""

    def unknown_words(self, caption: str, cast: Sequence[str] = ()) -> list[tuple[str, int, int]]:
        """The words that are not known, each with its start and end in the caption."""

    def nearest_word(self, word: str) -> str | None:
        """The known word that is spelt most like `word`, if one is similar."""

    def find_names(self, captions: Iterable[str]) -> tuple[str, ...]:
        """Capitalised unknown words in order of appearance: the cast of a storyboard that lists none."""

    def described_cast(self, caption: str, cast: Sequence[str]) -> tuple[str, ...]:
        """The cast members whose look the caption describes or changes."""

    def describe(
        self, latents_CFHW: NDArray[np.float32], caption: str, cast: Sequence[str]
    ) -> tuple[str, ...]:
        """Sentences about the looks in a finished shot that its caption does not tell."""


class SingleFiles(Protocol):
    """How a family tells its single files apart, and puts models together from them."""

    def identify(self, path: Path) -> FilePart | None:
        """What a file of weights is, by its header; None where it is none of the family's.

        Raises `ModelNotFound` for a file that cannot be read, `ModelMismatch` for one of the family that is
        like no model it knows.
        """

    def title(self, model: PipelineParts) -> str | None:
        """What a model is called, such as "Wan 2.2 TI2V 5B"; None for one that was not published."""

    def assemble(self, files: ModelFiles, *, source: str, name: str) -> PipelineParts:
        """The model of these files. Raises `ModelNotFound` for parts that are missing, `ModelMismatch`."""


class Loras(Protocol):
    """What a family tells of a LoRA file from its header, before a model is loaded."""

    def check(self, model: PipelineParts, file: Path) -> None:
        """Raises `EngineError` for a file that cannot be added to the model."""

    def made_for(self, file: Path) -> tuple[str, ...]:
        """What the models are called that a LoRA fits, such as "Wan 2.1 T2V 14B"."""


@dataclass(frozen=True, kw_only=True)
class FamilyEntry:
    """What the registry knows of a family; importing it must not import torch.

    `load` takes the parts of a model, the device, and the profile that says how to fit it in; it yields
    before each part and at the end, and returns the model. `abilities` tells from the model_index.json what a
    model can do, before it is loaded, and `needs_first_frame` whether each shot must start from a picture.
    `vocabulary` is given by families of a closed vocabulary, `single_files` by those whose models come as
    files as well, `loras` by those that take LoRAs, `own_settings` by those that bring settings with them,
    `left_out` by those that read captions up to a length: what of the global caption and of a shot's own is
    left out, None where that cannot be told; `encoders` by those that can be trained on footage; `size` by
    those whose need of memory is predicted: from the config.json of each part, with a `KeyError` for what one
    lacks.
    """

    load: Callable[[PipelineParts, torch.device, Profile], Generator[LoadedParts, None, Backbone]]
    abilities: Callable[[Mapping[str, Any]], frozenset[Ability]] = lambda index: frozenset()
    needs_first_frame: Callable[[Mapping[str, Any]], bool] = lambda index: False
    vocabulary: Callable[[], Vocabulary] | None = None
    single_files: Callable[[], SingleFiles] | None = None
    loras: Callable[[], Loras] | None = None
    own_settings: Callable[[PipelineParts], OwnSettings] | None = None
    left_out: Callable[[PipelineParts, str, str], LeftOut | None] | None = None
    encoders: Callable[[PipelineParts, torch.device, Profile], FootageEncoders] | None = None
    size: Callable[[Mapping[str, Config]], ModelSize] | None = None


def family_entry(pipeline_class: str) -> FamilyEntry:
    """The family that drives pipelines of this class. Raises `ModelMismatch` where there is none."""
    module = BUILT_IN.get(pipeline_class)
    if module is not None:
        entry = import_module(module).FAMILY
        assert isinstance(entry, FamilyEntry)
        return entry
    try:
        found = find_plug_in(ENTRY_POINTS, pipeline_class, FamilyEntry)
    except BadPlugIn as error:
        raise ModelMismatch(str(error)) from error
    if found is not None:
        return found
    raise ModelMismatch(f"no model family for a {pipeline_class}; there are {', '.join(pipeline_classes())}")


def families_of_single_files() -> Iterator[SingleFiles]:
    """The families whose models come as single files as well, each once."""
    seen: set[int] = set()
    for pipeline_class in pipeline_classes():
        entry = family_entry(pipeline_class)
        if entry.single_files is not None and id(entry.single_files) not in seen:
            seen.add(id(entry.single_files))
            yield entry.single_files()


def pipeline_classes() -> tuple[str, ...]:
    """The pipeline classes that can be loaded."""
    return tuple(sorted({*BUILT_IN, *entry_points(group=ENTRY_POINTS).names}))
