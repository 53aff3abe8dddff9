"""The bodies of requests."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, Field

from studio.domain.edits.edit import Edit
from studio.domain.schedule import MOST_WORKERS

JobId = Annotated[int, Path(ge=0, lt=2**63, description="The number of a job.")]
ProjectId = Annotated[str, Path(description="The id of a project.")]
TakeId = Annotated[str, Path(description="The id of a take.")]


class CreateProjectRequest(BaseModel):
    """The title of a new, empty project."""

    title: str = "Untitled"


class EditRequest(BaseModel):
    """An edit, and the revision of the project that it was made on."""

    base: int
    edit: Annotated[Edit, Field(discriminator="op")]


FieldValue = bool | int | float | str | None


class FieldRequest(BaseModel):
    """What a field has by now, and the values that its page has shown or sent before, the latest last."""

    value: FieldValue
    seen: list[FieldValue] = Field(max_length=20)


class UndoRequest(BaseModel):
    """The revision of the project at which undo or redo was asked for."""

    base: int


class UnknownWordsRequest(BaseModel):
    """A text to look for unknown words in."""

    text: str


class RenderRequest(BaseModel):
    """What to render: the shots that are due, all shots, or the shots with these ids."""

    scope: Literal["due", "all"] = "due"
    shots: list[str] | None = None


class ScheduleRequest(RenderRequest):
    """What to render, and by how many workers."""

    workers: int = Field(default=1, ge=1, le=MOST_WORKERS)


class RerollRequest(BaseModel):
    """How many takes with new seeds to render, or the seed of one."""

    count: int = 1
    seed: int | None = None


class PauseRequest(BaseModel):
    """Whether the queue is to be paused."""

    paused: bool


class MoveJobRequest(BaseModel):
    """The waiting job before which to move; the end of the queue if null."""

    before: int | None = None


class ModelRequest(BaseModel):
    """Names a model, as projects name it."""

    model: str = Field(min_length=1, max_length=4096)


class AddModelRequest(BaseModel):
    """A name for a model, and its files: {"folder": DIR}, or {"transformer": FILE, "vae": FILE, …}."""

    name: str = Field(min_length=1, max_length=64)
    files: dict[
        Literal[
            "folder",
            "transformer",
            "transformer_2",
            "vae",
            "text_encoder",
            "tokenizer",
            "image_encoder",
            "config",
        ],
        str,
    ]
