from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.config import RoutingConfig
from moc_engine.models.finding import find_model
from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.tuning.recipe import SparsityStage
from moc_engine.training.tuning.samples import DENSE, first_request
from moc_engine.training.tuning.subject import TuningSubject
from tests.fakes.tuning_runs import run_plan


@pytest.mark.parametrize(("top_k", "wanted"), [(2, (2, 0)), (None, (5, DENSE))])
def test_sample_films_attend_as_the_recipe_ends(
    tmp_path: Path, top_k: int | None, wanted: tuple[int, int]
) -> None:
    """Densely, where it ends so."""
    plan = run_plan(tmp_path, stages=(SparsityStage(until=1.0, top_k=top_k),))
    subject = TuningSubject(plan, find_model(plan.model), CachedFootage(plan.data))
    choice = first_request(subject, subject.stories.held_out[0], 1).routing
    routing = choice.over(RoutingConfig(top_k=5))
    assert (routing.top_k, routing.full_below) == wanted
