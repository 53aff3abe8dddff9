"""What only some models can use: shown where the model can, with the reason where it cannot."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.browser.conftest import Story, opened, until
from tests.browser.held import held
from tests.fakes.unknown_model import UNKNOWN_MODEL
from tests.fakes.wan_folders import wan_i2v_folder

FOLDED = (
    "() => { for (const b of document.querySelectorAll('#left button.label-wrap:not(.open)')) b.click(); }"
)


@pytest.fixture
def able(story: Story) -> Story:
    """A project with a model that the studio knows nothing of, so that everything may be asked of it."""
    story.edit({"op": "settings", "settings": {"model": UNKNOWN_MODEL}})
    return story


def choose(page: Page, shot: int) -> None:
    page.locator(".timeline .clip").nth(shot).click()
    fields = page.locator(".model-fields")
    fields.wait_for()
    if not fields.evaluate("details => details.open"):
        fields.locator("summary").click()


def test_a_shot_gets_a_first_frame_a_negative_prompt_and_loras(browser: Browser, able: Story) -> None:
    with opened(browser, able.url) as page:
        choose(page, 1)
        page.get_by_label("Starts with").last.select_option("previous")
        until(page, lambda: able.shots[1]["first_frame"] == "previous")
        assert able.shots[1]["first_frame_at"] == 0
        page.locator(".model-fields textarea").fill("blurred")
        page.locator(".model-fields textarea").blur()
        until(page, lambda: able.shots[1]["negative_prompt"] == "blurred")
        page.locator(".model-fields").get_by_label("Add a LoRA").fill("maker/ink/ink.safetensors")
        page.locator(".model-fields").get_by_label("Add a LoRA").press("Enter")
        weight = page.locator(".model-fields").get_by_label("Weight of ink")
        weight.fill("0.5")
        weight.blur()
        lora = {"file": "maker/ink/ink.safetensors", "weight": 0.5, "expert": "both"}
        until(page, lambda: able.shots[1]["loras"] == [lora])

        page.locator(".model-fields").get_by_label("Add a LoRA").fill("maker/ink/dawn_HIGH.safetensors")
        page.locator(".model-fields").get_by_label("Add a LoRA").press("Enter")
        until(page, lambda: [lora["expert"] for lora in able.shots[1]["loras"]] == ["both", "high"])

        picture = cv2.imencode(".png", np.full((64, 64, 3), 90, np.uint8))[1].tobytes()
        choose(page, 0)
        file = FilePayload(name="start.png", mimeType="image/png", buffer=picture)
        page.locator(".model-fields input[type=file]").set_input_files(file)
        until(page, lambda: str(able.shots[0]["first_frame"]).startswith("picture:"))
        expect(page.locator("img.first-frame")).to_be_visible()
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Another picture…").click()
        before = able.shots[0]["first_frame"]
        other = cv2.imencode(".png", np.full((64, 64, 3), 200, np.uint8))[1].tobytes()
        chooser.value.set_files({**file, "buffer": other})
        until(page, lambda: able.shots[0]["first_frame"] != before)
        for _ in range(2):
            page.locator(".timeline").focus()
            page.keyboard.press("Control+z")
        until(page, lambda: able.shots[0]["first_frame"] is None)


def test_a_shot_has_no_negative_prompt_instead_of_the_films(browser: Browser, able: Story) -> None:
    with opened(browser, able.url) as page:
        choose(page, 0)
        none = page.locator(".model-fields").get_by_label("No negative prompt")
        none.check()
        until(page, lambda: able.shots[0]["negative_prompt"] == "")
        expect(page.locator(".model-fields textarea")).to_be_disabled()
        none.uncheck()
        until(page, lambda: able.shots[0]["negative_prompt"] is None)
        field = page.locator(".model-fields textarea")
        expect(field).to_have_attribute("placeholder", "the model's")
        for film, said in (("blurred", "the film's: blurred"), ("", "the film's: none")):
            settings = able.state()["settings"]
            able.edit({"op": "settings", "settings": {**settings, "negative_prompt": film}})
            expect(field).to_have_attribute("placeholder", said)


def test_a_film_has_no_negative_prompt(browser: Browser, able: Story) -> None:
    with opened(browser, able.url) as page:
        page.evaluate(FOLDED)
        none = page.get_by_label("No negative prompt").first
        none.check()
        until(page, lambda: able.state()["settings"]["negative_prompt"] == "")
        field = page.locator("#form-negative_prompt textarea")
        expect(field).to_have_attribute("placeholder", "none")
        field.focus()
        field.blur()
        page.locator("#form-shift input, #form-shift textarea").fill("5")
        page.keyboard.press("Enter")
        until(page, lambda: able.state()["settings"]["shift"] == 5)
        assert able.state()["settings"]["negative_prompt"] == ""
        none.uncheck()
        until(page, lambda: able.state()["settings"]["negative_prompt"] is None)


def test_finals_are_made_from_their_drafts_in_a_chosen_way(browser: Browser, able: Story) -> None:
    with opened(browser, able.url) as page:
        page.evaluate(FOLDED)
        film = page.locator("#form-guide")
        film.get_by_label("Use of drafts in finals").select_option("control")
        until(page, lambda: able.state()["settings"]["control_scale"] == 1)
        film.get_by_label("Scale").fill("0.8")
        film.get_by_label("Scale").blur()
        until(page, lambda: able.state()["settings"]["control_scale"] == 0.8)
        choose(page, 0)
        page.locator(".model-fields").get_by_label("Use of its draft").select_option("guide")
        until(page, lambda: able.shots[0]["guide_strength"] == 0.6)
        assert able.shots[0]["control_scale"] is None


def test_options_of_the_film_are_saved(browser: Browser, able: Story) -> None:
    with opened(browser, able.url) as page:
        page.evaluate(FOLDED)
        page.locator("#form-shift input, #form-shift textarea").fill("5")
        page.keyboard.press("Enter")
        until(page, lambda: able.state()["settings"]["shift"] == 5)
        page.locator("#form-scheduler input").click()
        page.get_by_role("option", name="UniPC").click()
        until(page, lambda: able.state()["settings"]["scheduler"] == "unipc")
        page.locator("#form-loras").get_by_label("Add a LoRA").fill("a/b/ink.safetensors")
        page.keyboard.press("Enter")
        until(
            page,
            lambda: [lora["file"] for lora in able.state()["settings"]["loras"]] == ["a/b/ink.safetensors"],
        )
        assert able.state()["settings"]["shift"] == 5


def test_a_lora_that_is_typed_while_another_setting_is_saved_is_added(browser: Browser, able: Story) -> None:
    """The studio has the setting, but the page not its answer yet."""
    with opened(browser, able.url) as page:
        page.evaluate(FOLDED)
        with held(page, "**/fields/scheduler") as scheduler:
            page.locator("#form-scheduler input").click()
            page.get_by_role("option", name="UniPC").click()
            answer = scheduler.fetch()
            page.locator("#form-loras").get_by_label("Add a LoRA").fill("a/b/ink.safetensors")
            page.keyboard.press("Enter")
            scheduler.release(body=answer, content_type="application/json")
        until(page, lambda: bool(able.state()["settings"]["loras"]))
        settings = able.state()["settings"]
        assert [lora["file"] for lora in settings["loras"]] == ["a/b/ink.safetensors"]
        assert settings["scheduler"] == "unipc"


def test_what_is_typed_is_added_to_what_was_changed_elsewhere(browser: Browser, able: Story) -> None:
    """The page does not hear of the change before it sends what was typed."""
    with opened(browser, able.url) as page:
        page.evaluate(FOLDED)
        choose(page, 0)
        page.route("**/api/projects/*/status", lambda route: None)
        settings = able.state()["settings"]
        able.edit({"op": "settings", "settings": {**settings, "scheduler": "unipc"}})
        page.locator("#form-loras").get_by_label("Add a LoRA").fill("a/b/ink.safetensors")
        page.keyboard.press("Enter")
        until(page, lambda: bool(able.state()["settings"]["loras"]))
        assert able.state()["settings"]["scheduler"] == "unipc"
        shot = able.shots[0]
        able.edit({"op": "trim", "shot": shot["id"], "trim": 0, "seconds": 1.5})
        page.locator(".shot-panel").get_by_label("In point").fill("0.25")
        page.keyboard.press("Enter")
        until(page, lambda: able.shots[0]["trim"] == 0.25)
        assert able.shots[0]["seconds"] == 1.5


def test_settings_that_are_typed_while_another_is_saved_are_kept(browser: Browser, able: Story) -> None:
    """Fields that are only passed with Tab change nothing."""
    with opened(browser, able.url) as page:
        page.evaluate(FOLDED)
        revision = able.state()["revision"]
        steps, shift = (
            page.locator(f"#form-{name} input, #form-{name} textarea") for name in ("steps", "shift")
        )
        with held(page, "**/fields/steps") as first:
            steps.fill("7")
            page.keyboard.press("Tab")
            first.wait()
            page.keyboard.press("Tab")
            steps.fill("9")
            shift.fill("5")
            page.keyboard.press("Tab")
            first.release()
            until(page, lambda: able.state()["settings"]["shift"] == 5)
        assert (able.state()["settings"]["steps"], able.state()["revision"]) == (9, revision + 3)
        expect(steps).to_have_value("9")


def test_what_the_embedded_model_cannot_use_is_hidden_with_the_reason(page: Page) -> None:
    page.evaluate(FOLDED)
    expect(page.locator("#form-negative_prompt .why-off")).to_have_text(
        "The model animatic takes no negative prompt."
    )
    expect(page.locator("#form-negative_prompt textarea")).to_be_disabled()
    expect(page.locator("#form-loras")).to_contain_text("The model animatic takes no LoRAs.")
    expect(page.locator("#form-scheduler")).to_be_hidden()
    expect(page.locator(".model-fields")).to_have_count(0)


def test_loras_are_removed_one_after_the_other(browser: Browser, able: Story) -> None:
    loras = [{"file": f"maker/loras/{name}.safetensors", "weight": 1.0, "expert": "both"} for name in "abc"]
    able.edit({"op": "settings", "settings": {"model": UNKNOWN_MODEL, "loras": loras}})
    with opened(browser, able.url) as page:
        page.evaluate(FOLDED)
        for left in (2, 1, 0):
            page.locator("#form-loras").get_by_role("button", name="Remove").first.click()
            expect(page.locator("#form-loras").get_by_role("button", name="Remove")).to_have_count(left)
        until(page, lambda: able.state()["settings"]["loras"] == [])


def test_a_lora_that_cannot_be_used_is_refused_at_its_field(
    browser: Browser, able: Story, tmp_path: Path
) -> None:
    wrong = tmp_path / "ink.safetensors"
    wrong.write_bytes(b"this is none" * 9)
    with opened(browser, able.url) as page:
        choose(page, 0)
        field = page.locator(".model-fields").get_by_label("Add a LoRA")
        field.fill(str(wrong))
        field.press("Enter")
        expect(page.locator(".model-fields .lora-list .field-error")).to_contain_text("ink.safetensors")
        expect(field).to_have_value(str(wrong))
        assert able.shots[0]["loras"] == []
        able.edit({"op": "lock", "shots": [able.shots[0]["id"]], "on": True})
        expect(page.locator(".shot-panel").get_by_role("button", name="Lock")).to_have_attribute(
            "aria-pressed", "true"
        )
        expect(page.locator(".model-fields .lora-list .field-error")).to_contain_text("ink.safetensors")
        expect(field).to_have_value(str(wrong))


def test_a_shot_says_that_it_needs_a_first_frame_and_that_its_render_failed(
    browser: Browser, story: Story, tmp_path: Path
) -> None:
    wan_i2v_folder(tmp_path / "i2v")
    story.edit({"op": "settings", "settings": {"model": str(tmp_path / "i2v")}})
    with opened(browser, story.url) as page:
        states = page.locator(".timeline .clip-state")
        expect(states).to_have_text(["needs a first frame"] * 3)
        button = page.locator(".split-button .main")
        expect(button).to_have_attribute("title", re.compile(r"^Shots 1, 2, 3 need a first frame\."))
        story.edit({"op": "settings", "settings": {"model": UNKNOWN_MODEL}})
        expect(states).to_have_text(["not rendered yet"] * 3)
        story.edit({"op": "first_frame", "shot": story.shots[1]["id"], "first_frame": "previous"})
        choose(page, 1)
        page.locator(".shot-panel").get_by_role("button", name="Render", exact=True).click()
        told = "failed: shot 2 starts with the last frame of shot 1, which has no take"
        expect(page.locator(".shot-panel .shot-status")).to_have_text(told)
        expect(states.nth(1)).to_contain_text("failed: ")
