"""Shot numbers as people write and read them on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from studio.domain.errors import WrongUse
from studio.domain.storyboard import Storyboard


def parse_shots(text: str | None, board: Storyboard) -> frozenset[int] | None:
    """The positions of the shots in --shots: "1,3-5" -> {0, 2, 3, 4}; None for None. Raises `WrongUse`."""
    from studio.exchange.plain_yaml import shown

    if text is None:
        return None
    chosen: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", part)
        if match is None:
            raise WrongUse(f"--shots: numbers and ranges such as 1,3-5 are wanted, got '{shown(text)}'")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= len(board.shots):
            raise WrongUse(f"--shots: the storyboard has shots 1–{len(board.shots)}, got '{part.strip()}'")
        chosen.update(range(first - 1, last))
    skipped = [index for index in sorted(chosen) if board.shots[index].skip]
    if skipped:
        raise WrongUse(f"--shots: shot {skipped[0] + 1} is skipped in the storyboard")
    return frozenset(chosen)


def shots_in_words(indices: Sequence[int]) -> str:
    """ "shot 2", "shots 2 and 3", "shots 1–4 and 7", from ascending indices."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    parts: list[str] = []
    for run in runs:
        parts += [f"{run[0] + 1}–{run[-1] + 1}"] if len(run) > 2 else [str(index + 1) for index in run]
    words = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"shot {words}" if len(indices) == 1 else f"shots {words}"
