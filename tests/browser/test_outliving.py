"""Renders go on whatever becomes of the browser, of its tabs, and of the memory there is."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from contextlib import ExitStack
from typing import Any

from playwright.sync_api import Browser, Page, Response, expect

from tests.browser.conftest import FORMS_FILLED, OWN_JOB, Story, opened, until
from tests.fakes.studio import Studio

RELOADS = int(os.environ.get("SOAK_RELOADS", "4"))
TABS = int(os.environ.get("SOAK_TABS", "5"))
EDITS = 4
"""Of each tab."""

BACK = 3.0 if "SOAK_RELOADS" in os.environ else 60.0
ROUND_TRIP = 0.3 if "SOAK_TABS" in os.environ else 20.0
"""Seconds; on machines that run all tests at once they only tell that nothing waits for the render."""


def get(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


def post(url: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url, data=b"")).close()


def test_a_render_outlives_the_page(browser: Browser, running: Studio) -> None:
    """Reloaded and closed in turn, at moments spread over the render; each shows it as it stands."""
    shots = 2 * RELOADS
    told = [{"caption": f"Mira waves slowly {n}", "seconds": 1} for n in range(shots - 1)]
    told.append({"caption": "Mira is held", "seconds": 1})  # so that the render lasts
    story = Story(running, json.dumps({"title": "Long", "size": "64x64", "fps": 8, "shots": told}))
    took: list[float] = []
    seen: list[int] = []
    with ExitStack() as tabs, ExitStack() as holding:
        holding.enter_context(running.held())
        page = tabs.enter_context(opened(browser, story.url))
        page.locator(".split-button .main").click()
        for number in range(RELOADS):
            until(page, lambda number=number: done(story) >= number)  # type: ignore[misc]
            page.wait_for_timeout(number * 700 % 2000)
            if number % 2:
                tabs.pop_all().close()
                began = time.monotonic()
                page = tabs.enter_context(opened(browser, story.url))
            else:
                began = time.monotonic()
                page.reload()
            expect(page.locator(".clip.is-running, .clip.is-queued").first).to_be_visible()
            took.append(time.monotonic() - began)
            seen.append(page.locator(".clip.is-fresh").count())
        holding.close()
        expect(page.locator(".clip.is-fresh")).to_have_count(shots)
    assert {(job["state"], job["attempts"]) for job in jobs(story)} == {("done", 1)}
    assert all(shot["take"] for shot in story.shots)
    assert seen == sorted(seen)
    assert seen[-1] >= RELOADS - 1
    print(f"\nthe view is back after {', '.join(f'{seconds:.1f}' for seconds in took)} s")
    assert max(took) <= BACK


def done(story: Story) -> int:
    return sum(job["state"] == "done" for job in jobs(story))


def jobs(story: Story) -> list[Any]:
    return [job for job in get(f"{story.studio.url}/api/queue")["jobs"] if job["project"] == story.id]


HUGE = """
title: Huge
size: 64x64
shots: [{caption: Mira waves}, {caption: Otto is huge}, {caption: Mira runs, bans: [2]}]
"""
"""Its last shot does not build on the one that is too large."""


def test_what_to_change_is_said_where_memory_ran_out(browser: Browser, running: Studio) -> None:
    story = Story(running, HUGE)
    with opened(browser, story.url) as page:
        page.locator(".split-button .main").click()
        page.get_by_role("tab", name="Queue").click()
        failed = page.locator(f"{OWN_JOB}.is-failed")
        expect(failed).to_contain_text("out of memory")
        expect(failed).to_contain_text("choose a smaller size, or shorten the shot")
        expect(page.locator(".clip.is-fresh")).to_have_count(2)
    assert [(job["state"], job["attempts"]) for job in jobs(story)].count(("done", 1)) == 2
    assert [bool(shot["take"]) for shot in story.shots] == [True, False, True]


EDIT = """
(place) => {
  window.edited = (async () => {
    const { sendEdit } = await import("/studio-assets/js/common/commands.js");
    const { shots } = await import("/studio-assets/js/common/state.js");
    const found = { kept: null, behind: 0, caption: null };
    const shot = shots().at(place).id;
    while (found.kept === null) {
      const caption = `Otto runs ${Math.random()}`;
      performance.clearResourceTimings(); // a page keeps no more than 250
      const state = await sendEdit({ op: "caption", shot, caption });
      if (state === null) { found.behind += 1; continue; }
      const trip = () =>
        performance.getEntriesByType("resource").findLast((entry) => entry.name.endsWith("/edits"));
      while (!trip()) await new Promise(requestAnimationFrame); // it is listed a little after the answer
      Object.assign(found, { kept: trip().duration / 1000, caption });
    }
    return found;
  })();
}
"""
"""Edits a caption as the page does it, by what the page itself uses; again where the tab was behind.

