"""What is done about problems."""

from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.training.data.footage.problems import (
    KINDS,
    NEVER_KEPT,
    Problem,
    ProblemPolicy,
    parse_policy,
)


def test_the_usual_actions() -> None:
    policy = ProblemPolicy()
    assert {kind for kind in KINDS if policy.action(kind) == "keep"} == {
        "other-rate",
        "variable-rate",
        "too-long",
    }
    assert all(policy.action(kind) in ("skip", "keep") for kind in KINDS)


def test_actions_are_chosen_for_all_and_for_some() -> None:
    policy = parse_policy(["refuse", "black=keep", "other-rate=refuse"])
    assert policy.action("unreadable") == "refuse"
    assert policy.action("too-long") == "keep"
    assert policy.action("other-rate") == "refuse"
    assert policy.action("black") == "keep"
    kept = parse_policy(["keep"])
    assert {kind for kind in KINDS if kept.action(kind) != "keep"} == NEVER_KEPT


@pytest.mark.parametrize(
    ("text", "words"),
    [("ignore", "ignore: one of skip"), ("dull=skip", "dull: one of unreadable"), ("black=", "one of skip")],
)
def test_unknown_words_are_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_policy([text])


@pytest.mark.parametrize("kind", sorted(NEVER_KEPT))
def test_some_are_never_kept(kind: str) -> None:
    with pytest.raises(ValueError, match=f"{kind}: can be skipped or refused"):
        parse_policy([f"{kind}=keep"])


def test_problems_name_file_and_time() -> None:
    file = Path("/films/a.mp4")
    assert str(Problem(kind="black", file=file, text="is black", start=3675.25)) == (
        "/films/a.mp4, 1:01:15.2: is black"
    )
    assert str(Problem(kind="unreadable", file=file, text="is empty")) == "/films/a.mp4: is empty"
    fatal = parse_policy(["black=refuse"]).fatal(
        [Problem(kind="frozen", file=file, text="x"), Problem(kind="black", file=file, text="y")]
    )
    assert [problem.text for problem in fatal] == ["y"]
