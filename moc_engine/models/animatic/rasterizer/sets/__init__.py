"""The eight sets, each made of a few layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from moc_engine.models.animatic.rasterizer.layers import SetDesign
from moc_engine.models.animatic.rasterizer.sets import beach, city, desert, forest, meadow, moon, room, snow

DESIGNS: Final[Mapping[str, SetDesign]] = {
    "beach": beach.DESIGN,
    "forest": forest.DESIGN,
    "city": city.DESIGN,
    "desert": desert.DESIGN,
    "snow": snow.DESIGN,
    "room": room.DESIGN,
    "moon": moon.DESIGN,
    "meadow": meadow.DESIGN,
}
