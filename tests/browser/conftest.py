"""A real Chromium before a real studio whose worker draws flat colours."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright

from tests.fakes.studio import Studio

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)

PATIENCE = 90
"""Seconds after which something is taken for lost: a machine that runs all tests at once may be very slow."""

expect.set_options(timeout=1000 * PATIENCE)

OWN_JOB = ".job:has(.job-name:enabled)"
"""A job of the open project, in a queue that has those of all others too."""

STORY = """
title: A small story
size: 128x72
fps: 12
cast: [{name: Mira, look: red}, {name: Otto}]
shots:
  - {caption: Mira waves in the meadow, seconds: 2}
  - {caption: Otto runs right in the forest, seconds: 2}
  - {caption: Mira and Otto dance on the beach, seconds: 2}
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("the browser tests need Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(FLAGS), timeout=3000 * PATIENCE)
        yield running
        running.close()


FORMS_FILLED = "() => document.querySelector('#form-title input, #form-title textarea')?.value"


KEEP_NOTICES = """window.noticed = [];
window.addEventListener("studio:notice", ({ detail }) => window.noticed.push(detail.message));"""
"""What was said in notices, which are gone after some seconds."""


def noticed(page: Page, words: str) -> None:
    """Waits until a notice says this, or has said it."""
    until(page, lambda: any(words in said for said in page.evaluate("window.noticed")), words)


class Story:
    """A project of its own in a running studio."""

    def __init__(self, studio: Studio, text: str = STORY, *, project: str | None = None) -> None:
        self.studio = studio
        self.id = project or str(self._post("/import", text.encode())["id"])
        self.url = f"{studio.url}/?__theme=dark#{self.id}"

    def copy(self) -> Story:
        """A project of its own with the same takes."""
        return Story(self.studio, project=self._post(f"/{self.id}/duplicate")["id"])

    def edit(self, edit: dict[str, Any]) -> None:
        """Carries an edit out, as another tab would."""
        self._post(f"/{self.id}/edits", json.dumps({"base": self.state()["revision"], "edit": edit}).encode())

    def order(self) -> None:
        """Queues the shots that are due."""
        self._post(f"/{self.id}/render", b"{}")

    def trash(self) -> None:
        """Into the bin, whatever still waits to be rendered."""
        self._post(f"/{self.id}/trash")

    def render(self) -> None:
        """Queues the shots that are due, and waits for them."""
        self.order()
        end = time.monotonic() + 4 * PATIENCE  # a real model is loaded first
        while self.state()["due"]:
            assert time.monotonic() < end, "it was not rendered"
            time.sleep(0.1)

    def _post(self, path: str, body: bytes = b"") -> Any:
        request = urllib.request.Request(f"{self.studio.url}/api/projects{path}", data=body)
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"null")

    def state(self) -> dict[str, Any]:
        """The project as the API tells it."""
        with urllib.request.urlopen(f"{self.studio.url}/api/projects/{self.id}") as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def need(self) -> dict[str, Any]:
        """What its render needs of this machine, as the API tells it."""
        with urllib.request.urlopen(f"{self.studio.url}/api/projects/{self.id}/need") as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    @property
    def shots(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.state()["shots"]
        return found


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio that all tests share which leave it running."""
    studio = Studio(tmp_path_factory.mktemp("studio"))
    yield studio
    studio.stop()


@pytest.fixture
def story(running: Studio) -> Story:
    """A small project, nothing of it rendered."""
    return Story(running)


@pytest.fixture
def page(browser: Browser, story: Story) -> Iterator[Page]:
    with opened(browser, story.url) as shown:
        yield shown


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """The page of a project, filled in, as `watched` opens it."""
    with watched(browser, url, **options) as shown:
        shown.wait_for_selector(".timeline .ruler .tick")
        shown.wait_for_function(FORMS_FILLED)
        yield shown


@contextmanager
def watched(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A page in a window of 1440 × 900 unless told otherwise.

    An error on it, a dialog, or a request to anywhere else fails the test.
    """
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    context.set_default_timeout(1000 * PATIENCE)
    shown = context.new_page()
    wrong: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    shown.add_init_script(KEEP_NOTICES)
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    shown.on("dialog", dismiss)
    shown.on("request", lambda request: None if _ours(request.url) else wrong.append(request.url))
    shown.goto(url)
    yield shown
    context.close()
    expected = ("ERR_CONNECTION_REFUSED", "status of 4", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
    assert [text for text in wrong if not any(word in text for word in expected)] == []


def _ours(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:http://127.0.0.1:"))


def until(page: Page, true: Callable[[], bool], what: str = "it") -> None:
    """Asks again and again, while the page goes on, until it is true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} did not happen"
        page.wait_for_timeout(20)
