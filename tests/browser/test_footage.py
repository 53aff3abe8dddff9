"""The page of footage: a video is read, its cuts are moved, removed and added, captions typed, all kept."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Story, noticed, opened, until, watched
from tests.fakes.footage import write_footage
from tests.fakes.studio import Studio

RATE = 12
LENGTHS = (24, 36, 30)


class Film:
    """Footage in a running studio, of a film of its own."""

    def __init__(self, studio: Studio, path: Path) -> None:
        self.studio = studio
        self.path = write_footage(path, LENGTHS, rate=RATE)
        (self.id,) = self.ask("", {"path": str(self.path)})
        self.url = f"{studio.url}/footage?__theme=dark#{self.id}"

    def ask(self, route: str, body: object = None) -> Any:
        request = urllib.request.Request(f"{self.studio.url}/api/footage{route}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"null")

    def state(self) -> Any:
        return self.ask(f"/{self.id}")

    def edit(self, edit: object) -> None:
        """Edits it, as another window does."""
        self.ask(f"/{self.id}/edits", {"base": self.state()["revision"], "edit": edit})

    def starts(self) -> list[int]:
        return [shot["start"] for shot in self.state()["shots"]]

    def captions(self) -> list[str]:
        return [shot["caption"] for shot in self.state()["shots"]]


@pytest.fixture
def film(running: Studio, tmp_path: Path) -> Film:
    """A film that was read; the name is that of the test's own folder."""
    return Film(running, tmp_path / "films" / f"{tmp_path.name}.mp4")


@pytest.fixture
def page(browser: Browser, film: Film) -> Iterator[Page]:
    with watched(browser, film.url) as opened_page:
        expect(opened_page.locator(".strip-shot")).to_have_count(3)
        yield opened_page


def cut(page: Page, number: int) -> Locator:
    """The cut before a shot, counted from 1."""
    return page.get_by_role("slider", name=f"Cut before shot {number}", exact=True)


def frame(page: Page) -> int:
    """The frame that the film's position says."""
    _, minutes, seconds, frames = map(int, page.locator(".film .time").inner_text().split(":"))
    return (60 * minutes + seconds) * RATE + frames


def test_a_video_is_added_by_its_path_and_read(browser: Browser, running: Studio, tmp_path: Path) -> None:
    path = write_footage(tmp_path / f"{tmp_path.name}.mp4", LENGTHS, rate=RATE)
    path.with_suffix(".srt").write_text("1\n00:00:00,100 --> 00:00:01,900\nMira walks\n")
    with watched(browser, f"{running.url}/footage?__theme=light") as page:
        field = page.get_by_label("A video, a folder of videos, or a storyboard on this machine")
        field.fill(str(tmp_path / "nowhere"))
        field.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("there is no file or folder")
        field.fill(str(path))
        field.press("Enter")
        expect(page.locator(".strip-shot")).to_have_count(3)
        expect(page.locator(".footage-title")).to_contain_text("3 shots · 2 without a caption · 7.5 s")
        expect(page.get_by_role("textbox", name="Caption", exact=True)).to_have_value("Mira walks")
        until(page, lambda: page.locator("video").evaluate("v => v.readyState") >= 2, "the film")
        until(
            page,
            lambda: page.locator(".strip-shot").first.evaluate("e => e.style.getPropertyValue('--picture')"),
            "the pictures",
        )
        page.get_by_role("link", name="Footage").click()
        item = page.locator(".footage-item", has_text=path.name)
        expect(item).to_contain_text("3 shots · 7.5 s")
        item.get_by_role("button", name="Remove").click()
        item.get_by_role("button", name="Click again to remove it for good").click()
        expect(item).to_have_count(0)
    assert path.is_file()


def test_a_video_is_uploaded(browser: Browser, running: Studio, tmp_path: Path) -> None:
    path = write_footage(tmp_path / f"up-{tmp_path.name}.mp4", LENGTHS, rate=RATE)
    with watched(browser, f"{running.url}/footage") as page:
        page.locator("input[type=file]").set_input_files(path)
        expect(page.locator(".strip-shot")).to_have_count(3)
        page.get_by_text("Save storyboard").click()
        expect(page.get_by_role("menuitem", name="Download")).to_be_visible()
        expect(page.get_by_role("menuitem", name="Save beside the video")).to_have_count(0)


def test_a_storyboard_of_several_videos_shows_all_of_them(
    browser: Browser, running: Studio, tmp_path: Path
) -> None:
    films = [write_footage(tmp_path / f"{tmp_path.name}-{name}.mp4", (12,), rate=RATE) for name in "ab"]
    shots = "".join(f"- {{start: 0, end: 1, source: {film}}}\n" for film in films)
    (tmp_path / "board.yaml").write_text(f"shots:\n{shots}")
    with watched(browser, f"{running.url}/footage") as page:
        page.locator("input[type=file]").set_input_files(tmp_path / "board.yaml")
        for film in films:
            expect(page.locator(".footage-item", has_text=film.name)).to_have_count(1)
        assert "#" not in page.url


