"""What the command line prints of renders that run side by side."""

from __future__ import annotations

from collections.abc import Iterator

from studio.cli.progress import in_words
from studio.cli.shot_numbers import shots_in_words
from studio.service.schedules import RenderSchedule


def lines(schedule: RenderSchedule, workers: int | None) -> Iterator[str]:
    """The waves, and the time with so many workers, or with the usual numbers of them where None."""
    if len(schedule.renders) < 2:
        return
    waves = schedule.waves
    if len(waves) == len(schedule.renders):
        yield "one after the other: each of these shots waits for one before it"
    elif len(waves) == 1:
        yield "these shots wait for no other: all can run side by side"
    else:
        yield f"in {len(waves)} waves, side by side within each: {'; '.join(map(shots_in_words, waves))}"
    if schedule.time_known:
        times = [(one.workers, one.seconds) for one in schedule.times]
        if workers is not None:
            times = [(workers, schedule.seconds)]
        told = ", ".join(f"{in_words(seconds)} with {_counted(count)}" for count, seconds in times)
        yield f"about {told}"
    if schedule.seen < schedule.to_see:
        yield (
            f"context: finished with {_counted(schedule.workers)}: shots see {schedule.seen} of the "
            f"{schedule.to_see} earlier takes of this render that they would see one after the other"
        )


def _counted(workers: int) -> str:
    return f"{workers} worker{'' if workers == 1 else 's'}"
