"""The routing inspector as a person uses it: maps, lists, pointing at the picture, steering, comparing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from studio.service.studio import Service
from studio.store.upgrade import open_database
from tests.browser.conftest import STORY, Story, opened, until
from tests.fakes.artifact_paths import artifact_path
from tests.fakes.models import save_tiny_video
from tests.fakes.studio import Studio


@pytest.fixture(scope="module")
def rendered(running: Studio) -> Story:
    """Three shots with takes; not to be changed."""
    story = Story(running)
    story.render()
    return story


@pytest.fixture
def copied(rendered: Story) -> Story:
    """The same to be changed."""
    return rendered.copy()


@pytest.fixture
def steering(browser: Browser, copied: Story) -> Iterator[Page]:
    """The inspector, opened on a project of its own."""
    with opened(browser, copied.url) as page:
        tab(page, "Routing")
        expect(plot(page)).to_be_visible()
        yield page


@pytest.fixture(scope="module")
def shared(browser: Browser, rendered: Story) -> Iterator[Page]:
    with opened(browser, rendered.url) as page:
        yield page


@pytest.fixture
def looking(shared: Page) -> Page:
    """The inspector, opened at the story map, for tests that change nothing but what is shown."""
    tab(shared, "Routing")
    shared.locator("[data-view=story]").click()
    until(
        shared, lambda: figure(shared, "z.length") == 3 and figure(shared, "x") == ["1", "2", "3"], "the map"
    )
    return shared


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def plot(page: Page) -> Locator:
    return page.locator(".inspector .plot .main-svg").first


def figure(page: Page, what: str, of: str = ".inspector .plot") -> Any:
    """Something of the first trace of a figure as it is drawn now."""
    return page.evaluate(f"document.querySelector('{of}')?.data?.[0]?.{what} ?? null")


def at(page: Page, row: int, column: int) -> tuple[float, float]:
    """The middle of a cell of the map."""
    rows, columns = figure(page, "z.length"), figure(page, "x.length")
    box = page.locator(".inspector .plot .nsewdrag").first.bounding_box()
    assert box is not None
    return box["x"] + (column + 0.5) / columns * box["width"], box["y"] + (row + 0.5) / rows * box["height"]


def click(page: Page, x: float, y: float) -> None:
    """Moves there first, as a hand does: a plot hears of the pointer's place a little later."""
    page.mouse.move(x, y)
    page.wait_for_timeout(150)
    page.mouse.click(x, y)


def select(page: Page, number: int) -> None:
    page.locator(f".clip:has(.clip-number:text-is('{number}'))").click()


def this_shot(page: Page, number: int = 3) -> None:
    """The chunk map of a shot."""
    select(page, number)
    page.locator("[data-view=shot]").click()
    expect(page.locator(".summary strong")).to_have_text(f"Shot {number}. ")
    until(page, lambda: figure(page, "y.length") == (4 if number == 3 else 3), "the chunk map")


def test_the_story_map_is_read_and_opens_a_pair(looking: Page) -> None:
    page = looking
    assert np.array(figure(page, "z[2].slice(0, 2)")) == pytest.approx(0.25, abs=1e-3)
    assert figure(page, "z[0]") == [None, None, None]
    page.mouse.move(*at(page, 2, 0))
    expect(page.locator(".hoverlayer")).to_contain_text("Shot 3 gave 25.0% of its attention to shot 1")
    expect(page.locator(".inspector .reasons li").first).to_have_text(
        "Shot 2 gave 50% to shot 1: Mira waves in the meadow"
    )
    click(page, *at(page, 2, 1))
    expect(page.locator(".summary strong")).to_have_text("Shot 3. ")
    expect(page.locator(".clip.selected .clip-number")).to_have_text("3")
    until(page, lambda: bool(figure(page, "x")) and len(figure(page, "x")) == 3, "the map of the pair")
    assert {label.strip("\u200b").split()[-1] for label in figure(page, "x")} == {"2"}
    page.get_by_role("button", name="Only shot 2").click()
    until(page, lambda: len(figure(page, "x")) == 7, "the whole map")
    page.mouse.move(*at(page, 1, 2))
    expect(page.locator(".hoverlayer")).to_contain_text("Mira ← Mira in shot 1: 21.88%")


