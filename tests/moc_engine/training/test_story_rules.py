from typing import Any

import pytest

from moc_engine.config import RoutingConfig
from moc_engine.training.story_rules import StoryRules


@pytest.mark.parametrize("full_below", [1, "auto"])
def test_full_attention_below_a_number_of_tokens_is_refused(full_below: Any) -> None:
    with pytest.raises(ValueError, match=r"^full_below: "):
        StoryRules(routing=RoutingConfig(full_below=full_below))
