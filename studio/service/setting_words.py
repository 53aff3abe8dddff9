"""The values of settings that are chosen from a list, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SCHEDULERS: Final[Mapping[str, str]] = {
    "euler": "Euler",
    "unipc": "UniPC: good with few steps",
    "dpm++": "DPM++: good with few steps",
}
STEP_CACHES: Final[Mapping[str, str]] = {
    "first-block": "first block",
    "mag": "MagCache",
    "taylor": "TaylorSeer",
}
ROUTERS: Final[Mapping[str, str]] = {
    "moc": "MoC: those that match best",
    "window": "window: of the latest shots",
    "radial": "radial: fewer of older shots",
}
POLICIES: Final[Mapping[str, str]] = {
    "all": "everything",
    "first-last": "first and last frame of each shot",
    "spread": "frames of each shot, evenly spread",
    "change": "frames of each shot that change most",
    "cast": "where the cast is",
}
STORAGES: Final[Mapping[str, str]] = {
    "full": "full precision",
    "int8": "8 bits: half the memory, slightly less exact",
}
POSITIONS: Final[Mapping[str, str]] = {
    "continue": "one after another: true order, but times beyond what the model knows",
    "clamp": "clamped: what is further away than the model has seen moves up to there",
    "restart": "restarted: every earlier shot as if it came directly before this one",
}