def test_a_cut_is_moved_by_the_keyboard_and_undone(page: Page, film: Film) -> None:
    page.locator(".strip-shot").nth(1).click()
    cut(page, 2).focus()
    assert frame(page) == 24
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    expect(cut(page, 2)).to_have_attribute("aria-valuenow", "35")
    until(page, lambda: film.starts() == [0, 35, 60], "the move")
    assert frame(page) == 35
    page.keyboard.press("Control+z")
    until(page, lambda: film.starts() != [0, 35, 60], "undo")
    page.keyboard.press("Control+Shift+Z")
    until(page, lambda: film.starts() == [0, 35, 60], "redo")
    page.reload()
    expect(cut(page, 2)).to_have_attribute("aria-valuenow", "35")


def test_a_cut_is_dragged_but_not_over_its_neighbours(page: Page, film: Film) -> None:
    box = cut(page, 2).bounding_box()
    other = page.locator(".strip-shot").nth(1).bounding_box()
    assert box is not None
    assert other is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 60
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + other["width"] / 3, y, steps=5)
    expect(cut(page, 2)).to_have_attribute("aria-valuenow", "36")
    assert film.starts() == [0, 24, 60]  # it is sent once it is let go
    page.mouse.up()
    until(page, lambda: film.starts() == [0, 36, 60], "the move")
    page.mouse.move(x + other["width"] / 3, y)
    page.mouse.down()
    page.mouse.move(x + 3 * other["width"], y, steps=5)
    page.mouse.up()
    until(page, lambda: film.starts() == [0, 59, 60], "the move")


def test_cuts_are_added_and_removed(page: Page, film: Film) -> None:
    page.locator(".strip-shot").nth(2).click()
    page.keyboard.press("ArrowUp")
    assert frame(page) == 60
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("s")
    until(page, lambda: film.starts() == [0, 24, 27, 60], "the cut")
    expect(page.locator(".footage-shot h2")).to_have_text("Shot 3 of 4")
    page.get_by_role("button", name="Merge with next").click()
    until(page, lambda: film.starts() == [0, 24, 27], "the merge")
    cut(page, 3).focus()
    page.keyboard.press("Delete")
    until(page, lambda: film.starts() == [0, 24], "the removal")
    page.get_by_role("button", name="Undo: merge shots 2 and 3").click()
    until(page, lambda: film.starts() == [0, 24, 27], "undo")


def test_captions_are_typed_one_after_the_other(page: Page, film: Film) -> None:
    page.locator("body").press("Home")
    page.keyboard.press("e")
    page.keyboard.type("Mira says {hello} <b>&")
    page.keyboard.press("Enter")
    expect(page.locator(".footage-shot h2")).to_have_text("Shot 2 of 3")
    page.keyboard.type("Otto s m e")  # keys are no shortcuts here
    until(page, lambda: film.captions() == ["Mira says {hello} <b>&", "Otto s m e", ""], "the captions")
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    until(page, lambda: film.state()["shots"][1]["left_out"], "left out")
    expect(page.locator(".strip-shot.is-left-out")).to_contain_text("left out")
    page.get_by_label("Style of all shots").fill("ink on paper")
    page.keyboard.press("Enter")
    until(page, lambda: film.state()["style"] == "ink on paper", "the style")
    page.reload()
    expect(page.locator(".strip-caption").first).to_have_text("Mira says {hello} <b>&")
    expect(page.locator(".strip-shot.is-left-out")).to_have_count(1)


def test_a_caption_that_has_the_focus_follows_its_shot(page: Page, film: Film) -> None:
    page.locator("body").press("End")
    page.keyboard.press("e")
    film.edit({"op": "caption", "shot": 2, "caption": "Otto"})
    film.edit({"op": "merge", "shot": 0})
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.locator(".footage-shot h2")).to_have_text("Shot 2 of 2")
    expect(page.get_by_role("textbox", name="Caption", exact=True)).to_have_value("Otto")
    page.keyboard.type(" waves")
    page.keyboard.press("Escape")
    until(page, lambda: film.captions() == ["", "Otto waves"], "the caption")


def test_what_is_typed_is_kept_though_the_cuts_were_changed_elsewhere(page: Page, film: Film) -> None:
    """The page does not hear of it before it sends what was typed."""
    page.locator("body").press("End")
    page.keyboard.press("e")
    film.edit({"op": "merge", "shot": 0})
    page.keyboard.type("Otto")
    page.keyboard.press("Escape")
    until(page, lambda: film.captions() == ["", "Otto"], "the caption")
    film.edit({"op": "split", "at": 30})
    page.get_by_role("textbox", name="Style of all shots", exact=True).fill("ink")
    page.keyboard.press("Enter")
    until(page, lambda: film.state()["style"] == "ink", "the style")
    assert film.starts() == [0, 30, 60]


@pytest.mark.parametrize("field", ["Caption", "Style of all shots"])
def test_what_is_typed_when_the_page_is_left_is_kept(page: Page, film: Film, field: str) -> None:
    page.get_by_role("textbox", name=field, exact=True).fill("Mira")
    page.goto("about:blank")
    until(page, lambda: "Mira" in (film.captions()[0], film.state()["style"]), field)


