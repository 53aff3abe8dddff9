"""Figures as pages of their own."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from moc_engine.trace.record import QueryChunk
from studio.inspect.pages import standalone, take_page
from tests.fakes.traces import OWN, PLACES, made, seen


def test_a_page_needs_nothing_from_elsewhere_and_runs_no_names() -> None:
    hostile = "</script><script>alert(1)</script>"
    query = [QueryChunk(name=hostile, frames=(0, 6), tokens=1)]
    trace = made(np.array([[[[[0.5, 0.5]]]]]), query=query, context=[OWN, seen(hostile, 0)])
    page = take_page(f"Shot 1 {hostile}", trace, PLACES)
    assert "alert(1)</script>" not in page
    assert "default-src 'none'" in page
    assert page.count("<h2>") == 5
    asked: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            asked.extend(name for name, _ in attrs if name in ("src", "href"))

    Reader().feed(page)
    assert asked == []
    assert standalone("x", {}).count("<h1>x</h1>") == 1