def test_what_another_shot_cannot_have_looked_at_does_not_stay(looking: Page) -> None:
    page = looking
    click(page, *at(page, 2, 1))
    until(page, lambda: len(figure(page, "x") or ()) == 3 and figure(page, "y.length") == 4, "the pair")
    select(page, 1)
    expect(page.locator(".summary")).to_contain_text("It saw no earlier shot: everything in it is its own.")
    expect(page.get_by_role("button", name=re.compile("^Only"))).to_have_count(0)


def test_layers_heads_steps_and_scale_change_the_picture(looking: Page) -> None:
    page = looking
    this_shot(page)
    shares = figure(page, "customdata")
    assert np.array(figure(page, "z")) == pytest.approx(np.log10(np.maximum(shares, 1e-4)), abs=1e-3)
    page.get_by_role("button", name="Logarithmic").click()
    until(page, lambda: figure(page, "z") == shares, "the linear scale")
    for label, own in (("Layer", 0.55), ("Heads", 0.575), ("Steps", 0.65)):
        page.locator(".inspector label", has_text=label).locator("select").select_option(index=1)
        until(page, lambda own=own: abs(figure(page, "z[1][0]") - own) < 2e-3, f"the choice of {label}")  # type: ignore[misc]
    for chooser in page.locator(".inspector select").all():
        chooser.select_option(index=0)
    page.get_by_role("button", name="Linear").click()
    until(page, lambda: figure(page, "z[1][0]") < 0, "the logarithmic scale")


def test_a_row_lists_what_it_looked_at_and_an_entry_leads_there(looking: Page) -> None:
    page = looking
    this_shot(page)
    click(page, *at(page, 1, 3))
    expect(page.locator(".attention h4")).to_contain_text(
        "What Mira attended to · 50% stayed within the shot"
    )
    rows = page.locator(".attention-row")
    expect(rows.first).to_contain_text("Mira in shot 1")
    expect(rows.first.locator(".share")).to_have_text("22%")
    pictures = rows.locator(".attention-picture").evaluate_all(
        "all => all.map((one) => one.style.backgroundImage)"
    )
    assert len(pictures) == 4
    assert all(picture.endswith('/thumbnail")') for picture in pictures)
    left = rows.first.locator(".attention-box").evaluate("box => parseFloat(box.style.left)")
    assert left == pytest.approx(10, abs=0.01)
    rows.filter(has_text="Otto in shot 2").locator(".attention-entry").click()
    expect(page.locator(".time")).to_contain_text("00:00:02")  # shot 2 begins there
    expect(page.locator(".clip.selected .clip-number")).to_have_text("3")


def point(page: Page, x: float, y: float) -> None:
    box = page.locator(".picker").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


def test_things_in_the_picture_are_pointed_at_and_steered(steering: Page, copied: Story) -> None:
    page = steering
    select(page, 3)
    expect(page.locator(".picker .part")).to_have_count(3)
    point(page, 0.5, 0.5)
    expect(page.locator(".attention h4")).to_contain_text("What Otto attended to")
    point(page, 0.2, 0.5)
    expect(page.locator(".attention h4")).to_contain_text("What Mira attended to")
    expect(page.locator(".picker .picked")).to_have_count(1)
    source = copied.shots[0]["id"]
    row = page.locator(".attention-row").filter(has_text="Mira in shot 1")
    for word, mark, told in (
        ("Pin", "pinned", {"pins": [f"{source}/Mira"], "bans": [], "boosts": {}}),
        ("Ban", "banned", {"pins": [], "bans": [f"{source}/Mira"], "boosts": {}}),
        ("Boost", "boosted", {"pins": [], "bans": [], "boosts": {f"{source}/Mira": 2}}),
    ):
        button = row.get_by_role("button", name=f"{word} Mira in shot 1")
        expect(button).to_have_attribute("aria-pressed", "false")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".clip").first).to_have_class(re.compile(mark))
        expect(page.locator(".clip").first).to_have_css("box-shadow", re.compile("inset"))
        shot = copied.shots[2]
        assert {name: shot[name] for name in told} == told
    tab(page, "Shot")
    page.get_by_role("button", name="boosted: Mira in shot 1").click()
    expect(page.locator(".steering .chip")).to_have_count(0)
    assert copied.shots[2]["boosts"] == {}


