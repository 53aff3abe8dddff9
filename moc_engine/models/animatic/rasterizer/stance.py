"""Stances: the positions of a posed character's body, hands and feet, as geometry.

The figure's frame is in H at the character's scale, with the origin on the ground between the feet, x to
the screen's right and y up. The body's frame is that of `body.Body`. "Right" and "left" are the screen's
sides: as a character turns, its near and far limbs are blended from one side to the other so
that they do not jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, cos, pi, radians, sin
from typing import Final

from moc_engine.models.animatic.rasterizer.body import CONTOUR, Body, body_of
from moc_engine.models.animatic.rasterizer.pose import CharacterPose, Pair
from moc_engine.models.animatic.scene import RUN_CYCLE, WALK_CYCLE

STAND: Final = 0.27
"""The height of the body's lowest point above the ground when standing."""

_FOOT_REST: Final = (0.22, -0.15)  # forward position of the near and the far foot
_HEEL_STRIKE: Final = radians(15.0)  # tilt of a shoe at heel strike; the next is at push-off
_PUSH_OFF: Final = radians(24.0)
_WALK_STANCE: Final = 0.58
_RUN_STANCE: Final = 0.36


@dataclass(frozen=True, kw_only=True)
class Affine:
    """(x, y) -> (a x + c y + e, b x + d y + f)."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def __call__(self, x: float, y: float) -> Pair:
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f


@dataclass(frozen=True, kw_only=True)
class Arm:
    shoulder: Pair
    hand: Pair
    side: float  # -1 left, +1 right
    near: float  # 0–1: how much it is the arm nearer to the viewer


@dataclass(frozen=True, kw_only=True)
class Leg:
    hip: Pair
    sole: Pair  # the middle of the sole
    tilt: float  # of the shoe, radians counter-clockwise
    knee: float  # direction and amount of its bend, -1 left .. +1 right
    side: float
    near: float


@dataclass(frozen=True, kw_only=True)
class Stance:
    """The geometry of a pose; `facing` is -1 left .. +1 right, `back` (0–1) how far the back is visible."""

    scale: float
    facing: float
    back: float
    lean: float  # radians clockwise
    place: Affine  # from the body's frame to the figure's
    arms: tuple[Arm, Arm]  # left, right
    legs: tuple[Leg, Leg]
    top: float  # height of the body's highest point
    speed: Pair  # lagged velocity for loose parts, in H per second


@dataclass(frozen=True, kw_only=True)
class _Foot:
    """A foot relative to the ground below the body: forward, up and tilt (positive with the toe up)."""

    forward: float
    up: float
    tilt: float


@dataclass(frozen=True, kw_only=True)
class _Gait:
    stance: float
    stride: float
    lift: float
    bob: float
    squash: float
    rock: float
    swing: float


_WALK: Final = _Gait(
    stance=_WALK_STANCE,
    stride=WALK_CYCLE * _WALK_STANCE,
    lift=0.15,
    bob=0.05,
    squash=0.06,
    rock=radians(3.0),
    swing=0.14,
)
_RUN: Final = _Gait(
    stance=_RUN_STANCE,
    stride=RUN_CYCLE * _RUN_STANCE,
    lift=0.30,
    bob=0.06,
    squash=0.085,
    rock=radians(3.0),
    swing=0.2,
)


def stance_of(pose: CharacterPose) -> Stance:
    """Computes the stance of a pose."""
    body = body_of(pose.weights)
    scale = 2.0**pose.growth
    lift = pose.lift / scale
    facing = max(-1.0, min(1.0, 1.25 * pose.yaw[0]))
    back = _smooth(-pose.yaw[1] / 0.75)
    turn = atan2(pose.phase[1], pose.phase[0])
    bob, squash, rock = _bounce(pose, turn)
    lean = atan2(pose.roll[1], pose.roll[0]) + facing * rock
    squash = max(-0.45, min(0.5, pose.squash + squash))
    tall = 1.0 - squash
    wide = (1.0 + 0.8 * squash) * (0.93 + 0.07 * abs(pose.yaw[0]))
    base = (STAND * tall + bob) * (1.0 - pose.sit) + 0.5 * CONTOUR * pose.sit
    place = _body_transform(body, lean, wide, tall, base, lift)
    middle = place(0.0, 0.5)
    hands = _hands(pose, turn, body)
    feet = _feet(pose, turn)
    planted = 1.0 - _smooth((abs(lean) - 0.35) / 0.7)
    grounded = place.f - _rotated(0.0, base, lean)[1]
    return Stance(
        scale=scale,
        facing=facing,
        back=back,
        lean=lean,
        place=place,
        arms=(
            _arm(-1.0, body, place, middle, lean, facing, hands),
            _arm(1.0, body, place, middle, lean, facing, hands),
        ),
        legs=(
            _leg(-1.0, body, place, lean, facing, feet, lift, grounded, planted, pose),
            _leg(1.0, body, place, lean, facing, feet, lift, grounded, planted, pose),
        ),
        top=max(place(x, y)[1] for x, y in body.points[::4].tolist()),
        speed=_lagged_velocity(pose, turn),
    )


def _bounce(pose: CharacterPose, turn: float) -> tuple[float, float, float]:
    """The height, squash and lean that a gait adds to the body."""
    bob = squash = rock = 0.0
    for amount, gait in ((pose.walk, _WALK), (pose.run, _RUN)):
        bob += amount * (0.025 - gait.bob * cos(2.0 * turn - 0.2))
        squash += amount * gait.squash * cos(2.0 * turn - 1.1)
        rock += amount * gait.rock * sin(2.0 * turn - 0.6)
    return bob, squash, rock


def _body_transform(body: Body, lean: float, wide: float, tall: float, base: float, lift: float) -> Affine:
    """The transform of the body: leans it about the feet, then lifts it out of the ground."""
    co, si = cos(lean), sin(lean)
    a, b, c, d = wide * co, -wide * si, tall * si, tall * co
    e, f = _rotated(0.0, base, lean)
    lowest = float((body.points @ (b, d)).min()) + f + lift
    return Affine(a=a, b=b, c=c, d=d, e=e, f=f + lift + max(0.0, 0.5 * CONTOUR - lowest))


def _rotated(x: float, y: float, lean: float) -> Pair:
    """A point rotated clockwise by `lean`."""
    return x * cos(lean) + y * sin(lean), y * cos(lean) - x * sin(lean)


def _hands(pose: CharacterPose, turn: float, body: Body) -> tuple[Pair, Pair]:
    """The near and the far hand, forward and up from the body's centre, with the gait's swing.

    The near hand does not cover the face: it moves along the body's edge instead of crossing it.
    """
    swing = cos(turn - 0.25)
    forward = up = 0.0
    for amount, gait in ((pose.walk, _WALK), (pose.run, _RUN)):
        forward -= amount * gait.swing * swing
        up -= amount * 0.85 * gait.swing * swing
    raised = 0.1 * pose.run
    free = 1.0 - _smooth((abs(pose.near_hand[1] + 0.12) - 0.1) / 0.3)
    near = (pose.near_hand[0] + free * forward, pose.near_hand[1] + free * (up + raised))
    free = 1.0 - _smooth((abs(pose.far_hand[1] + 0.12) - 0.1) / 0.3)
    far = (pose.far_hand[0] + free * forward, pose.far_hand[1] - free * (up - raised))
    edge = 0.86 * body.half_width(near[1] + 0.5)
    return (max(near[0], edge), near[1]), far


def _arm(
    side: float, body: Body, place: Affine, middle: Pair, lean: float, facing: float, hands: tuple[Pair, Pair]
) -> Arm:
    near = 0.5 + 0.5 * side * facing
    x = side * (near * hands[0][0] - (1.0 - near) * hands[1][0])
    y = near * hands[0][1] + (1.0 - near) * hands[1][1]
    dx, dy = _rotated(x, y, lean)
    sx, sy = body.build.shoulder
    return Arm(
        shoulder=place(side * (sx - 0.02), sy),
        hand=(middle[0] + dx, max(0.08, middle[1] + dy)),
        side=side,
        near=near,
    )


def _feet(pose: CharacterPose, turn: float) -> tuple[_Foot, _Foot]:
    phase = turn / (2.0 * pi)
    return _foot(pose, phase, 0), _foot(pose, phase + 0.5, 1)


def _foot(pose: CharacterPose, phase: float, index: int) -> _Foot:
    """A foot blended from standing, walking, running, sitting and tucked up by their amounts."""
    walk, run = pose.walk, pose.run
    moving = min(1.0, walk + run)
    walk, run = (walk / (walk + run) * moving, run / (walk + run) * moving) if walk + run > 0 else (0.0, 0.0)
    steps = [_step(_WALK, phase), _step(_RUN, phase)]
    shares = (walk, run)
    forward = (1.0 - moving) * _FOOT_REST[index] + sum(
        w * s.forward for w, s in zip(shares, steps, strict=True)
    )
    up = sum(w * s.up for w, s in zip(shares, steps, strict=True))
    tilt = sum(w * s.tilt for w, s in zip(shares, steps, strict=True))
    tucked = pose.tuck * (1.0 - pose.sit)
    forward += tucked * (-0.02, 0.03)[index]
    up += tucked * (0.17, 0.10)[index]
    tilt -= tucked * (0.35, 0.5)[index]
    seat = ((0.76, 0.055, 0.86), (0.62, 0.095, 0.95))[index]
    return _Foot(
        forward=forward + pose.sit * (seat[0] - forward),
        up=up + pose.sit * (seat[1] - up),
        tilt=tilt + pose.sit * (seat[2] - tilt),
    )


def _step(gait: _Gait, phase: float) -> _Foot:
    """A foot of a gait at `phase` turns; on the ground it moves back at constant speed, without sliding."""
    u = phase % 1.0
    reach = gait.stride / 2.0
    if u < gait.stance:
        v = u / gait.stance
        tilt = _HEEL_STRIKE * (1.0 - _smooth(v / 0.22)) - _PUSH_OFF * _smooth((v - 0.7) / 0.3) ** 1.5
        return _Foot(forward=reach - gait.stride * v, up=0.0, tilt=tilt)
    v = (u - gait.stance) / (1.0 - gait.stance)
    eased = _smooth(v)
    up = gait.lift * sin(pi * v**0.8) ** 1.2
    tilt = _HEEL_STRIKE * _smooth((v - 0.45) / 0.55) - _PUSH_OFF * (1.0 - _smooth(v / 0.75))
    tilt -= 1.4 * gait.lift * sin(pi * min(1.0, v / 0.7)) ** 2
    return _Foot(forward=-reach + gait.stride * (eased + 0.18 * (v - eased)), up=up, tilt=tilt)


def _leg(
    side: float,
    body: Body,
    place: Affine,
    lean: float,
    facing: float,
    feet: tuple[_Foot, _Foot],
    lift: float,
    grounded: float,
    planted: float,
    pose: CharacterPose,
) -> Leg:
    near = 0.5 + 0.5 * side * facing
    forward = near * feet[0].forward + (1.0 - near) * feet[1].forward
    up = near * feet[0].up + (1.0 - near) * feet[1].up
    tilt = facing * (near * feet[0].tilt + (1.0 - near) * feet[1].tilt)
    apart = 0.17 * (1.0 - abs(facing)) * side
    sole = (facing * forward + apart, up + _shoe_rise(tilt))
    rolled = _rotated(sole[0], sole[1], lean)
    air = grounded - lift  # the lift that keeps a lying body above the ground
    share = planted
    x = share * sole[0] + (1.0 - share) * rolled[0]
    y = share * sole[1] + (1.0 - share) * (rolled[1] + air)
    moving = min(1.0, pose.walk + pose.run) * abs(facing)
    hip_x, hip_y = body.build.hip
    hip_x *= 1.0 - 0.5 * moving + 0.35 * pose.sit
    hip = place(side * hip_x, hip_y + 0.02 * moving)
    knee = facing + side * 0.6 * (1.0 - abs(facing))
    return Leg(
        hip=hip,
        sole=(x, max(lift * planted, y + lift, 0.0)),
        tilt=tilt - (1.0 - share) * lean,
        knee=knee,
        side=side,
        near=near,
    )


def _shoe_rise(tilt: float) -> float:
    """The height of the middle of a tilted shoe's sole above its toe or heel."""
    return 0.125 * abs(sin(tilt)) * (1.0 if abs(tilt) < 0.8 else 0.8)


def _lagged_velocity(pose: CharacterPose, turn: float) -> Pair:
    """The velocity for loose parts: the pose's drift and the gait's bounce."""
    late = 2.0 * (turn - 0.63)
    up = 0.55 * pose.walk * sin(late) + 0.9 * pose.run * sin(late)
    return pose.drift[0], pose.drift[1] + up


def _smooth(u: float) -> float:
    u = max(0.0, min(1.0, u))
    return u * u * (3.0 - 2.0 * u)
