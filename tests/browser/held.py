"""Requests of a page that wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page, Route

from tests.browser.conftest import until


class Held:
    """A request that waits before it reaches the studio."""

    def __init__(self, page: Page, routes: list[Route]) -> None:
        self._page = page
        self._routes = routes

    def wait(self) -> None:
        """Until the page has sent it."""
        until(self._page, lambda: bool(self._routes), "the request")

    def release(self, **answer: Any) -> None:
        """Lets it through, or answers it with what `Route.fulfill` takes.

        Returns when the page has had the answer and has asked for news after it.
        """
        self.wait()
        route = self._routes[0]
        with self._page.expect_event("requestfinished", lambda request: request == route.request):
            route.fulfill(**answer) if answer else route.continue_()
        for _ in range(2):
            self._page.wait_for_event("requestfinished", lambda request: request.url.endswith("/status"))

    def fetch(self) -> str:
        """Has it answered now; the page is still to get the answer."""
        self.wait()
        return self._routes[0].fetch().text()


@contextmanager
def held(page: Page, pattern: str) -> Iterator[Held]:
    """Holds the first request for an address; later ones go through."""
    routes: list[Route] = []

    def hold(route: Route) -> None:
        if routes:
            route.continue_()
        else:
            routes.append(route)

    page.route(pattern, hold)
    yield Held(page, routes)
    page.unroute(pattern)
