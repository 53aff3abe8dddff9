"""From found clips to the shots that are trained on: problems are named, and stories get a size."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.clip_needs import ClipNeeds
from moc_engine.training.data.footage.folder import FoundClip, FoundFootage, FoundStory
from moc_engine.training.data.footage.inspection import ClipFacts, problems_of_clip
from moc_engine.training.data.footage.problems import Problem, ProblemKind, ProblemPolicy
from moc_engine.training.data.footage.video_reading import UnreadableVideo

LEAST_KEPT: Final = 0.6
"""The share of a picture that must be kept when it is cropped to the shape of its story."""

MOST_ENLARGED: Final = 1.01


@dataclass(frozen=True, kw_only=True)
class LookedAt:
    """What is known of a clip: the facts, and a digest of its file's content."""

    facts: ClipFacts
    digest: str


class LooksAtClips(Protocol):
    """Looks at clips, or remembers what it saw."""

    def look(self, clip: FoundClip) -> LookedAt:
        """Raises `UnreadableVideo`, and `OSError` of the disk."""

    def caption(self, clip: FoundClip, looked: LookedAt) -> str:
        """The caption of a clip that has none; "" where nobody writes one."""


@dataclass(frozen=True, kw_only=True)
class PlannedShot:
    """A clip that is trained on: `frames` frames of it, from `start` seconds on."""

    clip: FoundClip
    digest: str
    picture: tuple[int, int]
    start: float
    frames: int

    @property
    def name(self) -> str:
        return str(self.clip.file)


@dataclass(frozen=True, kw_only=True)
class PlannedStory:
    """Shots in order, all brought to `size` (width, height); `style` is the global caption."""

    name: str
    size: tuple[int, int]
    shots: tuple[PlannedShot, ...]
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class FootagePlan:
    """What is trained on, of `clips` clips that were found, and every problem there is."""

    stories: tuple[PlannedStory, ...]
    problems: tuple[Problem, ...]
    clips: int

    @property
    def shots(self) -> int:
        return sum(len(story.shots) for story in self.stories)

    def checked(self, policy: ProblemPolicy) -> FootagePlan:
        """The same plan. Raises `FootageError` where a problem is to be refused, or nothing is left."""
        fatal = policy.fatal(self.problems)
        if fatal:
            more = f", and {len(fatal) - 1} more" if len(fatal) > 1 else ""
            raise FootageError(f"the footage is refused: {fatal[0]}{more}")
        if not self.stories:
            why = f": {self.problems[0]}" if self.problems else ""
            more = f", and {len(self.problems) - 1} more" if len(self.problems) > 1 else ""
            raise FootageError(f"no shot is left to train on{why}{more}")
        return self


def plan_footage(
    found: FoundFootage,
    needs: ClipNeeds,
    policy: ProblemPolicy,
    looking: LooksAtClips,
    *,
    report: Callable[[int, int], None] = lambda done, clips: None,
) -> FootagePlan:
    """The plan of footage; `report` is told how many clips are looked at, of how many; it may raise.

    Problems that are kept or skipped are among the plan's; so are those to be refused, for `checked`.
    """
    problems = list(found.problems)
    planner = _Planner(needs, policy, looking, problems)
    clips = sum(len(story.clips) for story in found.stories)
    done = 0
    stories = []
    for story in found.stories:
        shots = []
        for clip in story.clips:
            report(done, clips)
            shot = planner.shot(clip, story.style)
            shots += [] if shot is None else [shot]
            done += 1
        planned = planner.story(story, shots)
        stories += [] if planned is None else [planned]
    report(done, clips)
    return FootagePlan(stories=tuple(stories), problems=tuple(problems), clips=clips)


