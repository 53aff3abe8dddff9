"""Reports a device that runs out of memory as an error that names what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from moc_engine.contract import Stage
from moc_engine.errors import OutOfMemory
from moc_engine.models.memory_errors import is_out_of_memory
from moc_engine.render.pace import StageClock

_LOWER: Final[dict[Stage, str]] = {
    "load": "choose a smaller model",
    "memory": "shorten the earlier shots, or leave some of them out",
    "denoise": "shorten the shot, choose a smaller size, or lower top-k",
    "decode": "choose a smaller size, or shorten the shot",
    "write": "choose a smaller size, or shorten the shot",
}


@contextmanager
def out_of_memory_explained(clock: StageClock) -> Iterator[None]:
    """Raises `OutOfMemory`, which names what to lower in the stage, where memory runs out in the block."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        message = f"out of memory in stage “{clock.stage}”: {_LOWER[clock.stage]}"
    else:
        return
    raise OutOfMemory(message)  # outside the handler, so that the failed stage's tensors are freed
