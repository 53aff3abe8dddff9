"""The web application: the routes and the page behind one guard. Never imports torch.

service ─► routes (/api) ─┐
views ─► Gradio (/) ──────┼─► FastAPI ─► Guard ─► uvicorn
static/ (/studio-assets) ─┘
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from studio import __version__
from studio.api.error_answers import answer_errors
from studio.api.footage import UPLOADS as VIDEO_UPLOADS
from studio.api.inline_scripts import InlineScripts
from studio.api.projects import UPLOADS
from studio.api.routes import routes
from studio.api.security import Guard, Login
from studio.service.studio import Service
from studio.web.footage_page import serve_footage_page

ASSETS: Final = "/studio-assets"
_HERE: Final = Path(__file__).parents[1]
STATIC: Final = _HERE / "static" if (_HERE / "static").is_dir() else _HERE.parent / "static"
"""In the package if it was installed, beside it in a clone."""


class _Revalidated(StaticFiles):
    """Static files that browsers ask for each time, and download only if they changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


class Companion(Protocol):
    """Something that starts and stops with the application, such as the worker's supervisor."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def make_app(
    service: Service,
    supervisor: Companion | None = None,
    *,
    hosts: Collection[str] = (),
    login: Login | None = None,
) -> ASGIApp:
    """The studio as one ASGI application. `supervisor` is started and stopped with it."""
    import gradio as gr

    from studio.web.window import BLOCKS, page_template, window

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        if supervisor is not None:
            supervisor.start()
        try:
            yield
        finally:
            if supervisor is not None:
                supervisor.stop()

    app = FastAPI(title="MoC Studio", version=__version__, lifespan=life, docs_url=None, redoc_url=None)
    app.openapi_version = "3.0.3"  # the version that the bundled Swagger page reads
    app.include_router(routes(service))
    docs = _document(app)
    answer_errors(app)
    _serve_plotly(app)
    serve_footage_page(app)
    app.mount(ASSETS, _Revalidated(directory=STATIC))
    options: dict[str, Any] = BLOCKS
    app = gr.mount_gradio_app(app, window(), path="/", **options)
    scripts = InlineScripts((page_template(), docs))
    return Guard(app, hosts, login, scripts=scripts, uploads=(*UPLOADS, *VIDEO_UPLOADS))


def _serve_plotly(app: FastAPI) -> None:
    """Serves the plotly.js of the package `plotly`, whose version made the figures."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.submodule_search_locations
    script = Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"

    @app.get(f"{ASSETS}/plotly.min.js", include_in_schema=False)
    def plotly() -> FileResponse:
        return FileResponse(script, media_type="text/javascript", headers={"cache-control": "no-cache"})


def _document(app: FastAPI) -> str:
    """Adds Swagger's page at /docs, which loads nothing from other sites; returns its HTML."""
    import swagger_ui_bundle

    app.mount(f"{ASSETS}/swagger", StaticFiles(directory=swagger_ui_bundle.swagger_ui_path))

    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="MoC Studio: routes",
        swagger_js_url=f"{ASSETS}/swagger/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/icons.svg",
    )

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return page

    return bytes(page.body).decode()
