"""Plans of footage: what is left out, what is kept, and the size of each story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.clip_needs import ClipNeeds
from moc_engine.training.data.footage.folder import FoundClip, FoundFootage, FoundStory
from moc_engine.training.data.footage.inspection import ClipFacts
from moc_engine.training.data.footage.planning import (
    FootagePlan,
    LookedAt,
    plan_footage,
    share_kept,
    story_size,
)
from moc_engine.training.data.footage.problems import Problem, parse_policy
from moc_engine.training.data.footage.video_reading import UnreadableVideo
from tests.fakes.footage_encoders import NEEDS, FakeEncoders

GOOD = ClipFacts(size=(64, 48), start=0.0, end=2.0, frames=32, rate=16.0, told_seconds=2.0)


class KnownClips:
    """What is known of clips by the name of their file, whose digest is its first letter."""

    def __init__(self, facts: dict[str, ClipFacts | Exception], captions: dict[str, str]) -> None:
        self._facts = facts
        self._captions = captions

    def look(self, clip: FoundClip) -> LookedAt:
        found = self._facts.get(clip.file.name, GOOD)
        if isinstance(found, Exception):
            raise found
        return LookedAt(facts=found, digest=clip.file.name[0])

    def caption(self, clip: FoundClip, looked: LookedAt) -> str:
        return self._captions.get(clip.file.name, "")


def plan(
    *clips: str | FoundClip,
    facts: dict[str, ClipFacts | Exception] | None = None,
    captions: dict[str, str] | None = None,
    policy: Sequence[str] = (),
    needs: ClipNeeds = NEEDS,
    style: str = "",
) -> FootagePlan:
    found = [
        FoundClip(file=Path(clip), caption=f"{clip} walks") if isinstance(clip, str) else clip
        for clip in clips
    ]
    story = FoundStory(name="story", clips=tuple(found), style=style)
    known = KnownClips(facts or {}, captions or {})
    return plan_footage(FoundFootage(stories=(story,)), needs, parse_policy(policy), known)


def used(made: FootagePlan) -> list[str]:
    return [shot.clip.file.name for story in made.stories for shot in story.shots]


def kinds(made: FootagePlan) -> list[tuple[str, str]]:
    return [(problem.file.name, problem.kind) for problem in made.problems]


def test_good_clips_are_shots() -> None:
    made = plan("a", "b")
    assert (used(made), made.problems, made.clips, made.shots) == (["a", "b"], (), 2, 2)
    (story,) = made.stories
    assert (story.size, story.shots[0].frames) == ((64, 48), 29)
    assert made.checked(parse_policy(["refuse"])) is made


def test_what_cannot_be_read_is_left_out() -> None:
    missing = FileNotFoundError(2, "No such file or directory")
    made = plan("a", "b", "c", facts={"a": UnreadableVideo("is empty"), "c": missing})
    assert used(made) == ["b"]
    assert [str(problem) for problem in made.problems] == [
        "a: is empty",
        "c: cannot be read: no such file or directory",
    ]


def test_a_problem_is_skipped_kept_or_refused() -> None:
    black: dict[str, ClipFacts | Exception] = {"a": replace(GOOD, dark=0.9)}
    assert used(plan("a", "b", facts=black)) == ["b"]
    assert used(plan("a", "b", facts=black, policy=["black=keep"])) == ["a", "b"]
    refused = plan("a", "b", facts=black, policy=["refuse"])
    with pytest.raises(FootageError, match=r"refused: a, 0:00.0: 90% of its frames are black"):
        refused.checked(parse_policy(["refuse"]))


def test_other_rates_are_kept_even_where_all_else_is_refused() -> None:
    made = plan("a", facts={"a": replace(GOOD, rate=24.0, frames=48)}, policy=["refuse"])
    assert kinds(made) == [("a", "other-rate")]
    assert made.checked(parse_policy(["refuse"])) is made


def test_captions_are_asked_for_and_counted() -> None:
    silent = FoundClip(file=Path("a"))
    assert kinds(plan(silent)) == [("a", "no-caption")]
    made = plan(silent, captions={"a": "a fox"})
    assert made.stories[0].shots[0].clip.caption == "a fox"
    needs = replace(NEEDS, left_out=FakeEncoders().left_out)
    long = FoundClip(file=Path("a"), caption="word " * 20)
    (problem,) = plan(long, needs=needs).problems
    assert (problem.kind, problem.text) == ("long-caption", "its caption is 8 tokens too long")
    (problem,) = plan("a", needs=needs, style="word " * 12).problems
    assert "with its caption the global caption is 2 tokens too long" in problem.text


def test_duplicates_are_named_with_what_they_repeat() -> None:
    made = plan("a.mp4", "b.mp4", "a.again.mp4")
    assert used(made) == ["a.mp4", "b.mp4"]
    assert [str(problem) for problem in made.problems] == ["a.again.mp4, 0:00.0: is the same as a.mp4"]
    assert used(plan("a.mp4", "a.mp4", policy=["duplicate=keep"])) == ["a.mp4", "a.mp4"]


def test_two_pieces_of_a_file_are_no_duplicates() -> None:
    first, second = (FoundClip(file=Path("a"), caption="x", start=s, end=s + 1.0) for s in (0.0, 1.0))

    class Pieces(KnownClips):
        def look(self, clip: FoundClip) -> LookedAt:
            assert clip.end is not None
            return LookedAt(facts=replace(GOOD, start=clip.start, end=clip.end, frames=16), digest="a")

    found = FoundFootage(stories=(FoundStory(name="s", clips=(first, second)),))
    assert plan_footage(found, NEEDS, parse_policy([]), Pieces({}, {})).shots == 2


def test_portrait_among_landscape_and_small_pictures() -> None:
    tall, small = replace(GOOD, size=(48, 100)), replace(GOOD, size=(32, 24))
    made = plan("a", "b", "c", "d", facts={"b": tall, "c": small})
    assert used(made) == ["a", "d"]
    assert kinds(made) == [("b", "other-aspect"), ("b", "too-small"), ("c", "too-small")]
    assert "48×100 in a story of 64×48: 64% would be cropped" in made.problems[0].text
    alone = plan("b", facts={"b": tall})
    assert alone.stories[0].size[0] < alone.stories[0].size[1]
    assert used(plan("c", facts={"c": small}, policy=["too-small=keep"])) == ["c"]


def test_nothing_left_is_told() -> None:
    made = plan("a", "b", facts={"a": UnreadableVideo("is empty"), "b": UnreadableVideo("is empty")})
    assert made.stories == ()
    with pytest.raises(FootageError, match="no shot is left to train on: a: is empty, and 1 more"):
        made.checked(parse_policy([]))


def test_progress_is_told_for_every_clip() -> None:
    told: list[tuple[int, int]] = []
    found = FoundFootage(
        stories=(FoundStory(name="s", clips=tuple(FoundClip(file=Path(n), caption="x") for n in "abc")),),
        problems=(Problem(kind="unreadable", file=Path("x"), text="y"),),
    )
    made = plan_footage(
        found,
        NEEDS,
        parse_policy([]),
        KnownClips({}, {}),
        report=lambda done, clips: told.append((done, clips)),
    )
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [problem.file for problem in made.problems] == [Path("x")]


def test_sizes_of_stories() -> None:
    sizes = [(64, 48), (48, 64), (64, 32)]
    assert story_size([(1920, 1080)], sizes) == (64, 32)
    assert story_size([(640, 480), (480, 640), (640, 480)], sizes) == (64, 48)
    assert share_kept((1920, 1080), (1080, 1920)) == pytest.approx(0.316, abs=0.001)
    assert share_kept((640, 480), (64, 48)) == 1.0
