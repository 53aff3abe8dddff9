"""Checks the local links of HTML and Markdown files: targets that exist, and anchors within them.

Links to other hosts are left alone: a check that needs the network fails for reasons of its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_MARKDOWN_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


class _Page(HTMLParser):
    """The links and anchors of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(files: list[Path]) -> Iterator[str]:
    """One line for each link whose file or anchor is not there."""
    for file in files:
        for link in _links(file):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = file if not parts.path else (file.parent / unquote(parts.path))
            if not target.exists():
                yield f"{file}: {link}: there is no such file"
            elif parts.fragment and target.is_file() and unquote(parts.fragment) not in _anchors(target):
                yield f"{file}: {link}: there is no such place in the file"


def _links(file: Path) -> list[str]:
    if file.suffix == ".html":
        return _page(file).links
    return _MARKDOWN_LINK.findall(_FENCED.sub("", file.read_text(encoding="utf-8")))


@cache
def _anchors(file: Path) -> set[str]:
    if file.suffix == ".html":
        return _page(file).anchors
    if file.suffix != ".md":
        return set()
    text = _FENCED.sub("", file.read_text(encoding="utf-8"))
    return {_heading_anchor(title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def _heading_anchor(title: str) -> str:
    """The anchor GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


@cache
def _page(file: Path) -> _Page:
    return _Page(file.read_text(encoding="utf-8"))


def main() -> int:
    """Command line: files, and folders whose HTML and Markdown files are checked."""
    files: list[Path] = []
    for given in map(Path, sys.argv[1:]):
        files += [given] if given.is_file() else sorted([*given.rglob("*.html"), *given.rglob("*.md")])
    found = list(broken_links(files))
    print("\n".join(found) if found else f"{len(files)} files, no broken links")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
