from __future__ import annotations

import pytest

from moc_engine.sources.hub_id import HubId, parse_hub_id


def test_a_name_has_a_repository_and_may_have_a_revision() -> None:
    assert parse_hub_id("some/model") == HubId("some/model")
    assert parse_hub_id("some/model@refs/pr/1") == HubId("some/model", "refs/pr/1")


@pytest.mark.parametrize(
    "text", ["some/model@a/../../../b", "some/..", "../model", "/some/model", "a/b/c", ""]
)
def test_what_leads_out_of_the_cache_is_no_name(text: str) -> None:
    assert parse_hub_id(text) is None
