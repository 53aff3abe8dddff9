"""Routes that change a project's storyboard and choice of takes."""

from __future__ import annotations

from fastapi import APIRouter

from studio.api.error_answers import CONFLICT, ERRORS
from studio.api.request_models import EditRequest, FieldRequest, ProjectId, UndoRequest, UnknownWordsRequest
from studio.service.look_words import SuggestedCaption
from studio.service.state import ProjectState, UnknownSpan
from studio.service.studio import Service


def editing_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/projects/{project}", tags=["editing"], responses=ERRORS)
    editing = service.editing

    @router.post("/edits", summary="Apply an edit", responses=CONFLICT)
    def apply_edit(project: ProjectId, body: EditRequest) -> ProjectState:
        """Applies an edit, unless the project was changed since the base revision."""
        return editing.edit(project, body.edit, body.base)

    @router.post("/fields/{field}", summary="Save a field of a form", responses=CONFLICT)
    def save_field(project: ProjectId, field: str, body: FieldRequest) -> ProjectState:
        """Gives a field the value that was typed, and keeps whatever else was changed meanwhile."""
        return service.fields.save(project, field, body.value, seen=body.seen)

    @router.post("/undo", summary="Undo", responses=CONFLICT)
    def undo(project: ProjectId, body: UndoRequest) -> ProjectState:
        """Undoes the last edit."""
        return editing.undo(project, body.base)

    @router.post("/redo", summary="Redo", responses=CONFLICT)
    def redo(project: ProjectId, body: UndoRequest) -> ProjectState:
        """Applies the edit again that was undone last."""
        return editing.redo(project, body.base)

    @router.post("/unknown", summary="Find unknown words")
    def find_unknown_words(project: ProjectId, body: UnknownWordsRequest) -> tuple[UnknownSpan, ...]:
        """The words of a text that the project's model does not know."""
        return editing.unknown_words(project, body.text)

    @router.get("/shots/{shot}/caption-with-looks", summary="Suggest a caption with looks")
    def suggest_caption(project: ProjectId, shot: str) -> SuggestedCaption:
        """The shot's caption with the looks that its draft shows and it does not tell, to be edited."""
        return service.look_words.suggest(project, shot)

    return router