def test_a_picture_of_another_shot_is_asked_about_that_shot(looking: Page) -> None:
    page = looking
    this_shot(page)
    click(page, *at(page, 2, 1))
    page.locator(".attention-row").filter(has_text="Otto in shot 2").locator(".attention-entry").click()
    expect(page.locator(".picker .part")).to_have_count(2)
    point(page, 0.2, 0.5)
    expect(page.locator(".attention h4")).to_contain_text("What Otto attended to")
    expect(page.locator(".clip.selected .clip-number")).to_have_text("2")


def test_keys_steer_by_the_shot_before_or_under_the_pointer(steering: Page, copied: Story) -> None:
    page = steering
    first, second, third = (shot["id"] for shot in copied.shots)
    select(page, 3)
    page.mouse.move(5, 5)
    for key, kind in (("p", "pins"), ("x", "bans")):
        page.keyboard.press(key)
        until(page, lambda kind=kind: copied.shots[2][kind] == [second], f"{kind} of the one before")  # type: ignore[misc]
    page.locator(".clip").first.hover()
    page.keyboard.press("b")
    until(page, lambda: copied.shots[2]["boosts"] == {first: 2}, "a boost of the one under the pointer")
    assert copied.shots[2]["id"] == third
    page.keyboard.press("b")
    until(page, lambda: copied.shots[2]["boosts"] == {}, "taking it back")
    arcs = page.locator(".arcs path")
    expect(arcs).to_have_count(2)
    expect(arcs.first.locator("title")).to_have_text("Shot 3 drew 50% of its context from shot 1")
    page.keyboard.press("a")
    expect(arcs).to_have_count(0)
    page.keyboard.press("a")
    expect(arcs).to_have_count(2)


def test_a_shot_steered_otherwise_is_rendered_and_compared(steering: Page, copied: Story) -> None:
    page = steering
    select(page, 3)
    before = copied.shots[2]
    page.locator(".clip").first.hover()
    page.keyboard.press("x")
    tab(page, "Shot")
    page.get_by_role("button", name="Render and compare").click()
    sheet = page.get_by_role("dialog", name="Two takes side by side")
    expect(sheet.locator("video")).to_have_count(2)
    expect(sheet.locator(".summary")).to_have_text(
        re.compile(r"Routing\. The right take gave .*25% less of its attention to shot 1")
    )
    expect(sheet.locator(".plot .main-svg").first).to_be_visible()
    assert figure(page, "meta", ".routing-difference .plot") == "change"
    assert min(map(min, figure(page, "z", ".routing-difference .plot"))) < -0.1
    after = copied.shots[2]
    assert after["take"] != before["take"]
    seeds = {take["id"]: take["seed"] for take in after["takes"]}
    assert seeds[after["take"]] == seeds[before["take"]]
    sheet.get_by_role("button", name="Close").click()


def test_layers_and_heads_have_four_plots(looking: Page) -> None:
    page = looking
    select(page, 3)
    page.locator("[data-view=heads]").click()
    expect(page.locator(".inspector .plot.js-plotly-plot")).to_have_count(4)
    expect(page.locator(".inspector h4")).to_have_count(4)
    assert np.array(figure(page, "z")) == pytest.approx(np.array([[0.425, 0.475], [0.525, 0.575]]), abs=2e-3)


def test_everything_can_be_saved(looking: Page, tmp_path: Path) -> None:
    page = looking
    this_shot(page)
    for name, start in (
        ("CSV", b"layer,heads,"),
        ("NPZ", b"PK"),
        ("PARQUET", b"PAR1"),
        ("Report with shot 3 (HTML)", b"<!doctype html>"),
        ("Picture (PNG)", b"\x89PNG"),
    ):
        page.locator(".inspector summary", has_text="Save").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=name).click()
        download.value.save_as(tmp_path / "saved")
        assert (tmp_path / "saved").read_bytes().startswith(start)