class _Planner:
    """Plans clip after clip, and adds what is wrong to `problems`."""

    def __init__(
        self, needs: ClipNeeds, policy: ProblemPolicy, looking: LooksAtClips, problems: list[Problem]
    ) -> None:
        self._needs = needs
        self._policy = policy
        self._looking = looking
        self._problems = problems
        self._seen: dict[tuple[str, float, int], FoundClip] = {}

    def shot(self, clip: FoundClip, style: str) -> PlannedShot | None:
        """A clip as a shot; None where it is not used."""
        try:
            looked = self._looking.look(clip)
        except (UnreadableVideo, OSError) as error:
            self._problems.append(unreadable(clip, error))
            return None
        facts = looked.facts
        if not self._used(problems_of_clip(clip.file, facts, self._needs, clip.end)):
            return None
        frames = self._needs.frames_of(facts.end - facts.start)
        piece = looked.digest, round(facts.start, 2), frames
        if piece in self._seen and not self._used([self._duplicate(clip, self._seen[piece], facts)]):
            return None
        try:
            clip = clip if clip.caption else replace(clip, caption=self._looking.caption(clip, looked))
        except UnreadableVideo as error:
            self._problems.append(unreadable(clip, error))
            return None
        if not self._used(self._caption_problems(clip, style, facts)):
            return None
        self._seen[piece] = clip
        return PlannedShot(
            clip=clip, digest=looked.digest, picture=facts.size, start=facts.start, frames=frames
        )

    def story(self, story: FoundStory, shots: Sequence[PlannedShot]) -> PlannedStory | None:
        """The shots of a story that fit its size; None where none is left."""
        if not shots:
            return None
        size = story_size([shot.picture for shot in shots], self._needs.sizes())
        fitting = [shot for shot in shots if self._used(_size_problems(shot, size))]
        if not fitting:
            return None
        return PlannedStory(name=story.name, size=size, shots=tuple(fitting), style=story.style)

    def _used(self, problems: Iterator[Problem] | Sequence[Problem]) -> bool:
        """Whether a clip is used in spite of problems; notes them, or those for which it is not."""
        found = list(problems)
        against = [problem for problem in found if self._policy.action(problem.kind) != "keep"]
        self._problems += against or found
        return not against

    def _duplicate(self, clip: FoundClip, other: FoundClip, facts: ClipFacts) -> Problem:
        text = f"is the same as {other.file}" if other.file != clip.file else "is in the footage twice"
        return Problem(kind="duplicate", file=clip.file, text=text, start=facts.start)

    def _caption_problems(self, clip: FoundClip, style: str, facts: ClipFacts) -> Iterator[Problem]:
        def problem(kind: ProblemKind, text: str) -> Problem:
            return Problem(kind=kind, file=clip.file, text=text, start=facts.start)

        if not clip.caption:
            yield problem("no-caption", "has no caption")
            return
        left_out = None if self._needs.left_out is None else self._needs.left_out(style, clip.caption)
        if left_out is not None and left_out.own:
            yield problem("long-caption", f"its caption is {left_out.own} tokens too long")
        elif left_out is not None and left_out.style:
            yield problem(
                "long-caption", f"with its caption the global caption is {left_out.style} tokens too long"
            )


def unreadable(clip: FoundClip, error: UnreadableVideo | OSError) -> Problem:
    """The problem of a clip whose file cannot be read."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"cannot be read: {(error.strerror or text).lower()}"
    return Problem(kind="unreadable", file=clip.file, text=text, start=clip.start or None)


def _size_problems(shot: PlannedShot, size: tuple[int, int]) -> Iterator[Problem]:
    def problem(kind: ProblemKind, text: str) -> Problem:
        width, height = shot.picture
        return Problem(kind=kind, file=shot.clip.file, text=f"{width}×{height} {text}", start=shot.start)

    kept = share_kept(shot.picture, size)
    if kept < LEAST_KEPT:
        yield problem("other-aspect", f"in a story of {size[0]}×{size[1]}: {1 - kept:.0%} would be cropped")
    if max(size[0] / shot.picture[0], size[1] / shot.picture[1]) > MOST_ENLARGED:
        yield problem("too-small", f"is smaller than {size[0]}×{size[1]}")


def story_size(pictures: Sequence[tuple[int, int]], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Of `sizes` (width, height) the one whose shape is next to that of most pictures of a story."""
    middle = statistics.median_low([math.log(width / height) for width, height in pictures])
    return min(sizes, key=lambda size: (abs(math.log(size[0] / size[1]) - middle), sizes.index(size)))


def share_kept(picture: tuple[int, int], size: tuple[int, int]) -> float:
    """The share of a picture that is left when it is cropped to the shape of a size."""
    one, other = picture[0] / picture[1], size[0] / size[1]
    return min(one / other, other / one)
