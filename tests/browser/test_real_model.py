"""A real model, though one that learnt nothing, from its folder to the film, on the page."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import av
import pytest
from playwright.sync_api import Browser, Page, expect

from studio.domain.inputs import UsedLora
from studio.store import takes
from studio.store.upgrade import open_database
from tests.browser.conftest import Story, opened, until
from tests.fakes.films import TinyModel, tiny_model
from tests.fakes.studio import Studio

FOX = """
title: A fox
size: 96x64
fps: 8
settings: {steps: 2, guidance: 1}
shots:
  - {caption: a fox runs, seconds: 0.5}
  - {caption: a fox at dawn, seconds: 0.5}
  - {caption: a fox runs at dawn, seconds: 0.5}
"""


@pytest.fixture
def model(tmp_path: Path) -> TinyModel:
    return tiny_model("wan-t2v", tmp_path / "small wan")


@pytest.fixture
def studio(tmp_path: Path, model: TinyModel) -> Iterator[Studio]:
    own = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path), "MOC_STUDIO_MODELS": str(tmp_path / "entries")}
    with patch.dict(os.environ, own):  # of the studio's processes
        running = Studio(tmp_path / "root", real=True)
    yield running
    running.stop()


def test_a_model_is_added_used_and_its_film_taken_out(
    browser: Browser, studio: Studio, model: TinyModel, tmp_path: Path
) -> None:
    story = Story(studio, FOX)
    with opened(browser, story.url) as page:
        added_and_used(page, str(model.folder))
        lora_added(page, story, str(model.lora))
        page.locator(".split-button .main").click()
        expect(page.locator(".clip.is-fresh")).to_have_count(3)
        assert model.lora is not None
        digest = hashlib.sha256(model.lora.read_bytes()).hexdigest()[:16]
        assert used_loras(story) == [(), ((digest, 1.0, "both"),), ()]

        played_and_looked_at(page)

        page.locator("summary", has_text="Export").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name="Film", exact=False).first.click()
        download.value.save_as(tmp_path / "film.mp4")
        with av.open(tmp_path / "film.mp4") as film:
            assert sum(1 for _ in film.decode(video=0)) == 12

        cancelled_within_a_step(page, story)


def added_and_used(page: Page, folder: str) -> None:
    page.get_by_role("tab", name="Models").click()
    field = page.get_by_label("A model of the hub, or a path")
    field.fill(folder)
    field.press("Enter")
    listed = page.locator("#models .models .model", has_text="added by you")
    listed.get_by_role("button", name="Use in this project").click()
    expect(page.locator(".render-need")).to_contain_text("needs ")
    expect(page.locator(".split-button .main")).to_have_text("Render 3 finals")


def lora_added(page: Page, story: Story, lora: str) -> None:
    """To the second shot."""
    page.locator(".timeline .clip").nth(1).click()
    page.get_by_role("tab", name="Shot", exact=True).click()
    page.locator(".model-fields summary").click()
    field = page.locator(".model-fields").get_by_label("Add a LoRA")
    field.fill(lora)
    field.press("Enter")
    until(page, lambda: [one["file"] for one in story.shots[1]["loras"]] == [lora])


def used_loras(story: Story) -> list[tuple[UsedLora, ...]]:
    """Those of each shot's take, as its inputs have them."""
    with closing(open_database(story.studio.root)) as database, database.read() as session:
        made = takes.takes_of(session, story.id)
    return [made[shot["take"]].inputs.loras for shot in story.shots]


def played_and_looked_at(page: Page) -> None:
    page.locator(".timeline").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    playing = "[...document.querySelectorAll('.stage video')].some((video) => video.currentTime > 0.2)"
    until(page, lambda: page.evaluate(playing), "the clip playing")
    page.keyboard.press("k")

    page.get_by_role("tab", name="Routing", exact=True).click()
    expect(page.locator(".inspector .plot .main-svg").first).to_be_visible()
    page.locator(".clip").last.click()
    stage = page.locator(".stage").bounding_box()
    assert stage is not None
    page.mouse.click(stage["x"] + stage["width"] * 0.5, stage["y"] + stage["height"] * 0.5)
    expect(page.locator(".attention-row").first).to_contain_text("in shot ")
    expect(page.locator(".inspector")).to_contain_text("The heat over the picture belongs to the first row")
    lit = """() => {
        const canvas = document.querySelector(".picker canvas.heat");
        const pixels = canvas?.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data ?? [];
        return [...pixels].some((value, at) => at % 4 === 3 && value > 0);
    }"""
    until(page, lambda: page.evaluate(lit), "light over the picture")


def cancelled_within_a_step(page: Page, story: Story) -> None:
    """A render of many steps; what was rendered before stays."""
    before = [shot["take"] for shot in story.shots]
    story.edit({"op": "settings", "settings": {**story.state()["settings"], "steps": 1000}})
    page.locator(".split-button .main").click()
    page.get_by_role("tab", name="Queue").click()
    running = page.locator(".job.is-running")
    expect(running).to_contain_text(re.compile(r"\b\d+/1000"))
    running.get_by_role("button", name="Cancel").click()
    expect(page.locator(".job.is-cancelled")).to_contain_text("shot 1")
    assert [shot["take"] for shot in story.shots] == before
