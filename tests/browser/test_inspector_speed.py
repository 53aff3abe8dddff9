"""How long a person waits for the maps of a long film; figures are printed (`pytest -s`)."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Story, opened
from tests.fakes.long_story import LAYERS, PARTS, add_long_story
from tests.fakes.studio import Studio

SHOTS = 64
STORY_MAP, CHUNK_MAP, LIST = 1.0, 2.0, 2.0
"""Seconds a person may wait on two slow cores."""

SPARE = 20.0
"""Machines that do other work besides take so many times as long; what is far too slow is found there too."""

UNTIL_DRAWN = """([click, rows]) => new Promise((resolve) => {
  const began = performance.now();
  if (click) document.querySelector(click).click();
  const look = () => {
    const plot = document.querySelector(".inspector .plot");
    const there = plot?.data?.[0]?.y?.length === rows && plot.querySelector(".heatmaplayer image");
    if (there) resolve((performance.now() - began) / 1000); else requestAnimationFrame(look);
  };
  look();
})"""

UNTIL_LISTED = """() => new Promise((resolve) => {
  const began = performance.now();
  const plot = document.querySelector(".inspector .plot");
  document.querySelector(".attention")?.remove();
  plot.emit("plotly_click", { points: [{ curveNumber: 0, pointNumber: [1, 3] }] });
  const look = () => {
    if (document.querySelector(".attention-row")) resolve((performance.now() - began) / 1000);
    else requestAnimationFrame(look);
  };
  look();
})"""


@pytest.fixture(scope="module")
def long(running: Studio) -> Story:
    return Story(running, project=add_long_story(running.root, SHOTS))


def drawn(page: Page, click: str, rows: int) -> float:
    seconds: float = page.evaluate(UNTIL_DRAWN, [click, rows])
    return seconds


def waited(page: Page, words: str) -> None:
    """Opens both maps and the list of a part, each anew; prints how long it took."""
    drawn(page, "[data-view=heads]", LAYERS)
    chunk_map = drawn(page, "[data-view=shot]", len(PARTS))
    listed: float = page.evaluate(UNTIL_LISTED)
    story_map = drawn(page, "[data-view=story]", SHOTS)
    again = drawn(page, "[data-view=shot]", len(PARTS))
    told = (
        f"story map {story_map:.2f} s, chunk map {chunk_map:.2f} s, again {again:.2f} s, list {listed:.2f} s"
    )
    print(f"\n{words}: {told}")
    assert story_map <= SPARE * STORY_MAP
    assert max(chunk_map, again) <= SPARE * CHUNK_MAP
    assert listed <= SPARE * LIST


def test_maps_of_a_long_film_are_there_at_once(browser: Browser, long: Story) -> None:
    with opened(browser, long.url) as page:
        page.wait_for_function("window.Plotly")  # it is there before anybody asks
        began = time.monotonic()
        page.get_by_role("tab", name="Routing", exact=True).click()
        drawn(page, "", SHOTS)
        first = time.monotonic() - began
        print(f"\nthe first time: {first:.2f} s")
        assert first <= SPARE * STORY_MAP
        page.locator(f".clip:has(.clip-number:text-is('{SHOTS}'))").evaluate("clip => clip.scrollIntoView()")
        page.locator(f".clip:has(.clip-number:text-is('{SHOTS}'))").click()
        waited(page, "at rest")
        other = Story(long.studio, _many(40))
        other.order()
        waited(page, "while a render runs")
        running = [shot for shot in other.shots if shot["take"]]
        assert len(running) < 40, "the render was over before"
        other.trash()


def _many(count: int) -> str:
    shots = "".join(f"  - {{caption: Mira jumps slowly {nth}, seconds: 4}}\n" for nth in range(count))
    return f"title: Many\nsize: 128x72\ncast: [{{name: Mira}}]\nshots:\n{shots}"
