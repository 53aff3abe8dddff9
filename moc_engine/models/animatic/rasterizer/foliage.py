"""Draws plants: trees, palms, firs, cacti, tufts of grass, flowers and leaves in the corners."""

from __future__ import annotations

import numpy as np
import skia

from moc_engine.models.animatic.rasterizer.brush import Brush
from moc_engine.models.animatic.rasterizer.outlines import Point, almond, blade, box, ellipse, hashed, polygon
from moc_engine.models.animatic.rasterizer.palette import Lab, lighter, mix, shade


def tree(
    brush: Brush,
    x: float,
    y: float,
    height: float,
    width: float,
    *,
    pointed: float = 0.0,
    bare: float = 0.3,
    haze: float = 0.0,
    detailed: bool = True,
) -> None:
    """Draws a tree at (x, y); `pointed` makes its crown pointed, `bare` is the share of the trunk."""
    palette = brush.palette
    leaf, low = palette("leaf", haze=haze), palette("leaf_low", haze=haze)
    trunk = palette("trunk", haze=haze)
    bottom, top = y - height * bare, y - height
    crown = _crown(x, top, bottom, width, pointed)
    thick = max(2.5, width * 0.075)
    stem = polygon(
        (
            (x - thick, y),
            (x - thick * 0.5, bottom - height * 0.1),
            (x + thick * 0.5, bottom - height * 0.1),
            (x + thick, y),
        )
    )
    brush.paper(stem, trunk, 0.5)
    brush.fill(crown, leaf)
    with brush.clipped(crown):
        tall = bottom - top
        fall = ((x - width * 0.12, top + tall * 0.38), (x + width * 0.16, bottom))
        brush.blend(crown, *fall, ((0.0, low, 0.0), (0.55, low, 0.75), (1.0, low, 1.0)))
        brush.grain(
            crown,
            low,
            (x - width * 0.20, top + tall * 0.08),
            (x + width * 0.22, bottom - tall * 0.10),
            1.35,
            1.0,
        )
        if detailed:
            brush.grain(
                crown, lighter(leaf, 1.3), (x + width * 0.1, top + tall * 0.4), (x - width * 0.45, top), 0.5
            )
    if detailed:
        reach = top + (bottom - top) * 0.20
        ink = trunk
        brush.fill(
            polygon(
                (
                    (x - thick * 0.55, y - height * bare),
                    (x - thick * 0.22, reach),
                    (x + thick * 0.22, reach),
                    (x + thick * 0.55, y - height * bare),
                )
            ),
            ink,
        )
        for side, place, length in ((1, 0.52, 0.30), (-1, 0.40, 0.27), (1, 0.80, 0.34), (-1, 0.72, 0.32)):
            py = bottom - (bottom - top) * (1.0 - place) * 0.82
            brush.line(
                ink, max(1.8, thick * 0.42), (x, py), (x + side * width * length, py - width * length * 0.85)
            )


def _crown(x: float, top: float, bottom: float, width: float, pointed: float) -> skia.Path:
    if pointed >= 0.5:
        return almond(x, top, bottom, width * 0.92, 0.48 + 0.06 * pointed)
    middle, tall = (top + bottom) / 2, (bottom - top) / 2
    path = skia.Path()
    k = 0.60
    path.moveTo(x, top)
    for (ax, ay), (bx, by), (cx, cy) in (
        ((k, -1), (1, -k), (1, 0.02)),
        ((1, k * 1.05), (k * 0.9, 1), (0, 1)),
        ((-k * 0.9, 1), (-1, k * 1.05), (-1, 0.02)),
        ((-1, -k), (-k, -1), (0, -1)),
    ):
        w = width / 2
        path.cubicTo(
            x + ax * w, middle + ay * tall, x + bx * w, middle + by * tall, x + cx * w, middle + cy * tall
        )
    path.close()
    return path


def silhouette_tree(
    brush: Brush, x: float, y: float, height: float, width: float, colour: Lab, pointed: float
) -> None:
    """Draws a distant flat tree with a darker trunk."""
    brush.fill(_crown(x, y - height, y - height * 0.22, width, pointed), colour)
    brush.fill(box(x - width * 0.05, y - height * 0.86, width * 0.10, height * 0.90), shade(colour, 0.55))