def test_a_damaged_trace_is_said_and_everything_else_works(browser: Browser, running: Studio) -> None:
    story = Story(running, STORY.replace("waves", "sleeps"))
    story.render()
    database = open_database(running.root)
    service = Service(running.root, database)
    artifact_path(service.artifacts, service.routing.shown(story.id)[1].trace, ".moc").write_bytes(b"x")
    database.close()
    with opened(browser, story.url) as page:
        tab(page, "Routing")
        expect(plot(page)).to_be_visible()
        select(page, 2)
        for view in ("shot", "heads"):
            page.locator(f"[data-view={view}]").click()
            expect(page.locator(".inspector-body")).to_have_text(
                "The routing trace of this take is damaged, or is no routing trace"
            )
        this_shot(page, 3)
        click(page, *at(page, 2, 1))
        expect(page.locator(".attention-row").filter(has_text="Otto in shot 2")).to_be_visible()
        page.locator("[data-view=story]").click()
        until(page, lambda: figure(page, "z.length") == 3, "the story map")
        select(page, 2)
        page.keyboard.press("Space")
        expect(page.locator(".time")).not_to_contain_text("00:00:02:00 /")
        page.keyboard.press("k")


def test_a_drifted_look_is_marked_told_and_mended_by_a_pin(steering: Page, copied: Story) -> None:
    first, _, third = copied.shots
    copied.edit({"op": "steer", "shot": third["id"], "bans": [f"{first['id']}/Mira"]})
    copied.render()
    clip = steering.locator(f"#clip-{third['id']}")
    expect(clip.locator(".icon-drift")).to_be_visible()
    steering.get_by_role("tab", name="Consistency").click()
    mark = steering.locator(".drift")
    expect(mark).to_contain_text("Shot 3: Mira looks different")
    expect(mark).to_contain_text("Mira in shot 1 is banned there")
    mark.get_by_role("button", name="Fix and compare").click()
    expect(steering.get_by_role("dialog", name="Two takes side by side")).to_be_visible()
    steering.keyboard.press("Escape")
    expect(steering.locator(".inspector")).to_contain_text("Every look is consistent.")
    expect(clip.locator(".icon-drift")).to_have_count(0)


FOX = """
title: Fox
size: 256x128
fps: 8
cast: [{name: Fox}]
settings: {model: MODEL, steps: 2}
shots: [{caption: a fox runs, seconds: 1}, {caption: a fox at dawn, seconds: 1}]
"""


def test_a_model_whose_tokens_are_a_grid(browser: Browser, tmp_path: Path) -> None:
    """A Wan pipeline, if one that learnt nothing: light over the picture, and a portrait of whom it names."""
    save_tiny_video(tmp_path / "video")
    studio = Studio(tmp_path / "root", real=True)
    try:
        story = Story(studio, FOX.replace("MODEL", str(tmp_path / "video")))
        story.render()
        with opened(browser, story.url) as page:
            tab(page, "Routing")
            expect(plot(page)).to_be_visible()
            page.locator(".clip").last.click()
            stage = page.locator(".stage").bounding_box()
            assert stage is not None
            click(page, stage["x"] + stage["width"] * 0.3, stage["y"] + stage["height"] * 0.5)
            expect(page.locator(".attention-row").first).to_contain_text("in shot 1")
            lit = "document.querySelector('.picker canvas.heat')?.toDataURL()"
            until(page, lambda: page.evaluate(lit), "light over the picture")
            first = page.evaluate(lit)
            page.locator(".attention-row").last.hover()
            until(page, lambda: page.evaluate(lit) != first, "the light of another")
            page.locator("[data-view=drift]").click()
            until(page, lambda: figure(page, "name") == "Fox", "the portraits")
            expect(page.locator(".inspector")).to_contain_text("Measured by the model's own features")
            assert figure(page, "x") == [1, 2]
    finally:
        studio.stop()
