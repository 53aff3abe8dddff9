from __future__ import annotations

import pytest

from moc_engine.sources.hub_id import HubFile, HubId, parse_hub_file, parse_hub_id, parse_hub_name


def test_a_name_has_a_repository_and_may_have_a_revision() -> None:
    assert parse_hub_id("some/model") == HubId("some/model")
    assert parse_hub_id("some/model@refs/pr/1") == HubId("some/model", "refs/pr/1")


def test_a_file_of_a_repository_may_lie_in_folders_and_have_a_revision() -> None:
    ink = HubFile(HubId("some/loras"), "ink.safetensors")
    assert parse_hub_file("some/loras/ink.safetensors") == ink
    deep = parse_hub_file("some/loras/wan 2.2/ink-v1.safetensors@main")
    assert deep == HubFile(HubId("some/loras", "main"), "wan 2.2/ink-v1.safetensors")
    assert str(deep) == "some/loras/wan 2.2/ink-v1.safetensors@main"
    assert str(ink.at("c0ffee")) == "some/loras/ink.safetensors@c0ffee"
    assert parse_hub_name("some/loras/ink.safetensors") == ink
    assert parse_hub_name("some/loras@v1") == HubId("some/loras", "v1")


@pytest.mark.parametrize(
    "text", ["some/model@a/../../../b", "some/..", "../model", "/some/model", "a/b/c", ""]
)
def test_what_leads_out_of_the_cache_is_no_name(text: str) -> None:
    assert parse_hub_id(text) is None
    assert parse_hub_name(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "ink.safetensors",
        "loras/ink.safetensors",
        "../loras/x/ink.safetensors",
        "/some/loras/ink.safetensors",
        "~/some/loras/ink.safetensors",
        "some/loras/../ink.safetensors",
        "some/loras/./ink.safetensors",
        "some/loras//ink.safetensors",
        "C:/some/loras/ink.safetensors",
        "some/loras/x\\ink.safetensors",
        "some/loras/ink.ckpt",
        "some/loras/ink.safetensors@",
    ],
)
def test_other_names_are_no_files_of_the_hub(text: str) -> None:
    assert parse_hub_file(text) is None


@pytest.mark.parametrize(
    "repo", ["some--one/model", "some/mo--del", "some/model.git", "some/model-", "-some/model", "sömé/model"]
)
def test_names_that_the_hubs_client_refuses_are_none(repo: str) -> None:
    assert parse_hub_id(repo) is None
    assert parse_hub_file(f"{repo}/ink.safetensors") is None


def test_what_no_file_can_be_called_is_no_file_of_the_hub() -> None:
    assert parse_hub_file("some/loras/ink\ud800.safetensors") is None
