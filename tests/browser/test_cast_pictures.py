"""Pictures of the cast on the page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Story, until
from tests.fakes.pictures import write_picture


def test_a_cast_member_gets_a_picture_another_one_and_none(page: Page, story: Story, tmp_path: Path) -> None:
    page.evaluate("document.getElementById('cast-pictures').scrollIntoView()")
    member = page.locator("#cast-pictures .cast-member").nth(0)
    expect(member).to_contain_text("Mira")
    expect(page.locator("#cast-pictures")).to_contain_text("The model animatic takes no reference pictures.")

    def pictures() -> list[str | None]:
        return [one["picture"] for one in story.state()["cast"]]

    member.locator("input[type=file]").set_input_files(write_picture(tmp_path / "mira.png"))
    until(page, lambda: str(pictures()[0]).startswith("picture:"))
    expect(member.get_by_alt_text("Picture of Mira")).to_be_visible()
    first = pictures()[0]
    member.locator("input[type=file]").set_input_files(write_picture(tmp_path / "other.png", (80, 80)))
    until(page, lambda: pictures()[0] not in (None, first))
    page.locator("#form-cast textarea").fill("Mina: red\nOtto")
    page.locator("#form-cast textarea").blur()
    expect(page.get_by_alt_text("Picture of Mina")).to_be_visible()
    page.get_by_role("button", name="Remove the picture of Mina").click()
    until(page, lambda: pictures() == [None, None])
    page.keyboard.press("Control+z")
    expect(page.get_by_alt_text("Picture of Mina")).to_be_visible()
