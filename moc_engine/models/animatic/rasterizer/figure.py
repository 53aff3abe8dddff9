"""Draws a character, part by part from back to front, and its shadow on the ground."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import cos, sin
from typing import Final

import skia

from moc_engine.models.animatic.rasterizer.accessories import (
    PACK_TURNS,
    draw_backpack,
    draw_glasses,
    draw_headwear,
    draw_scarf,
    draw_scarf_tail,
    draw_straps,
    top_height,
)
from moc_engine.models.animatic.rasterizer.body import Body, body_of
from moc_engine.models.animatic.rasterizer.effects import draw_doze, draw_dust, draw_swish
from moc_engine.models.animatic.rasterizer.face import Face, draw_face
from moc_engine.models.animatic.rasterizer.ink import Ink, ink_for
from moc_engine.models.animatic.rasterizer.limbs import draw_arm, draw_leg
from moc_engine.models.animatic.rasterizer.palette import Climate, Lab, argb
from moc_engine.models.animatic.rasterizer.pose import CharacterPose, Grip, Pair, PropPose
from moc_engine.models.animatic.rasterizer.props import BEHIND_HOLDER, draw_prop
from moc_engine.models.animatic.rasterizer.shading import paint_body
from moc_engine.models.animatic.rasterizer.stance import Arm, Leg, Stance, stance_of

_SHADOW_HEIGHT: Final = 0.24  # height of a cast shadow relative to its caster


def draw_character(
    canvas: skia.Canvas,
    pose: CharacterPose,
    climate: Climate,
    *,
    height_px: float,
    origin: Pair,
    held: Sequence[tuple[PropPose, Pair]] = (),
) -> None:
    """Draws a character whose feet are at pixel `origin` when its lift is 0.

    `height_px` is one H before growth. `held` has the props in its near hand with the pixel positions they
    have when not held; they are drawn behind the body or under the near hand.
    """
    if pose.presence <= 0.02:
        return
    stance = stance_of(pose)
    body = body_of(pose.weights)
    ink = ink_for(pose.body, pose.accent, climate)
    size = height_px * stance.scale
    held_behind = [(prop, place) for prop, place in held if prop.name in BEHIND_HOLDER]
    held_before = [(prop, place) for prop, place in held if prop.name not in BEHIND_HOLDER]
    hold = _grip_of(pose, stance, body, size, origin) if held else None
    fading = pose.presence < 0.98
    if fading:
        canvas.saveLayerAlpha(None, round(255 * pose.presence))
    for prop, place in held_behind:
        draw_prop(canvas, prop, climate, height_px=height_px, origin=place, grip=hold)
    with _in_figure(canvas, origin, size):
        _draw_figure(canvas, pose, stance, body, ink, climate, size)
    for prop, place in held_before:
        draw_prop(canvas, prop, climate, height_px=height_px, origin=place, grip=hold)
    with _in_figure(canvas, origin, size):
        for arm in stance.arms:
            if not _is_behind(arm):
                draw_arm(canvas, arm, ink)
        draw_swish(canvas, pose, stance, front=True)
        draw_doze(canvas, pose, stance, ink)
    if fading:
        canvas.restore()


def _draw_figure(
    canvas: skia.Canvas,
    pose: CharacterPose,
    stance: Stance,
    body: Body,
    ink: Ink,
    climate: Climate,
    size: float,
) -> None:
    face = Face(pose, stance, body)
    draw_dust(canvas, pose, stance)
    draw_swish(canvas, pose, stance, front=False)
    pack_in_front = pose.yaw[1] < PACK_TURNS
    with _on_body(canvas, stance):
        if not pack_in_front:
            draw_backpack(canvas, pose, stance, body, ink)
    draw_scarf_tail(canvas, pose, stance, body, ink, climate.wind)
    for leg in stance.legs:
        if _is_behind(leg):
            draw_leg(canvas, leg, ink, stance.facing)
    for arm in stance.arms:
        if _is_behind(arm):
            draw_arm(canvas, arm, ink)
    with _on_body(canvas, stance):
        paint_body(
            canvas, body, ink, turn=0.12 * stance.facing, light=_light_direction(stance), fineness=size
        )
        draw_scarf(canvas, pose, stance, body, ink)
        draw_straps(canvas, pose, stance, body, ink)
        draw_face(canvas, face, body, ink)
        draw_glasses(canvas, pose, face, ink)
        draw_headwear(canvas, pose, stance, body, ink)
        if pack_in_front:
            draw_backpack(canvas, pose, stance, body, ink)
    for leg in stance.legs:
        if not _is_behind(leg):
            draw_leg(canvas, leg, ink, stance.facing)


@contextmanager
def _on_body(canvas: skia.Canvas, stance: Stance) -> Iterator[None]:
    """A context in which the canvas is in the body's frame."""
    p = stance.place
    canvas.save()
    canvas.concat(skia.Matrix.MakeAll(p.a, p.c, p.e, p.b, p.d, p.f, 0.0, 0.0, 1.0))
    yield
    canvas.restore()


