"""Context policies: which frames of the takes before a shot are its context, within a number of frames.

    storymem      the first 3 and the last 5 keyframes of all takes in story order; fewer in the same
                  proportion where the budget is smaller
    named-cast    frames of the takes that name members of the shot's cast: those that name most of them
                  first, then the latest

StoryMem (arXiv 2512.19539) keeps such a memory, with keyframes found by CLIP; here they are those of the
memory policy "change". Context as Memory (arXiv 2506.03141) retrieves frames by overlapping fields of view of
the camera; here casts overlap.

A memory policy decides by one take what is remembered of it; a context policy decides by all takes together
and the shot that reads them. The evaluations compare them with routers. Plain data, without tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from moc_engine.memory.policies import spread_frames

Frames = list[tuple[int, int]]
"""Frames as (take, frame)."""

FIRST: Final = 3
LAST: Final = 5
"""StoryMem keeps so many keyframes of the story's beginning, and so many of its latest part."""

KEYFRAMES: Final = 3
"""Keyframes of each take, at most."""


@dataclass(frozen=True, kw_only=True)
class ContextTake:
    """A take before the shot: its frames, its keyframes ascending, and who its caption names."""

    frames: int
    keyframes: tuple[int, ...]
    cast: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class ContextPolicy:
    """`keep` gets takes in story order, the cast that the shot names and the most frames, and gives frames.

    `title` and `source` (paper) are for reports.
    """

    name: str
    title: str
    source: str
    keep: Callable[[Sequence[ContextTake], frozenset[int], int], Frames]


def first_and_last(takes: Sequence[ContextTake], cast: frozenset[int], most: int) -> Frames:
    """The first and the last keyframes of the story, 3 of the first to 5 of the last, at most 8."""
    story = [(nth, frame) for nth, take in enumerate(takes) for frame in take.keyframes]
    count = min(most, FIRST + LAST)
    if len(story) <= count:
        return story
    first = (count * FIRST + (FIRST + LAST) // 2) // (FIRST + LAST)
    return story[:first] + story[len(story) - (count - first) :]


def of_named_cast(takes: Sequence[ContextTake], cast: frozenset[int], most: int) -> Frames:
    """Frames of takes whose cast overlaps: one of each in turn, the largest overlap first, then the latest.

    The frames of a take are evenly spread over it.
    """
    overlapping = [nth for nth, take in enumerate(takes) if take.cast & cast]
    ranked = sorted(overlapping, key=lambda nth: (-len(takes[nth].cast & cast), -nth))
    counts = dict.fromkeys(ranked, 0)
    left = min(most, sum(takes[nth].frames for nth in ranked))
    while left:
        for nth in ranked:
            if left and counts[nth] < takes[nth].frames:
                counts[nth] += 1
                left -= 1
    return [
        (nth, int(frame))
        for nth in sorted(ranked)
        if counts[nth]
        for frame in spread_frames(takes[nth].frames, counts[nth])
    ]


CONTEXT_POLICIES: Final = {
    policy.name: policy
    for policy in (
        ContextPolicy(
            name="storymem",
            title="first and last keyframes",
            source="like StoryMem, arXiv 2512.19539: 3 first and 5 last keyframes",
            keep=first_and_last,
        ),
        ContextPolicy(
            name="named-cast",
            title="takes with the same cast",
            source="like Context as Memory, arXiv 2506.03141: by named cast",
            keep=of_named_cast,
        ),
    )
}
