"""The stage: pictures of sets, light, weather and the camera's framing."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import pytest

from moc_engine.models.animatic.rasterizer.framing import Framing
from moc_engine.models.animatic.rasterizer.palette import Climate, Palette
from moc_engine.models.animatic.rasterizer.plates import PlateCache
from moc_engine.models.animatic.rasterizer.sets import DESIGNS
from moc_engine.models.animatic.rasterizer.stage import Stage
from moc_engine.models.animatic.rasterizer.view import FEET, STAGE_UNIT, View
from moc_engine.models.animatic.scene import BODY_HEIGHT, SETS, Scene
from moc_engine.models.animatic.timeline import Timeline

SIZE = (192, 108)


def empty_set(
    kind: str,
    light: Mapping[str, float] = MappingProxyType({}),
    *,
    tint: tuple[float, float] = (0.0, 0.0),
    layout: float = 0.5,
) -> Scene:
    scene = Scene.empty(3)
    scene.set["kind"][:, SETS.index(kind)] = 1.0
    scene.set["tint"] = tint
    scene.set["layout"] = layout
    for name, value in light.items():
        scene.camera[name] = value
    return scene


def painted(scene: Scene, time: float = 0.25) -> np.ndarray:
    return Stage(scene, SIZE, PlateCache()).picture(time).astype(float)


def test_every_set_has_a_design() -> None:
    assert tuple(DESIGNS) == SETS


@pytest.mark.parametrize("kind", SETS)
def test_layout_and_tint_change_the_picture(kind: str) -> None:
    usual = painted(empty_set(kind))
    assert np.abs(painted(empty_set(kind, layout=-0.5)) - usual).mean() > 3.0
    rosy, mossy = painted(empty_set(kind, tint=(0.08, 0.0))), painted(empty_set(kind, tint=(-0.08, 0.0)))
    assert np.abs(rosy - mossy).mean() > 2.0


@pytest.mark.parametrize("kind", SETS)
def test_a_small_layout_error_changes_the_picture_little(kind: str) -> None:
    usual, near = painted(empty_set(kind)), painted(empty_set(kind, layout=0.53))
    far = painted(empty_set(kind, layout=-0.5))
    assert np.abs(near - usual).mean() < 0.6 * np.abs(far - usual).mean()


@pytest.mark.parametrize("kind", [kind for kind in SETS if kind not in ("moon", "room")])
def test_night_is_darker_than_dusk_is_darker_than_day(kind: str) -> None:
    lights: tuple[dict[str, float], ...] = ({}, {"sunset": 1.0}, {"night": 1.0})
    day, dusk, night = (painted(empty_set(kind, light)).mean() for light in lights)
    assert night < 0.6 * dusk
    assert dusk < day


def test_lamps_glow_at_night() -> None:
    scene = empty_set("city", {"night": 1.0})
    assert painted(scene).max() > 200


@pytest.mark.parametrize("weather", ["rain", "snow", "fog", "wind"])
def test_weather_moves_with_time(weather: str) -> None:
    scene = empty_set("desert", {weather: 1.0})
    stage = Stage(scene, SIZE, PlateCache())
    assert np.abs(stage.picture(0.1).astype(float) - stage.picture(0.3)).mean() > 0.05


def test_changing_light_is_crossfaded() -> None:
    scene = Scene.empty(12)
    scene.set["kind"][:, SETS.index("meadow")] = 1.0
    scene.camera["night"] = np.linspace(0.0, 1.0, 12)
    stage = Stage(scene, SIZE, PlateCache())
    levels = [float(stage.picture(t).mean()) for t in np.linspace(0.1, 1.9, 13)]
    assert all(b < a + 0.5 for a, b in pairwise(levels))
    assert levels[-1] < 0.6 * levels[0]


def test_plates_are_shared_by_shots_of_one_set() -> None:
    cache = PlateCache()
    design, palette = DESIGNS["beach"], Palette.of("beach", Climate())
    view = View(width=192, height=108, horizon=design.horizon)
    first = cache.baked_layers(design.layers, palette, (0.5,) * 6, [view], 1.0)
    assert cache.baked_layers(design.layers, palette, (0.5,) * 6, [view], 1.0) is first
    assert cache.baked_layers(design.layers, palette, (0.4,) * 6, [view], 1.0) is not first


@pytest.mark.parametrize("depth", [0.06, 0.4, 1.0])
@pytest.mark.parametrize("zoom", [0.0, 0.8, 1.45])
def test_layers_stay_aligned_at_the_horizon(depth: float, zoom: float) -> None:
    view = View(width=1280, height=720, zoom=zoom, horizon=500.0)
    stage, layer = view.placement(1.0), view.placement(depth)
    if depth >= 0.22:
        assert layer.y + layer.scale * 500.0 == pytest.approx(stage.y + stage.scale * 500.0)
    assert layer.scale == pytest.approx(2.0 ** (zoom * depth))


@pytest.mark.parametrize("size", [(1280, 720), (720, 720), (720, 1280), (1680, 720)])
@pytest.mark.parametrize("zoom", [0.0, 0.45, 0.85, 1.45])
@pytest.mark.parametrize("lift", [0.0, 1.0])
def test_faces_stay_in_the_frame(size: tuple[int, int], zoom: float, lift: float) -> None:
    scene = Scene.empty(6)
    scene.camera["zoom"] = zoom
    reach = min(0.34, 0.5 * 2.0**-zoom)
    for actor, x in zip(scene.characters, (-reach, reach), strict=False):
        actor["presence"] = 1.0
        actor["x"] = x
        actor["lift"] = lift
    view = Framing(Timeline(scene), 6, size, 530.0).at(0.5)
    at = view.placement(1.0)
    for x in (-reach, reach):
        column = at.x + at.scale * STAGE_UNIT * view.gather * x
        row = at.y + at.scale * (FEET - (lift + 0.6) * BODY_HEIGHT * STAGE_UNIT)
        half = at.scale * 0.3 * BODY_HEIGHT * STAGE_UNIT
        assert half < column < size[0] - half
        assert half < row < size[1] - half
