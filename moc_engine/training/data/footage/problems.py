"""What can be wrong with footage, in words, and what is done about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast, get_args

from moc_engine.training.data.footage.clock_times import shown_time

ProblemKind = Literal[
    "unreadable",
    "broken",
    "cut-off",
    "gap",
    "hdr",
    "low-rate",
    "other-rate",
    "variable-rate",
    "too-short",
    "too-long",
    "too-small",
    "other-aspect",
    "black",
    "frozen",
    "no-caption",
    "long-caption",
    "duplicate",
]

Action = Literal["skip", "refuse", "keep"]
"""Leave the shot out, refuse all of the footage, or use the shot in spite of it."""

KINDS: Final[Mapping[ProblemKind, str]] = {
    "unreadable": "a file that is no video, or of which nothing can be decoded; captions that cannot be read",
    "broken": "frames that cannot be decoded",
    "cut-off": "a video that ends before it should",
    "gap": "frames that are missing in between",
    "hdr": "colours of HDR, which are not those of other footage",
    "low-rate": "fewer frames a second than the model makes: some are shown twice",
    "other-rate": "more frames a second than the model makes: resampled by their times",
    "variable-rate": "frames at uneven times: resampled",
    "too-short": "fewer frames than two latent ones stand for",
    "too-long": "longer than the model's shots: the beginning is used",
    "too-small": "fewer pixels than are trained on: enlarged",
    "other-aspect": "a picture that would lose more than 40% to the shape of its story's others",
    "black": "mostly black frames",
    "frozen": "a picture that does not move",
    "no-caption": "no caption, or an empty one",
    "long-caption": "a caption longer than the text encoder reads",
    "duplicate": "the same piece of the same file as another shot",
}
"""The kinds of problems, and what each is."""

NEVER_KEPT: Final[frozenset[ProblemKind]] = frozenset({"unreadable", "too-short", "long-caption"})
"""Those of which nothing could be used, or only what is cut in silence."""

USUAL: Final[Mapping[ProblemKind, Action]] = {
    "other-rate": "keep",
    "variable-rate": "keep",
    "too-long": "keep",
}
"""What is done where nothing else is asked for; the others are skipped."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong with a file, or a piece of it that begins at `start` seconds."""

    kind: ProblemKind
    file: Path
    text: str
    start: float | None = None

    def __str__(self) -> str:
        at = "" if self.start is None else f", {shown_time(self.start)}"
        return f"{self.file}{at}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class ProblemPolicy:
    """What is done about each kind of problem; `actions` are those that differ from the usual."""

    actions: Mapping[ProblemKind, Action] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, action in self.actions.items():
            if action == "keep" and kind in NEVER_KEPT:
                raise ValueError(f"{kind}: can be skipped or refused, not kept: {KINDS[kind]}")

    def action(self, kind: ProblemKind) -> Action:
        return self.actions.get(kind, USUAL.get(kind, "skip"))

    def fatal(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems for which the footage is refused."""
        return [problem for problem in problems if self.action(problem.kind) == "refuse"]


def parse_policy(texts: Iterable[str]) -> ProblemPolicy:
    """The policy of texts such as "refuse" (every problem but those that are kept) or "black=keep".

    Later ones stand above earlier ones. Raises `ValueError` naming what is unknown.
    """
    actions: dict[ProblemKind, Action] = {}
    for text in texts:
        kind, equals, action = text.rpartition("=")
        if action not in get_args(Action):
            raise ValueError(f"{action or text}: one of {', '.join(get_args(Action))}")
        if equals and kind not in KINDS:
            raise ValueError(f"{kind}: one of {', '.join(KINDS)}")
        chosen = cast(Action, action)
        if equals:
            actions[cast(ProblemKind, kind)] = chosen
        else:
            actions |= {
                each: chosen
                for each in KINDS
                if each not in USUAL and not (chosen == "keep" and each in NEVER_KEPT)
            }
    return ProblemPolicy(actions=actions)
