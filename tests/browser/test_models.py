"""The page of models: what is here and what it needs; a download from a hub that runs here, and its use."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.conftest import Story, opened, until
from tests.fakes.hub import COMMIT, REPO, Hub, files_of, hub_environment, running_hub
from tests.fakes.loras import save_lora
from tests.fakes.models import save_tiny_video
from tests.fakes.studio import Studio
from tests.fakes.unknown_model import UNKNOWN_MODEL
from tests.fakes.weights_files import published_transformer, published_vae, umt5_shapes, write_sparse


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("repository")
    save_tiny_video(folder)
    with running_hub(Hub(files_of(folder))) as running:
        yield running


@pytest.fixture(scope="module")
def studio(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    home = tmp_path_factory.mktemp("home")
    models = home / "ComfyUI" / "models"
    write_sparse(models / "unet" / "wan2.2_ti2v_5B_fp16.safetensors", published_transformer("ti2v-5b"))
    write_sparse(models / "vae" / "wan2.2_vae.safetensors", published_vae("wan2.2"))
    write_sparse(models / "text_encoders" / "umt5_xxl_fp16.safetensors", umt5_shapes())
    write_sparse(models / "unet" / "wan2.1_t2v_1.3B.safetensors", published_transformer("t2v-1.3b"))
    (models / "loras").mkdir()
    key = "diffusion_model.blocks.0.self_attn.q"
    ink = {f"{key}.lora_A.weight": torch.zeros(3, 24), f"{key}.lora_B.weight": torch.zeros(24, 3)}
    save_lora(models / "loras" / "ink_high_noise.safetensors", ink)
    environment = hub_environment(home, hub.url, MOC_STUDIO_MODELS=str(home / "entries"))
    with patch.dict(os.environ, environment):  # of the studio's processes
        running = Studio(home / "studio")
    yield running
    running.stop()


@pytest.fixture
def page(browser: Browser, studio: Studio) -> Iterator[Page]:
    with opened(browser, Story(studio).url) as shown:
        shown.get_by_role("tab", name="Models").click()
        expect(shown.locator("#models .model").first).to_be_visible()
        yield shown


def test_models_say_what_they_are_and_what_they_need(page: Page) -> None:
    wan = page.locator("#models .model", has_text="wan2.2_ti2v_5B_fp16")
    expect(wan).to_contain_text("Wan 2.2 TI2V 5B · ")
    expect(wan).to_contain_text("5.0 B parameters · F16 · in ComfyUI’s folders")
    expect(wan.locator(".model-fit")).to_contain_text("GB of GPU memory")
    lacking = page.locator("#models .model", has_text="wan2.1_t2v_1.3B")
    expect(lacking.locator(".field-error")).to_contain_text("needs the Wan 2.1 VAE")
    expect(lacking.get_by_role("button", name="Use in this project")).to_be_disabled()
    expect(page.locator("#models")).to_contain_text("FastWan 2.2 TI2V 5B")


def test_a_model_is_looked_up_downloaded_used_and_deleted(page: Page, studio: Studio) -> None:
    field = page.get_by_label("A model of the hub, or a path")
    field.fill("some/gated")
    field.press("Enter")
    problem = page.locator("#models .model-adding > .field-error")
    expect(problem).to_contain_text("is gated: accept its terms")
    found = page.locator("#models .model-found")
    field.fill(REPO)
    field.press("Enter")
    expect(found).to_contain_text("of the disk are free")
    found.get_by_role("button", name="Download").click()
    model = page.locator("#models .models .model", has=page.get_by_text(REPO, exact=True))
    expect(model).to_be_visible()
    expect(model).to_contain_text("apache-2.0")
    model.get_by_role("button", name="Use in this project").click()
    expect(model.locator(".chip")).to_have_text("Used in this project")
    project = page.url.rpartition("#")[2]
    with urllib.request.urlopen(f"{studio.url}/api/projects/{project}") as answer:
        assert json.load(answer)["settings"]["model"] == f"{REPO}@{COMMIT}"
    model.get_by_role("button", name="Delete files").click()
    model.get_by_role("button", name="Click again to do it").click()
    expect(model).to_have_count(0)


def test_the_need_of_a_render_is_told_by_profile(page: Page, studio: Studio) -> None:
    story = Story(studio, project=page.url.rpartition("#")[2])
    need = page.locator(".render-need")
    expect(need).to_be_hidden()
    wan = page.locator("#models .model", has_text="wan2.2_ti2v_5B_fp16")
    wan.get_by_role("button", name="Use in this project").click()
    expect(need).to_be_visible()
    expect(need.locator("summary")).to_contain_text("needs ")
    need.locator("summary").click()
    told = story.need()
    expect(need.locator(".profile")).to_have_count(len(told["profiles"]))
    expect(need.locator(".profile.is-chosen")).to_contain_text("chosen by auto")
    expect(need.locator(".profile.is-chosen strong")).to_contain_text(told["profile"])
    expect(need.locator(".profile").last).to_contain_text("one block at a time")
    fits = [profile["fits"] for profile in told["profiles"]]
    assert [word.strip() == "fits" for word in need.locator(".profile-fit").all_inner_texts()] == fits


def test_the_model_that_was_looked_up_last_is_shown(page: Page) -> None:
    held: list[Route] = []
    page.route("**/models/look-up", lambda route: route.continue_() if held else held.append(route))
    field = page.get_by_label("A model of the hub, or a path")
    for name in ("some/gated", REPO):
        field.fill(name)
        field.press("Enter")
    found = page.locator("#models .model-found")
    expect(found).to_contain_text(REPO)
    said = {"model": "late/model", "licence": None, "size": 2_000, "missing": 9, "free": 5_000, "fits": True}
    with page.expect_response("**/models/look-up"):
        held[0].fulfill(json=said)
    page.wait_for_timeout(50)
    expect(found).to_contain_text(REPO)
    page.unroute("**/models/look-up")


def test_a_download_goes_on_where_the_rest_fits_the_disk(page: Page) -> None:
    said = {
        "model": "a/model",
        "licence": None,
        "size": 2_000_000,
        "missing": 100_000,
        "free": 500_000,
        "fits": True,
    }
    page.route("**/models/look-up", lambda route: route.fulfill(json=said))
    field = page.get_by_label("A model of the hub, or a path")
    field.fill("a/model")
    field.press("Enter")
    found = page.locator("#models .model-found")
    expect(found).to_contain_text("2.0 MB, of which 1.9 MB are here; 500 kB of the disk are free")
    expect(found.get_by_role("button", name="Continue download")).to_be_enabled()
    said |= {"missing": 2_000_000, "fits": False}
    field.press("Enter")
    expect(found.get_by_role("button", name="Download")).to_be_disabled()
    expect(found.locator(".field-error")).to_contain_text("2.0 MB; 500 kB of the disk are free")


def test_the_settings_offer_the_models_that_can_be_used(page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    page.locator("#form-model input").focus()
    offered = page.locator("#model-choices option")
    expect(offered.first).to_have_attribute("label", "wan2.2_ti2v_5B_fp16: Wan 2.2 TI2V 5B")
    expect(page.locator("#form-model input")).to_have_attribute("list", "model-choices")


def test_loras_on_this_machine_are_offered_with_what_they_are(page: Page, studio: Studio) -> None:
    story = Story(studio, project=page.url.rpartition("#")[2])
    story.edit({"op": "settings", "settings": {"model": UNKNOWN_MODEL}})
    page.locator(".timeline .clip").first.click()
    page.get_by_role("tab", name="Shot").click()
    page.locator(".model-fields summary").click()
    field = page.locator(".model-fields").get_by_label("Add a LoRA")
    field.focus()
    offered = page.locator("#lora-choices option")
    expect(offered).to_have_attribute("label", "ink_high_noise: rank 3 · high noise")
    field.fill(str(offered.get_attribute("value")))
    field.press("Enter")
    until(page, lambda: [lora["expert"] for lora in story.shots[0]["loras"]] == ["high"])


def test_a_folder_is_added_by_its_path(page: Page, tmp_path: Path) -> None:
    save_tiny_video(tmp_path / "my video")
    field = page.get_by_label("A model of the hub, or a path")
    field.fill(str(tmp_path / "nowhere"))
    field.press("Enter")
    problem = page.get_by_role("alert").filter(has_text="there is no folder")
    expect(problem).to_be_in_viewport(ratio=1)
    expect(page.get_by_label("A model of the hub, or a path")).to_be_in_viewport(ratio=1)
    expect(page.get_by_label("A model of the hub, or a path")).to_be_focused()
    field.fill(str(tmp_path / "my video"))
    field.press("Enter")
    model = page.locator("#models .models .model", has_text="my-video")
    expect(model).to_contain_text("added by you")
    model.get_by_role("button", name="Check").click()
    expect(page.locator(".notice").last).to_contain_text("all files are there and whole")


def test_menus_and_bars_keep_within_a_narrow_screen(browser: Browser, studio: Studio) -> None:
    outside = "(s) => [...document.querySelectorAll(s)].filter(e => { const b = e.getBoundingClientRect(); "
    outside += "return b.width && (b.left < 0 || b.right > innerWidth); }).map(e => e.className)"
    with opened(browser, Story(studio).url, viewport={"width": 390, "height": 800}) as page:
        assert page.evaluate(outside, ".timeline-bar > *, #bar .bar > *") == []
        for name in ("What to render", "Export", "Project"):
            menu = page.locator(".menu", has=page.locator(f'summary[title="{name}"]'))
            menu.locator("summary").click()
            expect(menu.locator(".menu-item").first).to_be_visible()
            assert page.evaluate(outside, ".menu[open] .menu-body") == [], name
            page.keyboard.press("Escape")


def test_models_keep_within_their_panel_on_a_narrow_screen(browser: Browser, studio: Studio) -> None:
    with opened(browser, Story(studio).url, viewport={"width": 420, "height": 900}) as page:
        page.get_by_role("tab", name="Models").click()
        expect(page.locator("#models .model").first).to_be_visible()
        wide = "[...document.querySelectorAll('#models .model')].some(e => e.scrollWidth > e.clientWidth + 1)"
        assert not page.evaluate(wide)
