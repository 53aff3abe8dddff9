"""Makes the cache of footage: every shot's latents and every caption's states, by the model's own encoders.

    found ─► looked at, problems named ─► captions encoded ─► shots encoded ─► story after story written

What is made is kept at once: after a kill, a run goes on where it ended. Keys of latents and states say what
decided their values, so that what is still right is not made again: of a changed caption, its states alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from moc_engine.errors import FootageError
from moc_engine.files import listed
from moc_engine.models.finding import find_model
from moc_engine.models.footage_encoders import FootageEncoders
from moc_engine.sole_use import USERS, sole_use
from moc_engine.training.data.footage.cache_index import INDEX
from moc_engine.training.data.footage.cache_run import MADE, CacheReport, CacheRun
from moc_engine.training.data.footage.clip_needs import ClipNeeds, needs_of
from moc_engine.training.data.footage.model_identity import encoders_of, identity_of
from moc_engine.training.data.footage.reading_plan import FootageOptions, Report, plan_of

SEEN: Final = "seen"
"""The folder, in a cache's, of what was seen of clips."""


def cache_footage(
    source: Path,
    model: str | Path,
    folder: Path,
    *,
    options: FootageOptions | None = None,
    device: str | None = None,
    profile: str = "auto",
    report: Report = lambda progress: None,
    check: Callable[[], None] = lambda: None,
) -> CacheReport:
    """Makes or completes the cache of a folder or file of footage, for a model; `CachedFootage` reads it.

    Stories that were found in the same source before, and are not there now, are removed. `check` is called
    often; what it raises ends the work, and the next run goes on.

    Raises `FootageError` where the footage is refused, nothing is left, or the folder holds something else;
    `FolderInUse` while another process makes it;
    `ModelNotFound` and `ModelMismatch` as loading does, `DiskFull` before there is no room, `OutOfMemory`,
    `OSError` where nothing can be written, and `ValueError` naming an option.
    """
    options = options or FootageOptions()
    parts = find_model(model)
    needs = needs_of(parts, size=options.size, frames=options.frames)
    _check_folder(folder)
    refusal = f"another process is caching footage in {folder}; wait for its end, or choose another folder"
    with sole_use(folder / USERS, refusal):
        encoders = encoders_of(parts, device, profile)
        needs = _with_exact_limit(needs, encoders)
        plan = plan_of(source, needs, options, kept=folder / SEEN, report=report, check=check)
        plan = plan.checked(options.policy)
        identity = identity_of(encoders, parts.name, needs.rate)
        work = CacheRun(folder, identity, encoders, needs, options.policy, report, check)
        return work.carry_out(plan, str(source.absolute()))


def _with_exact_limit(needs: ClipNeeds, encoders: FootageEncoders) -> ClipNeeds:
    """Captions are counted by the model's own tokenizer."""
    return replace(needs, left_out=encoders.left_out)


def _check_folder(folder: Path) -> None:
    """Raises `FootageError` for a folder that holds other things than a cache."""
    if (folder / INDEX).exists() or not folder.exists():
        return
    others = [path.name for path in listed(folder) if path.name not in (SEEN, MADE, USERS)]
    if others or not folder.is_dir():
        raise FootageError(f"{folder} is no cache of footage, and not empty; choose another folder")
