"""Which published models a LoRA file fits, of all families, by its header. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from moc_engine.models.registry import Loras, family_entry, pipeline_classes


def titles_for(file: Path) -> tuple[str, ...]:
    """What the models are called that a LoRA fits; none for those of no published model."""
    return tuple(dict.fromkeys(title for loras in _families() for title in loras.made_for(file)))


def _families() -> Iterator[Loras]:
    seen: set[int] = set()
    for pipeline_class in pipeline_classes():
        entry = family_entry(pipeline_class)
        if entry.loras is not None and id(entry.loras) not in seen:
            seen.add(id(entry.loras))
            yield entry.loras()
