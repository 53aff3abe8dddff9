"""Whether a LoRA fits a HunyuanVideo transformer, by the names and shapes in headers. No torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from moc_engine.errors import EngineError
from moc_engine.models.hunyuan.original_names import modules_of, without_prefix
from moc_engine.models.lora_titles import titles_for
from moc_engine.sources.part_files import weight_files
from moc_engine.sources.parts import PipelineParts
from moc_engine.sources.weights_header import read_header

_DOWN: Final = re.compile(r"(?P<module>.+?)\.(?:lora_A|lora_down)(?:\.default)?\.weight")


class HunyuanLoras:
    """LoRAs of HunyuanVideo, as `Loras`."""

    def check(self, model: PipelineParts, file: Path) -> None:
        """Raises `EngineError` for a file with layers that the model has not, or of other inputs."""
        inputs = _inputs(model)
        for name, tensor in read_header(file).tensors.items():
            key = _DOWN.fullmatch(without_prefix(name))
            if key is None or len(tensor.shape) != 2:
                continue
            for layer in modules_of(key["module"]) or (key["module"],):
                if layer not in inputs:
                    raise _another_model(file, f"this one has no layer {layer}")
                if tensor.shape[1] != inputs[layer]:
                    told = f"its layer {layer} has {tensor.shape[1]} inputs, this model's {inputs[layer]}"
                    raise _another_model(file, told)

    def made_for(self, file: Path) -> tuple[str, ...]:
        """None: files of HunyuanVideo's LoRAs are not told apart from those of models like it."""
        return ()


def _another_model(file: Path, difference: str) -> EngineError:
    titles = titles_for(file)
    known = f" ({', '.join(titles)})" if titles else ""
    return EngineError(f"the LoRA {file} was made for another model{known}: {difference}")


def _inputs(model: PipelineParts) -> dict[str, int]:
    """The inputs of each linear layer of a model's transformer, by diffusers' names."""
    path = model.part("transformer").path
    found: dict[str, int] = {}
    for file in [path] if path.is_file() else weight_files(path):
        for name, tensor in read_header(file).tensors.items():
            module, _, kind = without_prefix(name).rpartition(".")
            if kind == "weight" and len(tensor.shape) == 2:
                found |= dict.fromkeys(modules_of(module) or (module,), tensor.shape[1])
    return found
