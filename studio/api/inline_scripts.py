"""Which inline scripts of a page may run: those of the page's own template, by hash.

    template:  <script>window.config = {{ config | toorjson }};</script>
    page:      <script>window.config = {"title": "…"};</script>      ─► 'sha256-…'

A script that came into a page in any other way matches no template and gets no hash, so that the browser
refuses it. External scripts need none: they may come from the studio alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from typing import Final

_SCRIPT: Final = re.compile(
    r"<script\b((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE
)
_EXPRESSION: Final = re.compile(r"{{.*?}}", re.DOTALL)


class InlineScripts:
    """The inline scripts of templates, whose `{{ expressions }}` stand for JSON values."""

    def __init__(self, templates: Iterable[str] = ()) -> None:
        self._templates = [
            re.compile("(.*)".join(map(re.escape, _EXPRESSION.split(script))), re.DOTALL)
            for template in templates
            for script in _inline(template)
        ]

    def hashes(self, page: str) -> list[str]:
        """The `script-src` sources of a page. A template that several scripts match allows none of them."""
        scripts = _inline(page)
        allowed = []
        for template in self._templates:
            matching = [script for script in scripts if _matches(template, script)]
            if len(matching) == 1:
                allowed.append(_hash(matching[0]))
        return allowed


def _inline(page: str) -> list[str]:
    text = page.replace("\r\n", "\n").replace("\r", "\n")  # as browsers read and hash it
    return [match[2] for match in _SCRIPT.finditer(text) if not re.search(r"\bsrc\s*=", match[1])]


def _matches(template: re.Pattern[str], script: str) -> bool:
    match = template.fullmatch(script)
    return match is not None and all(map(_is_json, match.groups()))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode(errors="surrogatepass")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
