"""Replaces the name of a model or LoRA of the hub by that with a commit, in all projects that have it.

It is no edit: it adds no step to undo, and what is undone later brings the name with the commit back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.store.tables import EditRow, ProjectRow


def pin(session: Session, name: str, pinned: str) -> None:
    """Replaces a name in the projects that have it, and in their histories."""
    for row in session.scalars(select(ProjectRow)):
        document = _pinned_document(row.document, name, pinned)
        if document == row.document:
            continue
        row.document = document
        for edit in session.scalars(select(EditRow).where(EditRow.project == row.id)):
            edit.before = _pinned_values(edit.before, name, pinned)
            edit.after = _pinned_values(edit.after, name, pinned)


def _pinned_document(document: Mapping[str, Any], name: str, pinned: str) -> dict[str, Any]:
    shots = {shot: _pinned_part(part, name, pinned) for shot, part in document["shots"].items()}
    settings = _pinned_part(document.get("settings"), name, pinned)
    return {**document, **({} if settings is None else {"settings": settings}), "shots": shots}


def _pinned_values(values: Mapping[str, Any], name: str, pinned: str) -> dict[str, Any]:
    """The values of a change by path, such as "settings" and "shots/ID"."""
    return {
        path: _pinned_part(value, name, pinned) if path == "settings" or path.startswith("shots/") else value
        for path, value in values.items()
    }


def _pinned_part(part: Any, name: str, pinned: str) -> Any:
    """The settings or a shot: models are named in settings, LoRAs in both."""
    if not isinstance(part, Mapping):
        return part
    models = {key: pinned for key in ("model", "draft_model") if part.get(key) == name}
    loras = part.get("loras") or []
    there = {(lora["file"], lora.get("expert")) for lora in loras}
    renamed = [
        {**lora, "file": pinned}
        if lora["file"] == name and (pinned, lora.get("expert")) not in there  # twice is no storyboard
        else lora
        for lora in loras
    ]
    return {**part, **models, **({"loras": renamed} if loras else {})}
