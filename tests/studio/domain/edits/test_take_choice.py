from __future__ import annotations

import pytest

from studio.domain.edits.edit import Edit
from studio.domain.edits.restore import Restore
from studio.domain.edits.take_choice import Choose, Discard
from studio.domain.errors import Refused
from tests.fakes.edits import STORY, made
from tests.fakes.projects import project, rendered


def test_another_take_is_chosen_and_a_discarded_one_cannot_be() -> None:
    done, takes = rendered(project(*STORY))
    take = done.chosen["b"]
    assert Choose(shot="c", take=take).apply(done, takes).chosen["c"] == take
    binned = Discard(take=take).apply(done, takes)
    assert binned.discarded == {take}
    assert "b" not in binned.chosen
    with pytest.raises(Refused, match="that take is not there any more"):
        Choose(shot="b", take=take).apply(binned, takes)


@pytest.mark.parametrize("edit", [Choose(shot="a", take="t"), Discard(take="t"), Restore(shot="a", take="t")])
def test_a_take_that_is_gone_cannot_be_used(edit: Edit) -> None:
    with pytest.raises(Refused, match="that take is not there any more"):
        made(edit)
