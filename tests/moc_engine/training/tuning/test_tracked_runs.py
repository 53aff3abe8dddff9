import json
from dataclasses import replace
from pathlib import Path

import pytest

from moc_engine.training.options import CHECKPOINT
from moc_engine.training.tuning.run import TRACKED
from moc_engine.training.tuning.start import start
from tests.fakes.tuning_runs import run_plan


def test_each_step_is_once_in_the_events_of_a_run_that_was_killed(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    plan, out = run_plan(tmp_path, settings={"tracker": "tensorboard"}, steps=2), tmp_path / "run"
    start(plan, out)
    saved = (out / CHECKPOINT).read_bytes()
    longer = replace(plan, recipe=replace(plan.recipe, steps=4))
    start(longer, out, resume=True)
    (out / CHECKPOINT).write_bytes(saved)  # as if the last piece had been killed before it saved
    start(longer, out, resume=True)
    events = reading.EventAccumulator(str(out / TRACKED / "tuning")).Reload()
    loss, gain = events.Scalars("loss"), events.Scalars("gain of memory")
    assert [event.step for event in loss] == [1, 2, 3, 4]
    assert [event.step for event in gain] == [2, 4]
    history = json.loads((out / "history.json").read_text())
    assert [event.value for event in loss] == pytest.approx([value for _, value in history["loss"]])
