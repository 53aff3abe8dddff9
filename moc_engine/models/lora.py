"""LoRAs of a loaded model: read once, and switched from shot to shot without loading the model again.

    file ─► keys as diffusers names them ─► adapters beside the layers (PEFT) ─► switched on with weights

The weights of the model stay as they are: a shot without LoRAs is rendered as if none had been loaded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch

from moc_engine.contract import Lora
from moc_engine.errors import EngineError
from moc_engine.lora_files import lora_digest
from moc_engine.models.memory_errors import is_out_of_memory
from moc_engine.sources.lora_source import known_digest, lora_path

KEPT: Final = 6
"""Adapters that stay beside the layers of a model; the least recently used ones are dropped."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LoraWeights:
    """The weights of a LoRA file under diffusers' names, "transformer." before each.

    `metadata` is what the file says of its ranks, if it does. `left_out` says in words what of the file
    the model has no layers for, or cannot be added to it.
    """

    state: Mapping[str, torch.Tensor]
    metadata: Mapping[str, Any] | None
    left_out: tuple[str, ...] = ()


ReadLora = Callable[[Path, Any], LoraWeights]
"""Reads a file for a transformer. Raises `EngineError` where it is none, or was made for another model."""


@dataclass(frozen=True, kw_only=True)
class UsedLora:
    """A LoRA that a render uses: the digest of its file, its weight, and what of it was left out."""

    source: str
    digest: str
    weight: float
    expert: Literal["both", "high", "low"]
    left_out: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, float, str]:
        """What decides pixels: the content, the weight, and the experts."""
        return self.digest, self.weight, self.expert


class LoraAdapters:
    """The LoRAs of one model, whose transformers are its `experts`: "high" and "low", or one of the two.

    A model of one transformer has it as "high", or as "low" where it is the expert for low noise alone.
    `compute_dtype` is the one to add in; None takes that of each transformer.
    """

    def __init__(
        self, experts: Mapping[str, Any], read: ReadLora, compute_dtype: torch.dtype | None = None
    ) -> None:
        self._experts = dict(experts)
        self._read = read
        self._compute_dtype = compute_dtype
        self._digests: dict[tuple[str, int, int], str] = {}
        self._loaded: dict[tuple[str, str], tuple[str, ...]] = {}  # least recently used first

    def use(self, loras: Sequence[Lora]) -> tuple[UsedLora, ...]:
        """Switches these on and all others off; what is not loaded is. Raises `EngineError`.

        A file that is given twice counts with the sum of its weights.
        """
        for lora in loras:
            if lora.expert != "both" and len(self._experts) < 2:
                raise EngineError(
                    f"the LoRA {Path(lora.source).name} is for the {lora.expert}-noise expert, "
                    "but the model has one transformer"
                )
        files = [lora_path(lora.source) for lora in loras]
        digests = [self._digest(file) for file in files]
        left_out: dict[str, tuple[str, ...]] = {}
        for expert, transformer in self._experts.items():
            weights: dict[str, float] = {}
            for lora, file, digest in zip(loras, files, digests, strict=True):
                if lora.expert in ("both", expert):
                    told = self._load(expert, file, digest)
                    left_out[digest] = tuple(dict.fromkeys((*left_out.get(digest, ()), *told)))
                    weights[_name(digest)] = weights.get(_name(digest), 0.0) + lora.weight
            if weights:
                transformer.enable_lora()
                transformer.set_adapters(list(weights), list(weights.values()))
            elif getattr(transformer, "peft_config", None):
                transformer.disable_lora()
        self._drop_unused(set(digests))
        return tuple(
            UsedLora(
                source=lora.source,
                digest=digest,
                weight=lora.weight,
                expert=lora.expert,
                left_out=left_out.get(digest, ()),
            )
            for lora, digest in zip(loras, digests, strict=True)
        )

    def _load(self, expert: str, file: Path, digest: str) -> tuple[str, ...]:
        """Adds the adapter unless it is there, and says what of the file was left out."""
        told = self._loaded.pop((expert, digest), None)
        if told is None:
            told = self._add(self._experts[expert], file, digest)
        self._loaded[expert, digest] = told
        return told

    def _add(self, transformer: Any, file: Path, digest: str) -> tuple[str, ...]:
        weights = self._read(file, transformer)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several are meant
                transformer.load_lora_adapter(
                    dict(weights.state),
                    adapter_name=_name(digest),
                    metadata=None if weights.metadata is None else dict(weights.metadata),
                    low_cpu_mem_usage=True,  # keeps the dtype of the file, which 8-bit layers would not
                )
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            if is_out_of_memory(error):
                raise
            raise EngineError(f"the LoRA {file.name} does not fit the model: {error}") from error
        self._to_compute_dtype(transformer, _name(digest))
        _renew_group_offloading(transformer)
        return weights.left_out

    def _to_compute_dtype(self, transformer: Any, name: str) -> None:
        dtype, device = (
            self._compute_dtype or transformer.dtype,
            transformer.device,
        )  # each looks at all layers
        for parameter_name, parameter in transformer.named_parameters():
            if f".{name}." in parameter_name:
                parameter.data = parameter.data.to(device, dtype)
                parameter.requires_grad_(False)

    def _drop_unused(self, used: set[str]) -> None:
        unused = [key for key in self._loaded if key[1] not in used]
        for expert, digest in unused[: max(0, len(self._loaded) - KEPT * len(self._experts))]:
            self._experts[expert].delete_adapters(_name(digest))
            del self._loaded[expert, digest]

    def _digest(self, file: Path) -> str:
        try:
            stat = file.stat()
        except OSError as error:
            raise EngineError(f"the LoRA {file} cannot be read: {error.strerror}") from error
        key = str(file), stat.st_size, stat.st_mtime_ns
        if key not in self._digests:
            self._digests[key] = known_digest(file) or lora_digest(file)
        return self._digests[key]


def _name(digest: str) -> str:
    return f"lora_{digest[:24]}"


def _renew_group_offloading(transformer: Any) -> None:
    """Layers that were added are offloaded with the others, where groups of layers are."""
    from diffusers.hooks.group_offloading import _maybe_remove_and_reapply_group_offloading

    _maybe_remove_and_reapply_group_offloading(transformer)
