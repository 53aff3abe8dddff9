"""Routes of the models on this machine: what is here, what it needs, adding, downloading, removing."""

from __future__ import annotations

from fastapi import APIRouter

from moc_engine.lora_library import LibraryLora
from studio.api.error_answers import ERRORS
from studio.api.request_models import AddModelRequest, ModelRequest
from studio.service.library import LibraryState, ModelState, RemoteState
from studio.service.studio import Service


def library_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["models"], responses=ERRORS)
    library = service.library

    @router.get("/models", summary="List the models on this machine")
    def list_models() -> LibraryState:
        """The models that can be used, with their sizes, licences and needs, and those on offer."""
        return library.state()

    @router.get("/loras", summary="List the LoRA files on this machine")
    def list_loras() -> tuple[LibraryLora, ...]:
        """The LoRA files in ComfyUI's folders, with rank, layout and the sampler they need."""
        return library.loras()

    @router.post("/models/look-up", summary="Look up a model on the hub")
    def look_up_model(body: ModelRequest) -> RemoteState:
        """The bytes that a download of a hub model would take, and its licence."""
        return library.look_up(body.model)

    @router.post("/models/download", status_code=202, summary="Download a model")
    def download_model(body: ModelRequest) -> int:
        """Queues the download of a hub model; returns the number of the job."""
        return library.download(body.model)

    @router.post("/models/add", summary="Add a model")
    def add_model(body: AddModelRequest) -> ModelState:
        """Adds a model that lies in a folder or in files of this machine, under a name."""
        return library.add(body.name, dict(body.files))

    @router.post("/models/remove", summary="Remove a model")
    def remove_model(body: ModelRequest) -> int:
        """Removes an added model's name, or a hub model's files; returns the bytes freed."""
        return library.remove(body.model)

    @router.post("/models/check", summary="Check a model")
    def check_model(body: ModelRequest) -> ModelState:
        """Looks a model's files through."""
        return library.check(body.model)

    return router