def test_the_film_plays_and_stops(page: Page) -> None:
    until(page, lambda: page.locator("video").evaluate("v => v.readyState") >= 2, "the film")
    page.locator("video").evaluate("v => { v.playbackRate = 0.1 }")  # it must not end before it is stopped
    page.locator("body").press(" ")
    until(page, lambda: frame(page) > 0, "the film's start")
    page.keyboard.press(" ")
    expect(page.locator("video")).to_have_js_property("paused", value=True)
    page.keyboard.press("End")
    assert frame(page) == sum(LENGTHS) - 1
    expect(page.locator(".footage-shot h2")).to_have_text("Shot 3 of 3")


def test_a_storyboard_is_saved_and_opened_again(page: Page, film: Film, tmp_path: Path) -> None:
    page.locator("body").press("End")
    page.keyboard.press("m")
    until(page, lambda: film.state()["shots"][2]["left_out"], "left out")
    page.get_by_text("Save storyboard").click()
    with page.expect_download() as downloaded:
        page.get_by_role("menuitem", name="Download").click()
    downloaded.value.save_as(tmp_path / "board.yaml")
    page.get_by_text("Save storyboard").click()
    page.get_by_role("menuitem", name="Save beside the video").click()
    noticed(page, str(film.path.with_suffix(".yaml")))
    assert film.path.with_suffix(".yaml").is_file()
    page.keyboard.press("m")
    until(page, lambda: not film.state()["shots"][2]["left_out"], "taken in")
    page.get_by_role("link", name="Footage").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "board.yaml")
    expect(page.locator(".strip-shot.is-left-out")).to_have_count(1)
    assert film.state()["undo"] == "open a storyboard"


def test_cuts_are_found_again(page: Page, film: Film) -> None:
    page.locator("body").press("Home")
    page.keyboard.press("Delete")
    until(page, lambda: film.starts() == [0, 60], "the merge")
    page.get_by_text("Find cuts again").click()
    page.get_by_role("menuitem", name="As usual").click()
    expect(page.locator(".strip-shot")).to_have_count(3)
    expect(page.get_by_role("button", name="Undo: find the cuts again")).to_be_enabled()


def test_a_video_that_cannot_be_read_says_why(browser: Browser, running: Studio, tmp_path: Path) -> None:
    path = tmp_path / f"{tmp_path.name}.mp4"
    path.write_bytes(b"no film")
    with watched(browser, f"{running.url}/footage") as page:
        page.get_by_label("A video, a folder of videos, or a storyboard on this machine").fill(str(path))
        page.keyboard.press("Enter")
        expect(page.locator(".footage-job .field-error")).to_contain_text("is no video")
        write_footage(path, LENGTHS, rate=RATE)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".strip-shot")).to_have_count(3)


def test_the_job_is_in_the_queue_with_a_way_to_its_page(
    browser: Browser, running: Studio, film: Film
) -> None:
    until_read(film)
    with opened(browser, Story(running).url) as page:
        page.get_by_role("tab", name="Queue").click()
        link = page.get_by_role("link", name=f"Find the cuts of {film.path.name}")
        expect(link).to_have_attribute("href", f"/footage?__theme=dark#{film.id}")
        page.locator('.menu summary[title="Project"]').click()
        footage = page.get_by_role("menuitem", name="Footage…")
        expect(footage).to_have_attribute("href", "/footage?__theme=dark")


def until_read(film: Film) -> None:
    from tests.fakes.waiting import until as waiting

    waiting(lambda: film.state()["ready"], what="reading")


def test_it_can_be_used_on_a_narrow_screen(browser: Browser, film: Film) -> None:
    outside = "() => document.documentElement.scrollWidth > innerWidth"
    with watched(browser, film.url, viewport={"width": 390, "height": 800}, has_touch=True) as page:
        expect(page.locator(".strip-shot")).to_have_count(3)
        assert not page.evaluate(outside)
        page.locator(".strip-shot").first.tap()
        page.get_by_role("button", name="Ends one frame later").tap()
        page.get_by_role("button", name="Ends one frame later").tap()
        until(page, lambda: film.starts() == [0, 26, 60], "the move")
        expect(page.locator(".footage-shot h2")).to_have_text("Shot 1 of 3")  # it shows the shot's last frame
        page.get_by_role("textbox", name="Caption", exact=True).fill("Mira")
        page.get_by_role("button", name="Cut here").tap()
        until(page, lambda: film.captions()[0] == "Mira", "the caption")
        page.get_by_text("Save storyboard").tap()
        menu = page.get_by_role("menuitem", name="Download").bounding_box()
        assert menu is not None
        assert menu["x"] >= 0
        assert menu["x"] + menu["width"] <= 390
        page.get_by_role("link", name="Footage").tap()
        expect(page.locator(".footage-item").first).to_be_visible()
        assert not page.evaluate(outside)
