"""The two experts of a Wan 2.2 model, whose files are told apart and paired by their names. No torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_NOISE: Final = re.compile(r"(?<![A-Za-z])(?:(high|low)_noise|(HIGH|LOW))(?![A-Za-z])")


def expert_of(file: Path) -> str | None:
    """ "high" or "low" where the name of a file says that it is the expert for such noise."""
    found = {word.lower() for words in _NOISE.findall(_apart(file.name)) for word in words if word}
    return found.pop() if len(found) == 1 else None


def other_expert(file: Path) -> Path | None:
    """The file of the other expert in the same folder, which has the same name but for the noise."""
    mine = expert_of(file)
    if mine is None:
        return None
    wanted = _NOISE.sub("", _apart(file.name)).lower()
    for other in sorted(file.parent.iterdir()):
        if expert_of(other) not in (mine, None) and _NOISE.sub("", _apart(other.name)).lower() == wanted:
            return other
    return None


def _apart(name: str) -> str:
    """ "HighNoise", "High-Noise" and "HIGH_NOISE" as "high_noise"."""
    return re.sub(r"(?i)(high|low)[ _-]?noise", lambda found: f"{found[1].lower()}_noise", name)
