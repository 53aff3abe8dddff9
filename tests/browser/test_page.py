"""The page as a whole: how much of it is ours, what it needs from elsewhere, and how it looks at any size."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import STORY, Story, opened, until
from tests.fakes.studio import Studio

MOST_SCRIPT = 100_000
"""Bytes of the modules that the page loads first: readable source with types, plotly.js not counted."""

LATER = (
    *("timeline/drift-marks.js", "common/figures.js"),  # a second later
    *("forms/cast-pictures.js", "common/pictures.js"),  # once the cast is seen
)
"""Modules that nothing waits for."""


def test_our_own_modules_are_small(page: Page) -> None:
    sizes: dict[str, int] = page.evaluate(
        """() => Object.fromEntries(performance.getEntriesByType("resource")
               .filter((entry) => entry.name.includes("/studio-assets/js/"))
               .map((entry) => [entry.name.split("/js/").pop(), entry.decodedBodySize]))"""
    )
    assert "timeline/timeline.js" in sizes
    first = {name: size for name, size in sizes.items() if name not in LATER}
    assert sum(first.values()) <= MOST_SCRIPT, first


def test_a_page_that_gets_the_focus_asks_at_once_and_no_oftener(page: Page) -> None:
    asked = page.evaluate(
        """async () => {
          const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
          const ask = window.fetch;
          let asked = 0;
          window.fetch = async (url, ...rest) => {
            if (String(url).includes("/status")) (asked += 1, await pause(300));
            return ask(url, ...rest);
          };
          for (let nth = 0; nth < 20; nth += 1) (window.dispatchEvent(new Event("focus")), await pause(50));
          asked = 0;
          await pause(3000);
          return asked;
        }"""
    )
    assert 1 <= asked <= 5  # one after the other, half a second between them


def many(count: int) -> str:
    shots = [{"caption": f"Mira walks right on the beach {n}", "seconds": 1 + n % 3} for n in range(count)]
    return json.dumps({"title": "Many", "size": "128x72", "cast": [{"name": "Mira"}], "shots": shots})


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1024, 1440])
def test_nothing_overflows_at_any_size(browser: Browser, running: Studio, theme: str, width: int) -> None:
    url = Story(running, many(40)).url.replace("dark", theme)
    with opened(browser, url, viewport={"width": width, "height": 760}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for place in ("#bar", "#left", "#centre", "#right", "#timeline"):
            box = page.locator(place).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width + 1
            assert box["y"] + box["height"] <= 761
        expect(page.locator(".clip")).to_have_count(40)


def test_panels_lie_below_each_other_where_columns_do_not_fit(browser: Browser, story: Story) -> None:
    with opened(browser, story.url, viewport={"width": 420, "height": 760}) as page:
        for place in ("#bar", "#centre", "#left", "#right", "#timeline"):
            page.locator(place).scroll_into_view_if_needed()
            box = page.locator(place).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 421
        assert page.evaluate("document.body.scrollWidth") <= 420


def test_nothing_moves_while_a_film_renders(page: Page, story: Story) -> None:
    places = """() => ["#bar", "#left", "#centre", "#right", "#timeline", ".stage", ".clip", ".caption"]
        .map((name) => { const b = document.querySelector(name).getBoundingClientRect();
                         return [b.x, b.y, b.width, b.height].map(Math.round).join(); })"""
    before = page.evaluate(places)
    page.evaluate(
        f"""() => {{
          const places = {places};
          window.seen = new Set();
          new MutationObserver(() => window.seen.add(JSON.stringify(places())))
              .observe(document.body, {{ subtree: true, childList: true, attributes: true }});
        }}"""
    )
    page.locator(".split-button .main").click()
    expect(page.locator(".clip.is-fresh")).to_have_count(3)
    assert [json.loads(seen) for seen in page.evaluate("[...window.seen]")] == [before]


def test_a_stale_edit_is_shown_as_a_conflict(browser: Browser, story: Story) -> None:
    with opened(browser, story.url) as first, opened(browser, story.url) as second:
        second.route("**/api/projects/*/status", lambda route: None)  # this tab hears of nothing
        first.locator(".caption").first.click()
        first.locator(".caption textarea").fill("Mira sits")
        first.keyboard.press("Enter")
        expect(first.locator(".caption").first).to_have_text("Mira sits")
        second.locator(".caption").first.click()
        second.locator(".caption textarea").fill("Mira jumps")
        second.keyboard.press("Enter")
        expect(second.locator(".notice.error")).to_contain_text("changed elsewhere")
        expect(second.locator(".caption textarea")).to_have_value("Mira jumps")  # nothing typed is lost
    assert story.shots[0]["caption"] == "Mira sits"


def test_forms_are_edits_and_say_what_is_wrong(page: Page, story: Story) -> None:
    title = page.locator("#form-title input, #form-title textarea").first
    expect(title).to_have_value("A small story")
    title.fill("Another story")
    title.press("Enter")
    expect(page.locator(".project-name summary")).to_contain_text("Another story")
    title.fill("")
    title.press("Enter")
    expect(page.locator(".form-error").first).to_contain_text("is empty")
    assert story.state()["title"] == "Another story"
    cast = page.locator("#form-cast textarea")
    cast.fill("Mira: red\nOtto\nAda: blue with a hat")
    cast.blur()
    until(page, lambda: [member["name"] for member in story.state()["cast"]] == ["Mira", "Otto", "Ada"])
    page.locator(".timeline").focus()
    page.keyboard.press("Control+z")
    expect(cast).to_have_value("Mira: red\nOtto")


def test_the_settings_mark_the_chosen_entry_and_keep_errors_with_their_fields(page: Page) -> None:
    page.locator(".label-wrap", has_text="Settings").click()
    first, every = page.get_by_label("in the first shot"), page.get_by_label("in every shot")
    mark = "(radio) => [getComputedStyle(radio).backgroundImage, getComputedStyle(radio).backgroundColor]"
    expect(first).to_be_checked()
    dot, filled = first.evaluate(mark)
    none, empty = every.evaluate(mark)
    assert dot.startswith("url(")
    assert none == "none"
    assert filled != empty
    steps = page.get_by_label("Steps")
    steps.fill("many")
    steps.blur()
    error = page.locator(".block.form-error", has_text="must be a number")
    expect(error).to_have_css("border-bottom-width", "1px")
    expect(page.locator(".form:has(+ .form-error p)")).to_have_css("border-bottom-width", "0px")
    help = page.get_by_text("A shot is outdated when").bounding_box()
    number = page.get_by_label("number input for Re-render threshold").bounding_box()
    assert help
    assert number
    assert help["y"] > number["y"]
    assert help["width"] > 1.5 * number["width"]


def test_a_film_without_captions_is_not_up_to_date(page: Page, story: Story) -> None:
    page.locator(".project-name summary").click()
    page.get_by_role("menuitem", name="New project").click()
    render = page.locator("#bar button.primary").first
    expect(render).to_have_attribute("title", "Add a shot first")
    page.get_by_role("button", name="Add the first shot").click()
    expect(page.locator(".clip")).to_have_count(1)
    expect(render).to_have_text("Nothing to render")
    expect(render).to_have_attribute("title", "Write a caption first")


def test_the_bin_is_emptied_after_a_question(page: Page, story: Story) -> None:
    Story(story.studio, STORY.replace("A small", "A needless")).trash()
    page.locator(".project-name summary").click()
    expect(page.get_by_role("menuitem", name="A needless story")).to_be_visible()
    page.get_by_role("menuitem", name="Empty bin").click()
    page.get_by_role("menuitem", name="for good?").click()
    expect(page.locator(".notice")).to_contain_text("The bin is empty")
    page.locator(".project-name summary").click()
    expect(page.get_by_role("menuitem", name="Move to bin")).to_be_visible()
    expect(page.get_by_role("menuitem", name="Empty bin")).to_have_count(0)
    expect(page.locator(".project-name summary")).to_have_text("A small story")


DROP = """([name, text]) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([text], name));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}"""


def test_a_file_that_is_dropped_becomes_a_project(page: Page) -> None:
    page.evaluate(DROP, ["dropped.yaml", STORY.replace("A small", "A dropped")])
    expect(page.locator(".project-name summary")).to_have_text("A dropped story")


@pytest.mark.parametrize(("name", "told"), [("film.mp4", "MP4"), ("notes.txt", "cannot be imported")])
def test_a_dropped_file_that_holds_no_project_is_refused(page: Page, name: str, told: str) -> None:
    page.evaluate(DROP, [name, "nothing"])
    expect(page.locator(".notice.error")).to_contain_text(told)
    expect(page.locator(".project-name summary")).to_have_text("A small story")


def test_the_queue_opens_where_its_tab_is_in_the_menu_of_further_tabs(page: Page) -> None:
    page.add_style_tag(content="#right { width: 220px !important; min-width: 0 !important; }")
    page.set_viewport_size({"width": 1000, "height": 700})
    expect(page.locator("#queue-tab-button")).to_have_count(0)
    page.locator(".queue-chip").click()
    expect(page.get_by_role("tab", name="Queue")).to_have_attribute("aria-selected", "true")
