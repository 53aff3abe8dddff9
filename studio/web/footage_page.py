"""The page of footage, beside the studio's: long videos as filmstrips. It needs no Gradio."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.responses import HTMLResponse

PATH: Final = "/footage"

_STYLES: Final = ("theme", "parts", "toolbar", "panels", "keyboard", "footage")
_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Footage · MoC Studio</title>
<link rel="icon" href="/studio-assets/icons.svg">
{"".join(f'<link rel="stylesheet" href="/studio-assets/css/{name}.css">' for name in _STYLES)}
<script type="module" src="/studio-assets/js/footage/page.js"></script>
</head>
<body class="footage-page">
<script src="/studio-assets/js/footage/theme.js"></script>
<main class="studio-panel" id="footage"></main>
</body>
</html>
"""


def serve_footage_page(app: FastAPI) -> None:
    """Adds the page of footage at `PATH`."""

    @app.get(PATH, include_in_schema=False)
    def footage() -> HTMLResponse:
        return HTMLResponse(_PAGE, headers={"cache-control": "no-cache"})
