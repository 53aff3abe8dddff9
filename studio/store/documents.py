"""Converts projects and take inputs to JSON and back; what is read is validated."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from pydantic import TypeAdapter

from studio.domain.frame_rate import rate_to_json
from studio.domain.history import Document
from studio.domain.inputs import TakeInputs, check_record
from studio.domain.project import Lane, Project
from studio.domain.storyboard import Storyboard

_BOARD: Final = TypeAdapter(Storyboard)
_LANE: Final = TypeAdapter[Lane](Lane)
_BESIDE_THE_BOARD: Final = ("order", "chosen", "drafts", "discarded", "lane")
_INPUTS: Final = TypeAdapter(TakeInputs)


def to_document(project: Project) -> Document:
    """A project as a JSON document, in the layout that `history` edits."""
    board = asdict(project.board)
    shots = board.pop("shots")
    return {
        **board,
        "size": list(project.board.size),
        "fps": rate_to_json(project.board.fps),
        "cast": list(board["cast"]),
        "settings": _with_lists(board["settings"]),
        "order": [shot["id"] for shot in shots],
        "shots": {shot["id"]: _with_lists(shot) for shot in shots},
        "lane": project.lane,
        "chosen": dict(project.chosen),
        "drafts": dict(project.drafts),
        "discarded": dict.fromkeys(sorted(project.discarded), True),
    }


def from_document(document: Document) -> Project:
    """The project of a document; raises pydantic's `ValidationError` or `BadStoryboard` if it is invalid."""
    board = {name: part for name, part in document.items() if name not in _BESIDE_THE_BOARD}
    if "settings" in board:
        board["settings"] = _with_current_names(board["settings"])
    board["shots"] = [document["shots"][shot] for shot in document["order"]]
    return Project(
        board=_BOARD.validate_python(board),
        chosen=dict(document["chosen"]),
        discarded=frozenset(document["discarded"]),
        drafts=dict(document.get("drafts", {})),
        lane=_LANE.validate_python(document.get("lane", "final")),
    )


def _with_current_names(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings under their current names: earlier versions wrote `worth`."""
    current = {"worth": "rerender_threshold"}
    return {current.get(name, name): value for name, value in settings.items()}


def inputs_to_json(inputs: TakeInputs) -> dict[str, Any]:
    """The record of inputs, with its version."""
    return inputs.record()


def inputs_from_json(data: dict[str, Any]) -> TakeInputs:
    """The inputs of a record; raises `ValueError` if it is invalid or of a later version."""
    check_record(data)
    return _INPUTS.validate_python({name: value for name, value in data.items() if name != "version"})


def _with_lists(fields: dict[str, Any]) -> dict[str, Any]:
    """Replaces tuples by lists, as they are after reading JSON."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