def fir(brush: Brush, x: float, y: float, height: float, *, haze: float = 0.0, snowy: float = 1.0) -> None:
    """Draws a fir of three tiers with snow on the left edges."""
    palette = brush.palette
    leaf, low = palette("leaf", haze=haze), palette("leaf_low", haze=haze)
    width = height * 0.46
    brush.fill(
        box(x - height * 0.025, y - height * 0.16, height * 0.05, height * 0.17), palette("trunk", haze=haze)
    )
    for i in range(3):
        top = y - height + i * height * 0.22
        base = y - height * (0.46 - 0.185 * i)
        half = width * (0.28 + 0.11 * i)
        skirt = polygon(
            (
                (x, top),
                (x + half, base),
                (x + half * 0.45, base + height * 0.018),
                (x, base - height * 0.01),
                (x - half * 0.5, base + height * 0.018),
                (x - half, base),
            )
        )
        brush.fill(skirt, leaf)
        with brush.clipped(skirt):
            brush.fill(polygon(((x, top), (x + half, base + 9), (x + half * 0.05, base + 9))), low)
            brush.grain(skirt, low, (x - half * 0.5, top + (base - top) * 0.35), (x + half * 0.3, base), 0.8)
            if snowy > 0.0:
                cap = 0.30 + 0.10 * (i == 0)
                brush.fill(
                    polygon(
                        (
                            (x, top - 2),
                            (x + half * cap, top + (base - top) * cap),
                            (x + half * cap * 0.4, top + (base - top) * cap * 0.82),
                            (x, top + (base - top) * cap * 1.12),
                            (x - half * cap * 0.5, top + (base - top) * cap * 0.8),
                            (x - half * (cap + 0.1), top + (base - top) * (cap + 0.1)),
                        )
                    ),
                    palette("pale", haze=haze * 0.5),
                    snowy,
                )
                brush.line(
                    palette("pale", haze=haze * 0.5),
                    height * 0.016,
                    (x - half * 0.92, base - 1),
                    (x - half * 0.55, base + height * 0.012),
                    alpha=snowy,
                )


def cactus(
    brush: Brush,
    x: float,
    y: float,
    height: float,
    *,
    haze: float = 0.0,
    lean: float = 1.0,
    bloom: bool = True,
) -> None:
    """Draws a saguaro with two arms; `lean` scales the arms, a negative value mirrors them."""
    palette = brush.palette
    leaf, low = palette("leaf", haze=haze), palette("leaf_low", haze=haze)
    thick = height * 0.135
    arms = (
        (-1.0, 0.42, 0.30, 0.72),
        (1.0, 0.30, 0.27, 0.92 - 0.1 * abs(lean)),
    )
    path = skia.Path()
    path.moveTo(x, y - thick * 0.1)
    path.lineTo(x, y - height + thick / 2)
    for side, low_at, reach, top_at in arms:
        side *= 1.0 if lean >= 0 else -1.0
        ax, ay = x + side * reach * height, y - height * low_at
        bend = height * 0.10
        path.moveTo(x, ay)
        path.lineTo(ax - side * bend, ay)
        path.quadTo(ax, ay, ax, ay - bend)
        path.lineTo(ax, y - height * top_at)
    outline = skia.Path()
    for width, colour in ((thick, leaf),):
        brush.stroke(path, colour, width)
    skia.Paint(
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=thick,
        StrokeCap=skia.Paint.kRound_Cap,
        StrokeJoin=skia.Paint.kRound_Join,
    ).getFillPath(path, outline)
    with brush.clipped(outline):
        bounds = outline.getBounds()
        brush.grain(
            outline,
            low,
            (bounds.left() + bounds.width() * 0.3, bounds.top()),
            (bounds.right() + height * 0.1, bounds.bottom()),
            0.9,
        )
        brush.canvas.save()
        brush.canvas.translate(thick * 0.34, 0)
        brush.stroke(path, low, thick * 0.34, 0.85)
        brush.canvas.restore()
        brush.stroke(path, lighter(leaf, 1.4), thick * 0.07, 0.8)
        brush.canvas.save()
        brush.canvas.translate(-thick * 0.28, 0)
        brush.stroke(path, lighter(leaf, 1.4), thick * 0.06, 0.7)
        brush.canvas.restore()
    if bloom:
        flower = palette("accent", haze=haze)
        tops = [(x, y - height)] + [
            (x + s * (1 if lean >= 0 else -1) * r * height, y - height * t - thick * 0.4)
            for s, _, r, t in arms
        ]
        for px, py in tops:
            star_flower(brush, px, py, thick * 0.36, flower)