@contextmanager
def _in_figure(canvas: skia.Canvas, origin: Pair, size: float) -> Iterator[None]:
    """A context in which the canvas is in the figure's frame."""
    canvas.save()
    canvas.translate(*origin)
    canvas.scale(size, -size)
    yield
    canvas.restore()


def _is_behind(limb: Arm | Leg) -> bool:
    """Whether a limb is behind the body; in a front view the limbs of both sides are in front."""
    return limb.near < 0.35


def _light_direction(stance: Stance) -> skia.Point:
    """The direction of the light in the body's frame; it comes from the picture's top left at any lean."""
    x, y = 0.88, -0.475
    return skia.Point(
        x * cos(stance.lean) - y * sin(stance.lean), x * sin(stance.lean) + y * cos(stance.lean)
    )


def draw_character_shadow(
    canvas: skia.Canvas,
    pose: CharacterPose,
    *,
    height_px: float,
    origin: Pair,
    colour: Lab,
    shear: float,
    alpha: float,
) -> None:
    """Draws a character's shadow on the ground: an ellipse and the silhouette of the body.

    `shear` is the silhouette's horizontal shear to the right, relative to the caster's height; `alpha` is the
    opacity of the ellipse, the silhouette has half of it. Both shrink and fade with the pose's lift.
    """
    stance = stance_of(pose)
    body = body_of(pose.weights)
    lift = max(0.0, pose.lift / stance.scale)
    near = 1.0 / (1.0 + 0.9 * lift)
    strength = alpha * pose.presence * near * near
    size = height_px * stance.scale
    canvas.save()
    canvas.translate(*origin)
    canvas.scale(size, -size)
    centre = stance.place(0.0, 0.5)[0]
    wide = (0.52 + 0.2 * abs(sin(stance.lean))) * near
    paint = skia.Paint(Color=argb(colour, strength), AntiAlias=True)
    canvas.drawOval(
        skia.Rect.MakeLTRB(centre - wide, -0.1 * near - 0.015, centre + wide, 0.08 * near - 0.015), paint
    )
    paint.setAlphaf(0.5 * strength * near)
    flat = skia.Matrix.MakeAll(
        1.0, 0.5 * shear, 0.0, 0.0, _SHADOW_HEIGHT, -0.8 * _SHADOW_HEIGHT * lift, 0.0, 0.0, 1.0
    )
    canvas.concat(flat)
    with _on_body(canvas, stance):
        canvas.drawPath(body.path, paint)
    canvas.restore()


def hand_position(pose: CharacterPose) -> Pair:
    """The position of the near hand relative to the feet, in H to the right and up."""
    stance = stance_of(pose)
    x, y = _near_arm(stance).hand
    return x * stance.scale, y * stance.scale


def grip(pose: CharacterPose, *, height_px: float, origin: Pair) -> Grip:
    """The grip of the near hand, for `draw_prop`; arguments as for `draw_character`."""
    stance = stance_of(pose)
    return _grip_of(pose, stance, body_of(pose.weights), height_px * stance.scale, origin)


def _grip_of(pose: CharacterPose, stance: Stance, body: Body, size: float, origin: Pair) -> Grip:
    x, y = _near_arm(stance).hand
    top = stance.place(0.0, top_height(pose, body))
    return Grip(
        x=origin[0] + size * x,
        y=origin[1] - size * y,
        height=size,
        clearance=max(stance.top, top[1]) - y,
        inward=stance.place(0.0, 0.5)[0] - x,
        facing=stance.facing,
    )


def _near_arm(stance: Stance) -> Arm:
    return max(stance.arms, key=lambda arm: arm.near)
