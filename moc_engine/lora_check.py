"""Whether a LoRA can be added to a model, told from the headers of files before anything is loaded. No torch.

The renderer checks a file once more, by the same functions and in the same words, when it is loaded.
"""

from __future__ import annotations

from pathlib import Path

from moc_engine.errors import EngineError
from moc_engine.lora_files import read_lora_file
from moc_engine.model_index import EMBEDDED
from moc_engine.models.finding import find_here
from moc_engine.models.lora_titles import titles_for
from moc_engine.models.registry import family_entry
from moc_engine.sources.hub_id import parse_hub_file
from moc_engine.sources.lora_source import local_file


def check_lora(model: str | None, source: str) -> None:
    """Raises `EngineError` for a LoRA that is missing, damaged, or not made for the model.

    A LoRA of the hub that is not in its cache, and a model that is not on this machine, are not looked at.
    """
    file = local_file(source)
    if file is None:
        if parse_hub_file(source) is None:
            raise EngineError(f"there is no LoRA file {source}")
        return
    read_lora_file(file)
    try:
        parts = find_here(EMBEDDED if model is None else model)
        loras = family_entry(parts.pipeline_class).loras
    except EngineError:
        return
    if loras is not None:
        loras().check(parts, file)


def made_for(file: Path) -> tuple[str, ...]:
    """What the models are called that a LoRA fits; none for those of no published model.

    Raises `EngineError` for a file that is no LoRA.
    """
    read_lora_file(file)
    return titles_for(file)
