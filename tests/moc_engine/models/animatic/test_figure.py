"""Geometry and drawings of characters and props."""

from dataclasses import replace
from math import cos, hypot, isclose, pi, radians, sin

import numpy as np
import pytest
import skia
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from moc_engine.models.animatic.rasterizer.body import SAMPLES, body_of
from moc_engine.models.animatic.rasterizer.figure import (
    draw_character,
    draw_character_shadow,
    grip,
    hand_position,
)
from moc_engine.models.animatic.rasterizer.ink import deeper, ink_for, lch
from moc_engine.models.animatic.rasterizer.palette import Climate
from moc_engine.models.animatic.rasterizer.pose import REST_NEAR, CharacterPose, PropPose
from moc_engine.models.animatic.rasterizer.props import draw_prop, draw_prop_shadow
from moc_engine.models.animatic.rasterizer.stance import Leg, stance_of
from moc_engine.models.animatic.scene import (
    ACCESSORIES,
    BODY_HEIGHT,
    CHANNELS,
    PROPS,
    RUN_CYCLE,
    SHAPES,
    WALK_CYCLE,
    Scene,
)

SIZE = 200
FEET = (100.0, 170.0)
RIGHT, FRONT, LEFT, BACK = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)
angles = st.floats(-pi, pi)


def turned(angle: float) -> tuple[float, float]:
    return cos(angle), sin(angle)


def one_hot(names: tuple[str, ...], name: str | None) -> tuple[float, ...]:
    return tuple(float(n == name) for n in names)


def picture(
    pose: CharacterPose,
    *,
    climate: Climate | None = None,
    height: float = 90.0,
    held: list[tuple[PropPose, tuple[float, float]]] | None = None,
) -> NDArray[np.uint8]:
    """The RGB picture (SIZE, SIZE, 3) of a character on grey."""
    surface = skia.Surface(SIZE, SIZE)
    canvas = surface.getCanvas()
    canvas.clear(skia.Color(128, 128, 128))
    draw_character(canvas, pose, climate or Climate(), height_px=height, origin=FEET, held=held or [])
    pixels: NDArray[np.uint8] = surface.makeImageSnapshot().toarray(colorType=skia.kRGBA_8888_ColorType)[
        ..., :3
    ]
    return pixels


def whites(pixels: NDArray[np.uint8]) -> int:
    return int((pixels.min(axis=-1) > 240).sum())


def lowest(leg: Leg) -> float:
    """The lowest point of a leg's shoe."""
    return min(leg.sole[1] + x * sin(leg.tilt) for x in (-0.112, 0.15))


class TestBody:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_outline_is_symmetric_counter_clockwise_and_starts_at_height_zero(self, shape: str) -> None:
        points = body_of(one_hot(SHAPES, shape)).points
        x, y = points.T
        area = 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
        assert points.shape == (SAMPLES, 2)
        assert area > 0.4
        assert isclose(float(y.min()), 0.0, abs_tol=0.01)
        assert np.allclose(np.roll(points[::-1] * [-1.0, 1.0], 1, axis=0), points, atol=1e-9)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_face_and_shoulders_lie_on_the_body(self, shape: str) -> None:
        body = body_of(one_hot(SHAPES, shape))
        assert body.half_width(body.build.face) > 0.25
        assert body.half_width(body.build.shoulder[1]) > body.build.shoulder[0] - 0.03
        assert body.build.brow < body.height

    def test_shape_weights_are_sharpened_toward_the_largest(self) -> None:
        mostly_round = CharacterPose(shape=(0.8, 0.2, 0.0, 0.0, 0.0, 0.0))
        assert mostly_round.weights[0] > 0.98
        assert isclose(sum(mostly_round.weights), 1.0)

    def test_zero_shape_weights_give_a_body(self) -> None:
        assert CharacterPose(shape=(0.0,) * len(SHAPES)).weights[0] == 1.0