`kept` are the seconds from the request to the whole answer.
"""


def test_many_tabs_edit_while_a_render_runs(browser: Browser, running: Studio) -> None:
    """Each tab in its turn, and with it the one before, which may not have heard of the last edits.

    The first time it has not.
    """
    shots = [{"caption": f"Mira waves slowly {n}", "seconds": 1} for n in range(60)]
    shots[-1 - TABS]["caption"] = "Mira is held"  # so that the render lasts
    story = Story(running, json.dumps({"title": "Busy", "size": "64x64", "fps": 8, "shots": shots}))
    failed: list[int] = []
    found: list[Any] = []
    last: dict[int, str] = {}
    with running.held(), ExitStack() as opening:
        pages = [opening.enter_context(opened(browser, story.url))]
        pages += [_tab_beside(pages[0]) for _ in range(TABS - 1)]
        for page in pages:
            _focused_in_turn(page)
            page.on("response", lambda answer: failed.append(answer.status) if _is_failure(answer) else None)
        pages[0].locator(".split-button .main").click()
        expect(pages[-1].locator(".clip.is-running")).to_have_count(1)
        for turn in range(EDITS * TABS // 2):
            two = turn % TABS, turn % TABS - 1
            pages[two[0]].bring_to_front()
            pages[two[0]].wait_for_timeout(500)
            if turn == 0:
                pages[two[1]].route("**/status", lambda route: route.abort("connectionrefused"))
                pages[two[0]].evaluate(EDIT, -1 - two[0])
                found.append(pages[two[0]].evaluate("() => window.edited"))
            for tab in two:
                pages[tab].evaluate(EDIT, -1 - tab % TABS)
            for tab in two:
                found.append(pages[tab].evaluate("() => window.edited"))
                last[tab % TABS] = found[-1]["caption"]
            pages[two[1]].unroute("**/status")
        assert any(job["state"] in ("running", "queued") for job in jobs(story))  # still
        for page in pages:
            expect(page.locator(".caption").last).to_have_text(last[0])
    post(f"{running.url}/api/projects/{story.id}/trash")
    behind = sum(edit["behind"] for edit in found)
    assert behind > 0  # they are told, and try again
    assert failed == [409] * behind  # nothing else, such as a database that is locked
    assert story.state()["revision"] == len(found)  # nobody's edit went over another's
    assert all(story.shots[-1 - tab]["caption"] == caption for tab, caption in last.items())
    assert "locked" not in "".join(file.read_text() for file in (running.root / "logs").glob("*.log"))
    trips = [edit["kept"] for edit in found]
    print(f"\n{TABS} tabs: {_figures(trips)}; {behind} more were behind")
    assert p95(trips) < ROUND_TRIP


def _is_failure(answer: Response) -> bool:
    """A preview is gone once its render is over, which a page hears of a little later."""
    late = answer.status == 404 and answer.url.partition("?")[0].endswith("/preview")
    return answer.status >= 400 and not late


def _tab_beside(page: Page) -> Page:
    tab = page.context.new_page()
    tab.goto(page.url)
    tab.wait_for_function(FORMS_FILLED)
    return tab


def _focused_in_turn(page: Page) -> None:
    """Lets a tab have the focus where it is in front alone: Playwright gives it to all of them."""
    page.context.new_cdp_session(page).send("Emulation.setFocusEmulationEnabled", {"enabled": False})


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[max(0, round(0.95 * len(seconds)) - 1)]


def _figures(seconds: list[float]) -> str:
    middle = sorted(seconds)[len(seconds) // 2]
    return f"p50 {middle * 1000:.0f} ms, p95 {p95(seconds) * 1000:.0f} ms of {len(seconds)} edits"
