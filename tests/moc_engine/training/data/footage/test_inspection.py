"""Every kind of bad clip is named, with the time where it is bad; good ones have nothing against them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moc_engine.clip import Frame
from moc_engine.training.data.footage.inspection import inspect, problems_of_clip, sampled
from moc_engine.training.data.footage.problems import Problem
from moc_engine.training.data.footage.video_reading import UnreadableVideo
from tests.fakes.footage_clips import (
    SIZE,
    cut_off,
    damaged,
    moving,
    write_clip,
    write_encoded,
    write_sound,
)
from tests.fakes.footage_encoders import NEEDS


def problems(file: Path, start: float = 0.0, end: float | None = None) -> dict[str, Problem]:
    facts = inspect(file, start, end)
    return {problem.kind: problem for problem in problems_of_clip(file, facts, NEEDS, end)}


def black(frames: int) -> list[Frame]:
    return [np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)] * frames


def gap(nth: int) -> int:
    return nth * 40 + 900 * (nth >= 20)


BAD: dict[str, tuple[Callable[[Path], Path], float]] = {
    "broken": (lambda path: damaged(write_clip(path, moving(0, 48), 16), share=0.6), 1.0),
    "cut-off": (lambda path: cut_off(write_clip(path, moving(0, 48), 16), share=0.75), 0.0),
    "gap": (lambda path: write_encoded(path, moving(1, 25), milliseconds=[gap(n) for n in range(25)]), 1.7),
    "hdr": (
        lambda path: write_encoded(path, moving(1, 20), rate=16, pixels="yuv420p10le", transfer=16),
        0.0,
    ),
    "low-rate": (lambda path: write_clip(path, moving(1, 20), 12), 0.0),
    "other-rate": (lambda path: write_clip(path, moving(1, 30), 24), 0.0),
    "variable-rate": (
        lambda path: write_encoded(
            path, moving(1, 30), milliseconds=[n * 40 + 25 * (n >= 10) for n in range(30)]
        ),
        0.425,
    ),
    "too-short": (lambda path: write_clip(path, moving(1, 4), 16), 0.0),
    "too-long": (lambda path: write_clip(path, moving(1, 60), 16), 0.0),
    "black": (lambda path: write_clip(path, [*black(24), *moving(1, 10)], 16), 0.0),
    "frozen": (lambda path: write_clip(path, moving(1, 1) * 30, 16), 0.0),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_clips_are_named(tmp_path: Path, kind: str) -> None:
    make, at = BAD[kind]
    found = problems(make(tmp_path / ("a.mkv" if kind in ("gap", "variable-rate") else "a.mp4")))
    assert kind in found
    assert found[kind].start == pytest.approx(at, abs=0.4 if kind == "broken" else 0.002)
    if kind not in ("broken", "cut-off"):  # of which frames are missing in any case
        assert set(found) == {kind} | ({"other-rate"} if kind in ("gap", "variable-rate") else set())


def test_good_clips_have_nothing_against_them(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", moving(1, 33), 16)
    assert problems(clip) == {}
    assert problems(clip, 0.5, 1.5) == {}
    facts = inspect(clip, 0.5, 1.5)
    assert (facts.start, facts.end, facts.frames, facts.rate) == pytest.approx((0.5, 1.5, 16, 16.0))


def test_a_piece_is_judged_by_itself(tmp_path: Path) -> None:
    """What is broken, black or missing elsewhere in a long video does not count."""
    clip = write_clip(tmp_path / "a.mp4", [*black(24), *moving(1, 24)], 16)
    assert set(problems(clip, 0.0, 1.5)) == {"black"}
    assert problems(clip, 1.5, 3.0) == {}
    assert set(problems(clip, 1.5, 9.0)) == {"cut-off"}
    with pytest.raises(UnreadableVideo, match=r"no frame from 0:07\.0"):
        inspect(clip, 7.0, 9.0)


def test_looking_is_ended_by_the_check(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", moving(1, 8), 16)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inspect(clip, check=interrupt)


def test_frames_are_spread_evenly() -> None:
    frames = [np.full((2, 2, 3), nth, dtype=np.uint8) for nth in range(21)]
    assert [int(frame[0, 0, 0]) for frame in sampled(frames, 5)] == [0, 5, 10, 15, 20]
    assert len(sampled(frames[:3], 5)) == 3


@cache
def whole() -> dict[str, bytes]:
    """Files of several kinds, by their endings."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        clips = {
            ".mp4": write_clip(folder / "a.mp4", moving(1, 20), 16),
            ".mkv": write_encoded(folder / "a.mkv", moving(1, 20), codec="mpeg4"),
            ".ts": write_encoded(folder / "a.ts", moving(1, 20)),
            ".m4v": write_sound(folder / "a.m4v"),
        }
        return {suffix: clip.read_bytes() for suffix, clip in clips.items()}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([".mp4", ".mkv", ".ts", ".m4v"]),
    st.floats(0.0, 1.0),
    st.lists(st.tuples(st.floats(0.0, 1.0), st.binary(min_size=1, max_size=40)), max_size=3),
)
def test_awful_files_are_read_or_refused_in_words(
    tmp_path: Path, suffix: str, kept: float, changes: list[tuple[float, bytes]]
) -> None:
    """Cut off anywhere, and changed anywhere."""
    data = bytearray(whole()[suffix])
    for share, change in changes:
        at = round(share * len(data))
        data[at : at + len(change)] = change
    file = tmp_path / f"a{suffix}"
    file.write_bytes(data[: round(kept * len(data))])
    try:
        facts = inspect(file)
    except UnreadableVideo as error:
        assert str(error)[:3] in ("is ", "has")  # noqa: PT017
    else:
        assert facts.frames > 0
        assert facts.end > facts.start
        assert all(str(problem).startswith(str(file)) for problem in problems_of_clip(file, facts, NEEDS))