class TestStance:
    def test_standing_feet_are_on_the_ground(self) -> None:
        for leg in stance_of(CharacterPose()).legs:
            assert isclose(lowest(leg), 0.0, abs_tol=0.01)

    @given(angles, st.sampled_from((("walk", WALK_CYCLE), ("run", RUN_CYCLE))))
    def test_a_foot_on_the_ground_does_not_slide(self, phase: float, gait: tuple[str, float]) -> None:
        """While the near foot is on the ground, it moves back as far as the body moves forward."""
        name, cycle = gait
        u, step = (phase / (2 * pi)) % 1.0, 0.01
        stance = {"walk": 0.58, "run": 0.36}[name]
        if not 0.0 < u < stance - step:
            return
        first, second = (
            stance_of(CharacterPose(**{name: 1.0}, phase=turned(2 * pi * v))).legs[1].sole[0]  # type: ignore[arg-type]
            for v in (u, u + step)
        )
        assert isclose(first - second, cycle * step, abs_tol=1e-6)

    @given(angles, angles, st.sampled_from(("walk", "run")))
    def test_shoes_stay_above_the_ground(self, phase: float, yaw: float, gait: str) -> None:
        pose = CharacterPose(**{gait: 1.0}, phase=turned(phase), yaw=turned(yaw))  # type: ignore[arg-type]
        for leg in stance_of(pose).legs:
            assert lowest(leg) > -0.03

    @given(angles, st.sampled_from(SHAPES), st.floats(-0.2, 0.3), st.floats(0.0, 1.0))
    def test_bodies_stay_above_the_ground(self, roll: float, shape: str, squash: float, sit: float) -> None:
        pose = CharacterPose(shape=one_hot(SHAPES, shape), roll=turned(roll), squash=squash, sit=sit)
        stance = stance_of(pose)
        outline = body_of(pose.weights).points.tolist()
        assert min(stance.place(x, y)[1] for x, y in outline) > 0.0

    def test_a_lying_body_rests_on_the_ground(self) -> None:
        pose = CharacterPose(roll=turned(radians(90.0)))
        stance = stance_of(pose)
        heights = [stance.place(x, y)[1] for x, y in body_of(pose.weights).points.tolist()]
        assert min(heights) < 0.03
        assert stance.place(0.0, 1.0)[0] > 1.0

    @given(angles, angles, st.floats(0.0, 1.0))
    def test_facing_left_is_the_mirror_image(self, phase: float, roll: float, walk: float) -> None:
        right = CharacterPose(phase=turned(phase), roll=turned(roll), walk=walk)
        left = replace(right, yaw=LEFT, roll=turned(-roll))
        a, b = stance_of(right), stance_of(left)
        limbs = [(arm.shoulder, arm.hand) for arm in a.arms] + [(leg.hip, leg.sole) for leg in a.legs]
        mirrored = [(arm.shoulder, arm.hand) for arm in b.arms[::-1]]
        mirrored += [(leg.hip, leg.sole) for leg in b.legs[::-1]]
        for (start, end), (begin, stop) in zip(limbs, mirrored, strict=True):
            assert np.allclose((-start[0], start[1], -end[0], end[1]), (*begin, *stop), atol=1e-9)

    def test_hands_are_offsets_from_the_centre_of_the_body(self) -> None:
        pose = CharacterPose(near_hand=(0.7, 0.4), growth=1.0)
        x, y = stance_of(pose).place(0.0, 0.5)
        assert np.allclose(hand_position(pose), (2 * (x + 0.7), 2 * (y + 0.4)))

    @given(st.floats(0.01, 1.4))
    def test_turning_moves_the_hands_continuously(self, yaw: float) -> None:
        here, there = (
            stance_of(CharacterPose(yaw=turned(yaw + d), near_hand=(0.6, 0.5))) for d in (0.0, 0.01)
        )
        for one, other in zip(here.arms, there.arms, strict=True):
            assert hypot(one.hand[0] - other.hand[0], one.hand[1] - other.hand[1]) < 0.02

    def test_grip_is_the_near_hand_in_pixels(self) -> None:
        pose = CharacterPose(growth=0.5, near_hand=REST_NEAR)
        hold = grip(pose, height_px=100.0, origin=(300.0, 400.0))
        x, y = hand_position(pose)
        assert np.allclose((hold.x, hold.y), (300.0 + 100.0 * x, 400.0 - 100.0 * y))
        assert grip(
            replace(pose, accessory=one_hot(ACCESSORIES, "hat")), height_px=100.0, origin=FEET
        ).clearance > (hold.clearance + 0.2)


