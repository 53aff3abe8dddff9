"""Answers that arrive after another project was opened change nothing of what is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import STORY, Story, noticed, until
from tests.browser.held import held

OTHER = """
title: Another story
size: 128x72
fps: 12
cast: [{name: Ada, look: green}]
style: morning
shots: [{caption: Ada waves in the meadow, seconds: 3}, {caption: Ada sits, seconds: 1}]
"""
THIRD = OTHER.replace("Another", "A third")


@pytest.fixture
def other(story: Story) -> Story:
    """A second project in the same studio."""
    return Story(story.studio, OTHER)


def open_project(page: Page, title: str) -> None:
    """Opens a project from the menu, as a person does."""
    page.locator(".project-name summary").click()
    page.locator(".project-name").get_by_role("menuitem", name=title).first.click()


def shown(page: Page, title: str) -> None:
    expect(page.locator(".project-name summary")).to_have_text(title)


def write(page: Page, number: int, caption: str) -> None:
    page.locator(".caption").nth(number).click()
    page.locator(".caption textarea").fill(caption)
    page.keyboard.press("Enter")


def undo(page: Page) -> None:
    page.get_by_role("button", name="Undo").click()


def refresh(page: Page) -> None:
    page.evaluate("import('/studio-assets/js/common/project.js').then((m) => void m.refresh())")


LATE: list[tuple[str, Callable[[Page], None], str]] = [
    ("edits", lambda page: write(page, 0, "Mira sits in the meadow"), "Mira sits in the meadow"),
    ("undo", undo, "Mira waves in the meadow"),
    ("", refresh, "Mira jumps in the meadow"),
]


@pytest.mark.parametrize(("route", "act", "caption"), LATE, ids=["edit", "undo", "refresh"])
def test_an_answer_for_another_project_is_not_shown(
    page: Page, story: Story, other: Story, route: str, act: Callable[[Page], None], caption: str
) -> None:
    write(page, 0, "Mira jumps in the meadow")
    expect(page.locator(".caption").first).to_have_text("Mira jumps in the meadow")
    expect(page.locator(".caption textarea")).to_have_count(0)  # saved
    with held(page, f"**/api/projects/{story.id}{'/' if route else ''}{route}") as answer:
        act(page)
        answer.wait()
        open_project(page, "Another story")
        shown(page, "Another story")
        answer.release()
    shown(page, "Another story")
    expect(page.locator(".caption")).to_have_count(2)
    assert page.evaluate("location.hash") == f"#{other.id}"
    assert story.shots[0]["caption"] == caption  # it was carried out where it was meant
    assert other.state()["revision"] == 0


def test_the_project_that_was_opened_last_is_shown(page: Page, other: Story) -> None:
    third = Story(other.studio, THIRD)
    with held(page, f"**/api/projects/{other.id}/open") as answer:
        open_project(page, "Another story")
        answer.wait()
        open_project(page, "A third story")
        shown(page, "A third story")
        answer.release()
    shown(page, "A third story")
    assert page.evaluate("location.hash") == f"#{third.id}"


def test_an_import_that_ends_late_does_not_switch(page: Page, other: Story, tmp_path: Path) -> None:
    file = tmp_path / "late.yaml"
    file.write_text(STORY.replace("A small", "A late"))
    with held(page, "**/api/projects/import*") as answer:
        page.locator(".project-name summary").click()
        page.locator(".menu-body input[type=file]").set_input_files(file)
        answer.wait()
        open_project(page, "Another story")
        shown(page, "Another story")
        answer.release()
    shown(page, "Another story")
    noticed(page, "“A late story” is ready")


def test_commands_that_wait_belong_to_the_project_they_were_made_in(
    page: Page, story: Story, other: Story
) -> None:
    """Those that were made after a slow edit have their turn once another project is open."""
    with held(page, f"**/api/projects/{story.id}/edits") as answer:
        write(page, 0, "Mira sits in the meadow")
        answer.wait()
        write(page, 1, "Otto sits in the forest")
        page.locator(".timeline").dispatch_event("keydown", {"key": "d"})  # wherever the focus went by then
        open_project(page, "Another story")
        shown(page, "Another story")
        answer.release()
    noticed(page, "The last command was left out")
    assert [shot["caption"][:9] for shot in story.shots] == ["Mira sits", "Otto sits", "Mira and "]
    assert other.state()["revision"] == 0


def test_an_older_state_of_the_same_project_is_not_shown(page: Page, story: Story) -> None:
    """The state that was asked for first has a take less, at the same revision, and arrives last."""
    with held(page, f"**/api/projects/{story.id}") as answer:
        refresh(page)
        before = answer.fetch()
        story.render()
        expect(page.locator(".clip.is-fresh")).to_have_count(3)
        page.evaluate(
            """() => {
              window.fresh = new Set();
              const count = () => window.fresh.add(document.querySelectorAll(".clip.is-fresh").length);
              new MutationObserver(count).observe(document.body, { subtree: true, attributes: true });
              count();
            }"""
        )
        answer.release(body=before, content_type="application/json")
    assert page.evaluate("[...window.fresh]") == [3]


def test_drift_of_another_project_marks_nothing(page: Page, story: Story) -> None:
    """A copy has shots of the same ids: its shots would be marked by what was found in the other."""
    mark = {"shot": story.shots[2]["id"], "name": "Mira", "reason": "it changed", "pin": None, "bans": []}
    with held(page, f"**/api/projects/{story.id}/consistency") as answer:
        story.render()
        copy = story.copy()
        page.route(f"**/api/projects/{copy.id}/consistency", lambda route: None)
        answer.wait()
        page.evaluate(
            "(id) => import('/studio-assets/js/common/project.js').then((m) => m.openProject(id))", copy.id
        )
        page.wait_for_function("(id) => location.hash === `#${id}`", arg=copy.id)
        answer.release(json={"drifted": [mark]})
    expect(page.locator(".clip")).to_have_count(3)
    expect(page.locator(".clip .icon-drift")).to_have_count(0)


def test_forms_are_filled_without_asking_the_server(page: Page, story: Story, other: Story) -> None:
    """What a form shows of one film would be saved into another if an answer came late."""
    style = page.locator("#form-style textarea")
    page.route("**/gradio_api/**", lambda route: None)
    open_project(page, "Another story")
    expect(style).to_have_value("morning")
    open_project(page, "A small story")
    expect(style).to_have_value("")
    expect(page.locator("#form-cast textarea")).to_have_value("Mira: red\nOtto")


def test_a_message_about_another_film_is_not_shown(page: Page, story: Story, other: Story) -> None:
    title = page.locator("#form-title input, #form-title textarea").first
    with held(page, f"**/api/projects/{story.id}/fields/title") as answer:
        title.fill("")
        title.press("Enter")
        answer.wait()
        open_project(page, "Another story")
        expect(title).to_have_value("Another story")
        answer.release()
    expect(page.locator(".form-error").first).to_be_empty()
    assert (story.state()["title"], other.state()["title"]) == ("A small story", "Another story")


def test_undo_waits_for_the_field_that_was_left_before(page: Page, story: Story) -> None:
    """The studio has what was typed, but the page not its answer yet."""
    cast = page.locator("#form-cast textarea")
    with held(page, f"**/api/projects/{story.id}/fields/cast") as field:
        cast.fill("Mira: red\nOtto\nAda: blue with a hat")
        cast.blur()
        answer = field.fetch()
        assert len(story.state()["cast"]) == 3
        page.locator(".timeline").focus()
        page.keyboard.press("Control+z")
        field.release(body=answer, content_type="application/json")
    expect(cast).to_have_value("Mira: red\nOtto")
    noticed(page, "Undone")
    assert len(story.state()["cast"]) == 2


def test_a_field_waits_for_the_undo_before_it(page: Page, story: Story) -> None:
    write(page, 0, "Mira sits in the meadow")
    expect(page.locator(".caption").first).to_have_text("Mira sits in the meadow")
    style = page.locator("#form-style textarea")
    with held(page, f"**/api/projects/{story.id}/undo") as answer:
        undo(page)
        answer.wait()
        style.fill("fog")
        style.blur()
        answer.release()
        until(page, lambda: story.state()["style"] == "fog")
    assert story.shots[0]["caption"] == "Mira waves in the meadow"


def test_a_render_waits_for_the_field_that_was_left_before(page: Page, story: Story) -> None:
    ordered: list[str] = []
    page.on("request", lambda sent: ordered.append(sent.url.rsplit("/", 1)[1]) if sent.post_data else None)
    style = page.locator("#form-style textarea")
    with held(page, f"**/api/projects/{story.id}/fields/style") as field:
        style.fill("fog")
        page.locator(".split-button .main").click()
        field.release()
        until(page, lambda: "render" in ordered)
    assert [name for name in ordered if name in ("style", "render")] == ["style", "render"]
    expect(page.locator(".clip.is-fresh")).to_have_count(3)


def test_a_field_that_was_changed_elsewhere_while_it_had_the_focus_shows_it_later(
    page: Page, story: Story
) -> None:
    style = page.locator("#form-style textarea")
    style.focus()
    story.edit({"op": "film", "style": "fog"})
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    expect(style).to_have_value("")
    style.blur()
    expect(style).to_have_value("fog")


@pytest.mark.parametrize("heard", [False, True], ids=["before the page hears of it", "after"])
def test_what_is_typed_into_a_field_that_was_changed_elsewhere_stays(
    page: Page, story: Story, heard: bool
) -> None:
    """It is refused once; then whoever typed it knows, and it counts."""
    style = page.locator("#form-style textarea")
    error = page.locator(".block.form-error", has_text="changed elsewhere")
    style.focus()
    if not heard:
        page.route("**/api/projects/*/status", lambda route: None)
    story.edit({"op": "film", "style": "fog"})
    if heard:
        expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    style.fill("night")
    style.blur()
    expect(error).to_be_visible()
    expect(style).to_have_value("night")
    assert story.state()["style"] == "fog"
    style.focus()
    style.blur()
    until(page, lambda: story.state()["style"] == "night")
    expect(error).to_have_count(0)


def test_a_project_that_is_opened_while_a_field_has_the_focus_keeps_its_title(
    page: Page, story: Story, other: Story
) -> None:
    title = page.locator("#form-title input, #form-title textarea").first
    title.fill("Half a tit")
    page.evaluate(
        "(id) => import('/studio-assets/js/common/project.js').then((m) => m.openProject(id))", other.id
    )
    expect(title).to_have_value("Another story")
    title.blur()
    refresh(page)
    expect(title).to_have_value("Another story")
    assert other.state()["title"] == "Another story"


def test_a_caption_cannot_be_typed_on_while_it_is_saved(page: Page, story: Story) -> None:
    with held(page, f"**/api/projects/{story.id}/edits") as answer:
        write(page, 0, "Mira sits in the meadow")
        answer.wait()
        expect(page.locator(".caption textarea")).not_to_be_editable()
        answer.release()
    expect(page.locator(".caption textarea")).to_have_count(0)
    assert story.shots[0]["caption"] == "Mira sits in the meadow"