def star_flower(brush: Brush, x: float, y: float, size: float, colour: Lab, heart: Lab | None = None) -> None:
    """Draws a flower with five pointed petals."""
    points: list[Point] = []
    for i in range(10):
        angle = np.pi * i / 5 - np.pi / 2
        r = size if i % 2 == 0 else size * 0.48
        points.append((x + r * float(np.cos(angle)), y + r * float(np.sin(angle))))
    brush.fill(polygon(points), colour)
    if heart is not None:
        brush.fill(ellipse(x, y, size * 0.34, size * 0.34), heart)


def meadow_flower(
    brush: Brush, x: float, y: float, size: float, petal: Lab, heart: Lab, *, sway: float = 0.0
) -> None:
    """Draws a flower with five round petals on a stem that starts at (x, y)."""
    stem = brush.palette("leaf_low")
    hx, hy = x + sway * size, y - size * 2.3
    path = skia.Path()
    path.moveTo(x, y)
    path.quadTo(x, y - size * 1.2, hx, hy)
    brush.stroke(path, stem, max(1.2, size * 0.22))
    brush.fill(blade(x, y, size * 1.3, size * 0.30, 0.9), stem)
    for i in range(5):
        angle = 2 * np.pi * i / 5 - np.pi / 2
        brush.fill(
            ellipse(
                hx + 0.62 * size * float(np.cos(angle)),
                hy + 0.62 * size * float(np.sin(angle)),
                size * 0.46,
                size * 0.46,
            ),
            petal,
        )
    brush.fill(ellipse(hx, hy, size * 0.40, size * 0.40), heart)


def tuft(brush: Brush, x: float, y: float, size: float, colour: Lab, *, blades: int = 4) -> None:
    """Draws a few blades of grass."""
    for i in range(blades):
        u = (i / (blades - 1) - 0.5) * 2
        brush.fill(
            blade(
                x + u * size * 0.22, y, size * (1.0 - 0.28 * abs(u)), size * 0.11, u * 0.75, u * size * 0.12
            ),
            colour,
        )


def palm(brush: Brush, x: float, y: float, height: float, lean: float, *, spread: float = 150.0) -> None:
    """Draws a palm whose trunk leans by `lean` pixels and whose fronds reach `spread` pixels to each side."""
    palette = brush.palette
    trunk = palette("trunk")
    foot, head = (x, y), (x + lean, y - height)
    middle = (x + lean * 0.10, y - height * 0.52)

    def along(u: float) -> Point:
        a, b, c = (1 - u) ** 2, 2 * u * (1 - u), u * u
        return (a * foot[0] + b * middle[0] + c * head[0], a * foot[1] + b * middle[1] + c * head[1])

    thick = height * 0.034
    left = [
        (px - thick * (1.25 - 0.75 * u), py) for u in np.linspace(0, 1, 12) for px, py in [along(float(u))]
    ]
    right = [
        (px + thick * (1.25 - 0.75 * u), py) for u in np.linspace(1, 0, 12) for px, py in [along(float(u))]
    ]
    stem = polygon([*left, *right])
    brush.fill(stem, trunk)
    with brush.clipped(stem):
        brush.grain(
            stem, shade(trunk, 1.2), (x - thick, y), (x + abs(lean) + thick * 3, y - height * 0.3), 0.9
        )
    for i in range(1, 12):
        px, py = along(i / 12)
        half = thick * (1.35 - 0.75 * i / 12)
        brush.line(
            shade(trunk, 1.3),
            max(1.6, thick * 0.30),
            (px - half, py - 1.5),
            (px, py + 2.5),
            (px + half, py - 1.5),
        )
    palm_crown(brush, *head, spread)