class TestInk:
    @given(st.floats(0.5, 0.85), st.floats(0.06, 0.2), st.floats(0.0, 360.0))
    def test_shade_is_darker_and_keeps_its_hue_within_thirteen_degrees(
        self, lightness: float, chroma: float, hue: float
    ) -> None:
        lab = (lightness, chroma * cos(radians(hue)), chroma * sin(radians(hue)))
        shaded = deeper(lab, 0.7)
        turn = (lch(shaded)[2] - hue + 180.0) % 360.0 - 180.0
        assert 0.65 * lightness < shaded[0] < 0.85 * lightness
        assert abs(turn) < 13.5

    def test_near_white_shades_to_lilac(self) -> None:
        _, chroma, hue = lch(deeper((0.9, 0.0, 0.02), 0.7))
        assert 270.0 < hue < 320.0
        assert chroma > 0.03

    def test_near_equal_colours_share_their_inks(self) -> None:
        climate = Climate()
        assert ink_for((0.6, 0.1, 0.1), (0.8, 0.0, 0.1), climate) is ink_for(
            (0.6002, 0.1, 0.1), (0.8, 0.0, 0.1), climate
        )


class TestCharacter:
    def test_the_same_pose_gives_the_same_pixels(self) -> None:
        pose = CharacterPose(walk=1.0, phase=turned(1.0), accessory=(1.0,) * len(ACCESSORIES))
        assert np.array_equal(picture(pose), picture(pose))

    def test_an_absent_character_draws_nothing(self) -> None:
        assert (picture(CharacterPose(presence=0.0)) == 128).all()

    def test_presence_fades(self) -> None:
        full, half = (picture(CharacterPose(presence=p)).astype(int) for p in (1.0, 0.5))
        changed = np.abs(full - 128).max(axis=-1) > 40
        assert np.abs(half[changed] - 128).mean() < 0.7 * np.abs(full[changed] - 128).mean()

    @pytest.mark.parametrize("shape", SHAPES)
    def test_every_shape_shows_its_body_colour(self, shape: str) -> None:
        red = picture(CharacterPose(shape=one_hot(SHAPES, shape), body=(0.62, 0.17, 0.09))).astype(int)
        blue = picture(CharacterPose(shape=one_hot(SHAPES, shape), body=(0.58, -0.03, -0.16))).astype(int)
        assert (red[..., 0] - red[..., 2] > 60).sum() > 1500
        assert (blue[..., 2] - blue[..., 0] > 60).sum() > 1500

    @pytest.mark.parametrize("accessory", ACCESSORIES)
    def test_an_accessory_shows_and_grows_with_its_amount(self, accessory: str) -> None:
        bare = picture(CharacterPose()).astype(int)
        amounts = np.array(one_hot(ACCESSORIES, accessory))
        small, full = (picture(CharacterPose(accessory=tuple(s * amounts))).astype(int) for s in (0.3, 1.0))
        changed = [int((np.abs(p - bare).max(axis=-1) > 12).sum()) for p in (small, full)]
        assert 0 < changed[0] < changed[1]
        assert changed[1] > 300

    def test_the_face_is_hidden_from_behind(self) -> None:
        assert whites(picture(CharacterPose(yaw=RIGHT))) > 100
        assert whites(picture(CharacterPose(yaw=FRONT))) > 100
        assert whites(picture(CharacterPose(yaw=BACK))) < 20

    def test_eyes_open_with_their_amount(self) -> None:
        shut, open_, wide = (whites(picture(CharacterPose(eye=e, time=0.5))) for e in (0.0, 1.0, 1.28))
        assert shut < open_ < wide

    def test_eyes_blink_over_time(self) -> None:
        counts = [whites(picture(CharacterPose(time=t))) for t in np.arange(0.0, 3.3, 0.1)]
        assert min(counts) < 0.6 * max(counts)

    def test_night_is_darker_and_keeps_the_hue(self) -> None:
        pose = CharacterPose(body=(0.62, 0.17, 0.09))
        day, night = picture(pose).astype(int), picture(pose, climate=Climate(night=1.0)).astype(int)
        body = day[..., 0] - day[..., 2] > 60
        assert night[body].mean() < day[body].mean()
        assert (night[body][:, 0] - night[body][:, 2]).mean() > 30

    def test_growth_makes_the_character_larger(self) -> None:
        child, grown = (
            (picture(CharacterPose(growth=g), height=60.0) != 128).any(-1).sum() for g in (0.0, 0.5)
        )
        assert 1.6 < grown / child < 2.3

    @settings(deadline=None, max_examples=30)
    @given(st.integers(0, 2**32 - 1))
    def test_random_latents_can_be_drawn(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        values = rng.normal(0.0, 1.5, (2, CHANNELS)).astype(np.float32)
        pose = CharacterPose.from_slot(values[0], before=values[1], time=float(rng.uniform(0, 60)))
        prop = PropPose.from_slot(values[1])
        assert picture(pose, held=[(prop, (60.0, 60.0))]).shape == (SIZE, SIZE, 3)

    def test_poses_are_read_from_scene_slots(self) -> None:
        scene = Scene.empty(2)
        track = scene.characters[1]
        track["presence"] = 1.0
        track["shape"][:, 2] = 1.0
        track["body"] = (-0.1, 0.05, 0.06)
        track["yaw"] = (0.0, -2.0)
        track["lift"] = [0.0, 0.2]
        track["x"] = [0.0, BODY_HEIGHT]
        slot = scene.values[:, track.slot]
        pose = CharacterPose.from_slot(slot[1], before=slot[0], lag=0.1, time=3.0)
        assert pose.weights[2] == 1.0
        assert np.allclose(pose.body, (0.6, 0.05, 0.06))
        assert pose.yaw == BACK
        assert np.allclose(pose.drift, (10.0, 2.0))
        assert pose.time == 3.0


class TestShadow:
    def shadow(self, pose: CharacterPose) -> int:
        surface = skia.Surface(SIZE, SIZE)
        canvas = surface.getCanvas()
        canvas.clear(skia.ColorWHITE)
        draw_character_shadow(
            canvas, pose, height_px=90.0, origin=FEET, colour=(0.4, 0.0, -0.05), shear=0.35, alpha=0.3
        )
        return int((255 - surface.makeImageSnapshot().toarray()[..., :3].astype(int)).sum())

    def test_shadows_shrink_and_fade_with_the_lift(self) -> None:
        on_ground, low, high = (self.shadow(CharacterPose(lift=lift)) for lift in (0.0, 0.3, 1.0))
        assert on_ground > low > high > 0


class TestProps:
    def picture(self, prop: PropPose, **held: object) -> NDArray[np.int64]:
        surface = skia.Surface(SIZE, SIZE)
        canvas = surface.getCanvas()
        canvas.clear(skia.Color(128, 128, 128))
        draw_prop(canvas, prop, Climate(), height_px=90.0, origin=(100.0, 120.0), **held)  # type: ignore[arg-type]
        pixels: NDArray[np.int64] = surface.makeImageSnapshot().toarray()[..., :3].astype(int)
        return pixels

    @pytest.mark.parametrize("kind", PROPS)
    def test_every_prop_shows_in_its_colour(self, kind: str) -> None:
        one, other = (
            self.picture(PropPose(kind=one_hot(PROPS, kind), colour=colour))
            for colour in ((0.62, 0.17, 0.09), (0.58, -0.03, -0.16))
        )
        assert (np.abs(one - 128).max(axis=-1) > 20).sum() > 300
        assert (np.abs(one - other).max(axis=-1) > 40).sum() > 150

    @pytest.mark.parametrize("kind", ["ball", "flower", "gift", "balloon", "umbrella"])
    def test_a_held_prop_is_at_the_hand(self, kind: str) -> None:
        pose = CharacterPose(near_hand=(0.6, 0.1))
        hold = grip(pose, height_px=60.0, origin=(60.0, 190.0))
        prop = PropPose(kind=one_hot(PROPS, kind), held=(0.0, 1.0, 0.0))
        surface = skia.Surface(SIZE, SIZE)
        canvas = surface.getCanvas()
        draw_prop(canvas, prop, Climate(), height_px=60.0, origin=(5.0, 5.0), grip=hold)
        drawn = surface.makeImageSnapshot().toarray()[..., 3] > 0
        y, x = int(hold.y), int(hold.x)
        assert drawn[y - 10 : y + 10, x - 10 : x + 14].any()
        assert not drawn[:4, :4].any()

    def test_an_absent_prop_draws_nothing(self) -> None:
        assert (self.picture(PropPose(presence=0.0)) == 128).all()

    def test_a_held_prop_casts_no_shadow_of_its_own(self) -> None:
        surface = skia.Surface(SIZE, SIZE)
        canvas = surface.getCanvas()
        free = PropPose()
        draw_prop_shadow(
            canvas,
            replace(free, held=(1.0, 0.0, 0.0)),
            height_px=90.0,
            origin=FEET,
            colour=(0.4, 0, 0),
            alpha=0.3,
        )
        assert not surface.makeImageSnapshot().toarray().any()
        draw_prop_shadow(canvas, free, height_px=90.0, origin=FEET, colour=(0.4, 0, 0), alpha=0.3)
        assert surface.makeImageSnapshot().toarray().any()
