"""The face fields of each expression, and the default expression of each action."""

from __future__ import annotations

from typing import Final

from moc_engine.models.animatic.scene import Track

_CALM: Final = {
    "eye": 1.0,
    "lid": 0.0,
    "lid_tilt": 0.0,
    "brow": 0.0,
    "brow_lift": 0.0,
    "mouth_curve": 0.45,
    "mouth_open": 0.0,
    "mouth_width": 0.22,
    "teeth": 0.0,
    "pupil": 1.0,
    "tear": 0.0,
}
FACES: Final[dict[str, dict[str, float]]] = {
    "calm": _CALM,
    "happy": _CALM | {"mouth_curve": 1.0, "mouth_open": 0.75, "mouth_width": 0.34, "brow_lift": 0.03},
    "laughing": _CALM
    | {"eye": 0.0, "mouth_curve": 1.0, "mouth_open": 1.0, "mouth_width": 0.36, "brow_lift": 0.04},
    "sad": _CALM
    | {"lid": 0.22, "lid_tilt": -0.3, "brow": -0.42, "brow_lift": 0.02, "mouth_curve": -0.8, "tear": 1.0}
    | {"mouth_width": 0.24},
    "angry": _CALM
    | {"lid": 0.26, "lid_tilt": 0.35, "brow": 0.45, "brow_lift": -0.03, "mouth_curve": -0.3}
    | {"mouth_open": 0.35, "mouth_width": 0.3, "teeth": 1.0},
    "surprised": _CALM
    | {"eye": 1.28, "pupil": 0.62, "brow_lift": 0.08, "mouth_curve": 0.0, "mouth_open": 1.0}
    | {"mouth_width": 0.13},
    "sleepy": _CALM | {"lid": 0.55, "brow": -0.1, "mouth_curve": 0.1, "mouth_width": 0.16},
    "asleep": _CALM | {"eye": 0.0, "mouth_curve": 0.3, "mouth_width": 0.14},
}
FACE_OF_ACTION: Final = {
    "jump": "happy",
    "dance": "laughing",
    "cheer": "laughing",
    "wave": "happy",
    "run": "happy",
    "sleep": "asleep",
    "fall": "surprised",
    "spin": "happy",
}


def make_face(track: Track, name: str) -> None:
    for field, value in FACES[name].items():
        track[field] = value
