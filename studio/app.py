"""The web process: routes, the page, and the worker beside them. Never imports torch.

service ─► routes (/api) ─┐
views ─► Gradio (/) ──────┼─► FastAPI ─► Guard ─► uvicorn
static/ (/studio-assets) ─┘
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from studio import __version__
from studio.api import routes, tell_errors
from studio.security import Guard, Login
from studio.service import Service
from studio.supervisor import Supervisor

ASSETS: Final = "/studio-assets"
_HERE: Final = Path(__file__).parent
STATIC: Final = _HERE / "static" if (_HERE / "static").is_dir() else _HERE.parent / "static"
"""Among the packages where they were installed, beside them in a clone."""


class _Fresh(StaticFiles):
    """Files that a browser asks for anew each time, and gets only if they changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


def make_app(
    service: Service,
    supervisor: Supervisor | None = None,
    *,
    hosts: Collection[str] = (),
    login: Login | None = None,
) -> ASGIApp:
    """The whole studio as one ASGI application; `supervisor` runs as long as it does."""
    import gradio as gr

    from studio.views.window import BLOCKS, window

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        if supervisor is not None:
            supervisor.start()
        try:
            yield
        finally:
            if supervisor is not None:
                supervisor.stop()

    app = FastAPI(title="MoC Studio", version=__version__, lifespan=life)
    app.include_router(routes(service))
    tell_errors(app)
    app.mount(ASSETS, _Fresh(directory=STATIC))
    options: dict[str, Any] = BLOCKS
    app = gr.mount_gradio_app(app, window(service), path="/", **options)
    return Guard(app, hosts, login)
