"""Drafts and finals on the page: the switch, what is played, and both side by side."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Browser, expect

from tests.browser.conftest import Story, opened, until
from tests.fakes.unknown_model import UNKNOWN_MODEL


def test_drafts_and_finals_are_switched_and_shown_side_by_side(browser: Browser, story: Story) -> None:
    story.render()
    with opened(browser, story.url) as page:
        switch = page.get_by_role("group", name="Takes that are worked on")
        expect(switch).to_be_hidden()
        story.edit({"op": "settings", "settings": {"model": UNKNOWN_MODEL, "guide_strength": 0.6}})
        expect(switch).to_be_visible()
        first = story.shots[0]
        assert (first["take"], bool(first["other_take"])) == (None, True)
        page.locator(".timeline .clip").nth(0).click()
        expect(page.locator(".lane-mark")).to_be_visible()
        beside = page.get_by_role("button", name="Side by side")
        expect(beside).to_be_disabled()

        story._post(f"/{story.id}/render", json.dumps({"shots": [first["id"]]}).encode())
        until(page, lambda: story.shots[0]["take"] is not None)
        expect(page.locator(".lane-mark")).to_be_hidden()
        beside.click()
        expect(page.locator("dialog.compare h4")).to_have_text(
            [re.compile("^Draft · "), re.compile("^Final · ")]
        )
        page.get_by_role("button", name="Close").click()

        switch.get_by_role("button", name="Drafts").click()
        until(page, lambda: story.state()["lane"] == "draft")
        expect(switch.get_by_role("button", name="Drafts")).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Control+z")
        until(page, lambda: story.state()["lane"] == "final")
