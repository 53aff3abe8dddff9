"""Which tokens of a take each memory policy keeps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moc_engine.config import POLICIES
from moc_engine.memory.policies import (
    BUILT_IN,
    FinishedTake,
    changing_frames,
    find_policy,
    kept_tokens,
    spread_frames,
)

FRAMES, SLOTS = 6, 4


def take(chunking: str = "frame", **fields: Any) -> FinishedTake:
    """Latents of which frame 2 differs most from the one before, then frames 4 and 3."""
    latents = np.zeros((2, FRAMES, SLOTS, 1), dtype=np.float32)
    latents += np.cumsum([0, 1, 9, 4, 5, 0]).reshape(1, FRAMES, 1, 1)
    frame, slot = np.indices((FRAMES, SLOTS))
    in_order = (frame, slot) if chunking == "frame" else (frame.T, slot.T)
    given: dict[str, Any] = {
        "latents": latents,
        "frames": FRAMES,
        "token_frame": in_order[0].ravel(),
        "token_chunk": in_order[0 if chunking == "frame" else 1].ravel(),
        "names": tuple(f"frame {n + 1}" for n in range(FRAMES)),
        "cast": ("Mira", "Otto"),
    }
    return FinishedTake(**{**given, **fields})


def frames_of(policy: str, keyframes: int, of: FinishedTake) -> list[int]:
    kept = kept_tokens(policy, of, keyframes)
    return sorted(set(of.token_frame[kept].tolist()))


@pytest.mark.parametrize(
    ("policy", "keyframes", "frames"),
    [
        ("all", 2, [0, 1, 2, 3, 4, 5]),
        ("first-last", 4, [0, 5]),
        ("spread", 1, [5]),
        ("spread", 2, [0, 5]),
        ("spread", 3, [0, 2, 5]),
        ("spread", 9, [0, 1, 2, 3, 4, 5]),
        ("change", 1, [5]),
        ("change", 3, [0, 2, 5]),
        ("change", 4, [0, 2, 4, 5]),
        ("change", 5, [0, 2, 3, 4, 5]),
        ("change", 99, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_whole_frames_are_kept(policy: str, keyframes: int, frames: list[int]) -> None:
    for chunking in ("frame", "track"):
        of = take(chunking)
        assert frames_of(policy, keyframes, of) == frames
        assert len(kept_tokens(policy, of, keyframes)) == len(frames) * SLOTS


def test_the_earlier_of_frames_that_change_equally_is_kept() -> None:
    assert changing_frames(np.zeros((1, 6, 2, 2), dtype=np.float32), 6, 4).tolist() == [0, 1, 2, 5]


def test_latents_joined_into_frames_of_tokens_count_together() -> None:
    latents = np.zeros((1, 12, 1, 1), dtype=np.float32)
    latents[:, 6:8] = 1.0  # the fourth frame of tokens
    assert changing_frames(latents, 6, 3).tolist() == [0, 3, 5]


@pytest.mark.parametrize("frames", [1, 2, 3, 21])
@pytest.mark.parametrize("keyframes", [1, 2, 8])
@pytest.mark.parametrize("policy", POLICIES)
def test_as_many_frames_are_predicted_as_are_kept(policy: str, frames: int, keyframes: int) -> None:
    latents = np.random.default_rng(0).normal(size=(2, frames, SLOTS, 1)).astype(np.float32)
    numbers = np.repeat(np.arange(frames), SLOTS)
    of = take(
        latents=latents,
        frames=frames,
        token_frame=numbers,
        token_chunk=numbers,
        shown=lambda: {"Mira": np.ones(frames * SLOTS)},
    )
    predicted = find_policy(policy).most_frames(frames, keyframes, "frame")
    assert len(kept_tokens(policy, of, keyframes)) == predicted * SLOTS
    assert predicted == len(spread_frames(frames, keyframes)) or policy in ("all", "first-last")


def test_the_cast_is_found_by_the_names_of_chunks() -> None:
    of = take("track", names=("Mira", "Otto (empty)", "lamp", "Mira"))
    kept = kept_tokens("cast", of, 1)
    assert set(of.token_chunk[kept].tolist()) == {0, 3}


def test_the_cast_is_found_by_what_tokens_show() -> None:
    def shown() -> Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]:
        mira, otto = np.zeros(FRAMES * SLOTS), np.zeros(FRAMES * SLOTS)
        mira[[4, 5, 12]], otto[20] = (0.2, 0.2, 0.3), 1.0  # Mira most in frame 1, then 3; Otto in frame 5
        return {"Mira": mira, "Otto": otto}

    assert frames_of("cast", 2, take(shown=shown)) == [1, 5]
    assert frames_of("cast", 1, take(shown=shown)) == [1]


def test_where_nobody_is_found_first_and_last_frame_are_kept() -> None:
    assert frames_of("cast", 8, take()) == [0, 5]
    assert frames_of("cast", 1, take()) == [5]


PLUGIN = """
import numpy as np
from moc_engine.memory.policies import MemoryPolicy
def policy(keep):
    return MemoryPolicy(keep=keep, most_frames=lambda frames, keyframes, chunking: 1)
MINE = policy(lambda take, keyframes: take.token_frame == keyframes)
NOTHING = policy(lambda take, keyframes: take.token_frame < 0)
SHORT = policy(lambda take, keyframes: np.ones(3, dtype=bool))
"""
PROGRAM = """
from moc_engine.config import MemoryConfig
from moc_engine.memory.policies import kept_tokens
from tests.moc_engine.memory.test_policies import take
for name in ("mine", "nothing", "short", "other"):
    try:
        print(kept_tokens(MemoryConfig(policy=name).policy, take(), 3).tolist())
    except ValueError as error:
        print(error)
"""


def test_third_parties_add_policies_by_entry_points(tmp_path: Path) -> None:
    told = tmp_path / "mine-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(
        "[moc_studio.memory_policies]\nmine = mine:MINE\nnothing = mine:NOTHING\n"
        "short = mine:SHORT\nother = mine:policy\n"
    )
    (tmp_path / "mine.py").write_text(PLUGIN)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "[12, 13, 14, 15]",
        "policy: 'nothing' keeps no token of a take",
        "policy: 'short' must tell of each of 24 tokens",
        "the plug-in mine:policy for 'other' is not a MemoryPolicy",
    ]


def test_an_unknown_policy_is_told() -> None:
    with pytest.raises(ValueError, match="unknown memory policy 'mine'; there are all, first-last"):
        find_policy("mine")


def test_every_policy_that_settings_name_is_there() -> None:
    assert tuple(BUILT_IN) == POLICIES