def palm_crown(brush: Brush, x: float, y: float, spread: float) -> None:
    """Draws fronds around (x, y), darker ones behind, and coconuts."""
    leaf, low = brush.palette("leaf"), brush.palette("leaf_low")
    for angle, length, colour in (
        (-2.05, 0.86, low),
        (2.00, 0.90, low),
        (-0.42, 0.62, low),
        (0.50, 0.60, low),
        (-1.50, 1.14, leaf),
        (1.46, 1.12, leaf),
        (-1.00, 1.00, lighter(leaf, 1.2)),
        (0.95, 1.02, lighter(leaf, 1.2)),
    ):
        frond(brush, x, y, spread * length, angle, colour)
    nut = shade(brush.palette("trunk"), 0.9)
    for dx, dy in ((-0.075, 0.035), (0.065, 0.045), (0.0, 0.085)):
        nutshell = ellipse(x + dx * spread, y + dy * spread, spread * 0.056, spread * 0.056)
        brush.paper(nutshell, nut, 0.6)


def frond(brush: Brush, x: float, y: float, length: float, angle: float, colour: Lab) -> None:
    """Draws a palm leaf: a broad blade along a curved rib, with cuts from below."""
    side = 1.0 if angle >= 0 else -1.0
    reach, rise = float(np.sin(abs(angle))), float(np.cos(angle))

    def rib(u: float) -> Point:
        return (
            x + side * length * (reach * u + 0.04 * u * u),
            y - length * ((0.62 * rise + 0.36) * u - 0.60 * u * u),
        )

    def edge(u: float, width: float) -> Point:
        (ax, ay), (bx, by) = rib(max(0.0, u - 0.02)), rib(min(1.0, u + 0.02))
        away = float(np.hypot(bx - ax, by - ay)) or 1.0
        px, py = rib(u)
        bulge = width * length * float(np.sin(np.pi * min(1.0, u) ** 0.8) ** 0.75)
        return (px - side * (by - ay) / away * bulge, py + side * (bx - ax) / away * bulge)

    places = [float(u) for u in np.linspace(0.0, 1.0, 15)]
    upper = [edge(u, -0.055) for u in places]
    path = skia.Path()
    path.moveTo(*upper[0])
    for point in upper[1:]:
        path.lineTo(*point)
    slits = (0.80, 0.60, 0.40, 0.20)
    before = 1.0
    for slit in slits:
        path.quadTo(*edge(0.5 * (before + slit) + 0.03, 0.175), *edge(slit + 0.012, 0.150))
        path.lineTo(*edge(slit + 0.055, 0.062))
        path.lineTo(*edge(slit - 0.012, 0.150))
        before = slit
    path.quadTo(*edge(0.10, 0.14), *upper[0])
    path.close()
    brush.fill(path, colour)
    with brush.clipped(path):
        under = skia.Path()
        under.moveTo(*rib(0.0))
        for u in places[1:]:
            under.lineTo(*rib(u))
        under.lineTo(x + side * length * 1.2, y + length)
        under.lineTo(x, y + length)
        under.close()
        brush.fill(under, shade(colour, 0.45), 0.7)
        brush.grain(
            path, shade(colour, 1.2), (x, y - length * 0.3), (x + side * length, y + length * 0.2), 0.5
        )
    back = skia.Path()
    back.moveTo(*rib(0.0))
    for u in places[1:-1]:
        back.lineTo(*rib(u))
    brush.stroke(back, lighter(colour, 0.9), max(1.1, length * 0.011))


def corner_leaves(brush: Brush, time: float, *, period: float = 1360.0) -> None:
    """Draws dark swaying leaves in the lower corners of the frame, in front of everything."""
    ink = mix(brush.palette("dark"), shade(brush.palette("dark")), 0.4)
    pale = mix(ink, brush.palette("leaf_low"), 0.34)
    half = period / 2
    first = int(np.floor((brush.bounds.left - half) / period))
    last = int(np.ceil((brush.bounds.right + half) / period))
    reach = 0.025 + 0.07 * brush.climate.wind
    for i in range(first, last + 1):
        x = (i + 0.5) * period
        size = 1.0 + 0.35 * (i % 2) + 0.2 * brush.layout[1]
        for k in range(9):
            u = k / 8 * 2 - 1
            length = 150.0 * size * (0.62 + 0.38 * hashed(i % 3, k, 41)) * (1.0 - 0.25 * abs(u))
            sway = reach * float(np.sin(1.5 * time + 0.9 * k + 2.0 * i)) + 0.8 * reach * brush.climate.wind
            foot = (x + 46.0 * size * u, 742.0)
            leaf = blade(*foot, length, 16.0 * size, 1.12 * u + sway, 16.0 * u + 90.0 * sway)
            brush.fill(leaf, pale if k % 3 == 1 else ink)
