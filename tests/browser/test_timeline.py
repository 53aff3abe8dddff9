"""Every gesture of the timeline, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.conftest import Story, until


def captions(page: Page) -> list[str]:
    return [text.split()[0] for text in page.locator(".caption").all_inner_texts()]


def clip(page: Page, number: int) -> Any:
    return page.locator(f".clip:has(.clip-number:text-is('{number}'))")


def edited_next(page: Page, story: Story, revision: int = 0) -> list[dict[str, Any]]:
    """The shots before the next edit, which is made at this revision: the page sends one after the other."""
    shots = story.shots
    with page.expect_request("**/edits") as request:
        clip(page, 1).click()
        page.keyboard.press("m")
    assert (request.value.post_data_json or {})["base"] == revision
    return shots


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def middle(page: Page, number: int) -> tuple[float, float]:
    box = clip(page, number).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_clip_is_dragged_to_another_place(page: Page, story: Story) -> None:
    third = clip(page, 3).bounding_box()
    drag(page, middle(page, 1), (third["x"] + third["width"] - 4, third["y"] + 30))
    until(page, lambda: [s["caption"][:4] for s in story.shots] == ["Otto", "Mira", "Mira"])
    assert [s["caption"] for s in story.shots][2] == "Mira waves in the meadow"


def test_escape_takes_a_drag_back(page: Page, story: Story) -> None:
    before = story.shots
    page.mouse.move(*middle(page, 1))
    page.mouse.down()
    page.mouse.move(*middle(page, 3), steps=5)
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(page.locator(".clip.dragged")).to_have_count(0)
    assert edited_next(page, story) == before


def test_an_edge_is_dragged_to_trim(page: Page, story: Story) -> None:
    box = clip(page, 1).bounding_box()
    y = box["y"] + 40
    drag(page, (box["x"] + box["width"] - 5, y), (box["x"] + box["width"] * 0.5, y))
    until(page, lambda: story.shots[0]["seconds"] == 1.0)
    box = clip(page, 2).bounding_box()
    drag(page, (box["x"] + 3, y), (box["x"] + box["width"] * 0.25, y))
    until(page, lambda: (story.shots[1]["trim"], story.shots[1]["seconds"]) == (0.5, 1.5))


def test_several_are_selected_and_moved(page: Page, story: Story) -> None:
    clip(page, 1).click()
    clip(page, 2).click(modifiers=["Shift"])
    expect(page.locator(".clip.selected")).to_have_count(2)
    page.keyboard.press("Alt+ArrowRight")
    expect(page.locator(".caption").first).to_have_text("Mira and Otto dance on the beach")
    clip(page, 1).click(modifiers=["Control"])
    expect(page.locator(".clip.selected")).to_have_count(3)
    page.keyboard.press("Delete")
    until(page, lambda: story.shots == [])
    page.keyboard.press("Control+z")
    until(page, lambda: len(story.shots) == 3)


def test_captions_are_edited_in_place_with_unknown_words_underlined(page: Page, story: Story) -> None:
    page.locator(".caption").nth(1).click()
    field = page.locator(".caption textarea")
    field.fill("Otto wobbles right in the forest")
    expect(page.locator(".caption-underlines .unknown")).to_have_text("wobbles")
    field.press("Enter")
    until(page, lambda: story.shots[1]["caption"] == "Otto wobbles right in the forest")
    expect(page.locator(".caption .unknown")).to_have_text("wobbles")
    page.keyboard.press("e")
    page.locator(".caption textarea").press("Tab")
    expect(page.locator(".caption.editing textarea")).to_have_value("Mira and Otto dance on the beach")
    page.keyboard.press("Escape")
    assert [s["caption"][:4] for s in story.shots] == ["Mira", "Otto", "Mira"]


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


KEYS: list[tuple[str, tuple[str, ...], int, Callable[[list[dict[str, Any]]], bool]]] = [
    # (what, keys, commands they send, what the shots are like then)
    ("split", ("ArrowDown", "Shift+ArrowLeft", "s"), 1, lambda s: [x["seconds"] for x in s] == [1, 1, 2, 2]),
    ("duplicate", ("d",), 1, lambda s: s[0]["caption"] == s[1]["caption"] and len(s) == 4),
    ("delete", ("Delete",), 1, lambda s: len(s) == 2),
    ("lock", ("Shift+L",), 1, lambda s: s[0]["lock"]),
    ("skip", ("m",), 1, lambda s: s[0]["skip"]),
    ("trim the end", (".", ".", "Shift+,"), 3, lambda s: abs(s[0]["seconds"] - (2 - 8 / 12)) < 1e-3),
    ("trim the beginning", ("Alt+.",), 1, lambda s: abs(s[0]["trim"] - 1 / 12) < 1e-3),
    ("move", ("Alt+ArrowRight",), 1, lambda s: s[1]["caption"] == "Mira waves in the meadow"),
    ("pin", ("ArrowDown", "p"), 1, lambda s: s[1]["pins"] == [s[0]["id"]]),
    ("undo and redo", ("d", "Control+z", "Control+Shift+Z"), 3, lambda s: len(s) == 4),
    ("undo", ("d", "Control+z"), 2, lambda s: len(s) == 3),
]


def test_a_suggested_caption_is_shown_from_its_beginning(page: Page, story: Story) -> None:
    suggested = "Mira waves in the meadow. " + "She is a red round creature with a top hat. " * 12
    page.evaluate(
        "async ([id, text]) => "
        "(await import('/studio-assets/js/timeline/captions.js')).editCaption(id, text)",
        [story.shots[0]["id"], suggested],
    )
    field = page.locator(".caption textarea")
    expect(field).to_be_focused()
    seen = field.evaluate(
        "(e) => [e.scrollHeight > e.clientHeight, e.scrollTop, e.selectionStart, e.selectionEnd]"
    )
    assert seen == [True, 0, 0, 0]
    page.keyboard.press("Escape")


def test_every_gesture_by_keyboard(page: Page, story: Story) -> None:
    def pressed(what: str, commands: int, *keys: str) -> None:
        done = story.state()["revision"] + commands
        press(page, *keys)
        until(page, lambda: story.state()["revision"] == done, what)
        expect(page.locator(".timeline")).to_have_attribute("data-revision", str(done))

    for name, keys, commands, true in KEYS:
        clip(page, 1).click()
        pressed(name, commands, "Home", *keys)
        assert true(story.shots), name
        while story.state()["undo"]:
            pressed(f"undo of {name}", 1, "Control+z")


def test_a_shot_is_added_and_written_at_once(page: Page, story: Story) -> None:
    page.locator(".timeline").focus()
    press(page, "n")
    page.locator(".caption textarea").fill("Otto sits")
    press(page, "Enter")
    until(page, lambda: [s["caption"] for s in story.shots][1] == "Otto sits")
    expect(clip(page, 2)).to_have_attribute("aria-selected", "true")


def test_the_playhead_is_scrubbed_and_stepped(page: Page) -> None:
    ruler = page.locator(".ruler").bounding_box()
    first = clip(page, 1).bounding_box()
    assert ruler
    assert first
    page.mouse.click(first["x"] + first["width"] / 2, ruler["y"] + 10)
    expect(page.locator(".time")).to_have_text("00:00:01:00 / 00:00:06:00")
    page.locator(".timeline").focus()
    for key, shown in (
        ("ArrowRight", "1:01"),
        ("Shift+ArrowRight", "2:01"),
        ("ArrowDown", "4:00"),
        ("End", "6:00"),
        ("ArrowUp", "4:00"),
        ("Home", "0:00"),
    ):
        press(page, key)
        expect(page.locator(".time")).to_have_text(f"00:00:0{shown} / 00:00:06:00")


def test_zoom_and_the_sheet_of_keys(page: Page) -> None:
    before = clip(page, 1).bounding_box()["width"]
    page.locator(".timeline").focus()

    def width() -> float:
        found: float = clip(page, 1).bounding_box()["width"]
        return found

    press(page, "-", "-", "-")
    until(page, lambda: width() < before * 0.6, "zooming out")
    small = width()
    press(page, "+", "+")
    until(page, lambda: width() > small * 1.4, "zooming in")
    press(page, "Control+0")
    until(page, lambda: abs(width() - before) < 2, "fitting")
    press(page, "?")
    expect(page.locator(".sheet")).to_contain_text("split the shot at the playhead")
    press(page, "Escape")
    expect(page.locator(".sheet")).to_have_count(0)


def test_keys_do_nothing_inside_a_text_field(page: Page, story: Story) -> None:
    before = story.shots
    field = page.locator("#form-title input, #form-title textarea").first
    field.click()
    field.press_sequentially("sdm.")
    assert edited_next(page, story, revision=1) == before  # after the title, which is saved as it is left
    assert story.state()["title"] == "A small storysdm."


def test_a_number_that_cannot_be_is_told_below_its_field(page: Page, story: Story) -> None:
    clip(page, 2).click()
    length, seed = page.get_by_label("Length (s)"), page.get_by_label("Seed").last
    for typed, told in (
        ("soon", "Length must be a number, got “soon”"),
        ("99", "Length must lie within 0.5–60 s, got 99"),
    ):
        length.fill(typed)
        length.press("Enter")
        expect(page.locator(".field-error").first).to_contain_text(told)
        expect(length).to_have_value(typed)
    length.fill("2,5")
    length.press("Enter")
    until(page, lambda: story.shots[1]["seconds"] == 2.5)
    for typed, kept in (("9007199254740991", 2**53 - 1), ("", None)):
        seed.fill(typed)
        seed.press("Enter")
        until(page, partial(_has_seed, story, kept))


def test_words_of_forms_that_the_model_does_not_know_are_named_below_them(page: Page) -> None:
    field = page.locator("#form-style textarea")
    field.fill("rainy evning")
    field.press("Tab")
    expect(page.locator("#form-style .unknown-words")).to_contain_text("evning (did you mean evening?)")


def _has_seed(story: Story, seed: int | None) -> bool:
    return bool(story.shots[1]["seed"] == seed)
