"""Names of the hub without a commit, replaced by those with the commit that is on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from moc_engine.errors import EngineError
from moc_engine.model_location import hub_commit, model_parts
from moc_engine.sources.hub_id import parse_hub_id
from moc_engine.sources.lora_source import pinned_lora
from studio.domain.edits.edit import Edit
from studio.domain.edits.film import SetSettings
from studio.domain.edits.shot_inputs import SetLoras
from studio.domain.settings import Lora, Settings
from studio.domain.storyboard import Storyboard


def pinned_edit(edit: Edit) -> Edit:
    """An edit that names models or LoRAs, with their commits."""
    if isinstance(edit, SetSettings):
        return replace(edit, settings=_pinned_settings(edit.settings))
    if isinstance(edit, SetLoras):
        return replace(edit, loras=_pinned_loras(edit.loras))
    return edit


def pinned_board(board: Storyboard) -> Storyboard:
    """A storyboard whose film and shots name models and LoRAs, with their commits."""
    shots = tuple(
        replace(shot, loras=_pinned_loras(shot.loras)) if shot.loras else shot for shot in board.shots
    )
    return replace(board, settings=_pinned_settings(board.settings), shots=shots)


def _pinned_settings(settings: Settings) -> Settings:
    return replace(
        settings,
        model=_pinned_model(settings.model),
        draft_model=_pinned_model(settings.draft_model),
        loras=_pinned_loras(settings.loras),
    )


def _pinned_loras(loras: Iterable[Lora]) -> tuple[Lora, ...]:
    return tuple(replace(lora, file=pinned_lora(lora.file)) for lora in loras)


def _pinned_model(model: str | None) -> str | None:
    if model is None or parse_hub_id(model) is None:
        return model
    try:
        return hub_commit(model_parts(model)) or model
    except EngineError:
        return model
