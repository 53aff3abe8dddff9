"""What a trace says, in words: nothing false, and nothing of places that show nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from moc_engine.trace.record import EMPTY, ContextChunk, Portraits, QueryChunk, RoutingTrace
from studio.domain.inputs import TakeInputs
from studio.inspect.words import backend_in_words, in_words, links_with_pairs, paragraph
from tests.fakes.traces import OWN, PLACES, made, places_of, seen, third_shot, traces

INPUTS = TakeInputs(
    model="m", caption="", global_caption="", cast=(), seconds=1.0, fps=Fraction(8), size=(64, 64), seed=0
)


def test_a_paragraph_says_who_drew_most_from_whom() -> None:
    """Mira keeps half; of the rest shot 1 has .25, shot 2 .15, an empty place .1. In layer 1 all heads look
    at her in shot 1 first, in layer 2 in shot 2.
    """
    assert paragraph(third_shot(), PLACES) == (
        "60% of its attention stayed in the shot, 40% went to what came before. "
        "Mira drew most from Mira in shot 1: 50% of what it took from earlier shots, the first choice of 50% "
        "of the heads. "
        "The ball drew most from the ball in shot 1: 100% of what it took from earlier shots, the first "
        "choice of 100% of the heads."
    )


def part(shares: np.ndarray, context: list[ContextChunk], **changes: Any) -> RoutingTrace:
    query = [QueryChunk(name="Mira", frames=(0, 6), tokens=1)]
    return made(shares, query=query, context=context, **changes)


def test_the_first_choice_weighs_steps_by_their_number() -> None:
    """One step looks at shot 1 alone, four at shot 2 by half as much each: together shot 2 comes first."""
    shares = np.zeros((1, 1, 2, 1, 3))
    shares[0, 0, 0, 0] = (0.0, 1.0, 0.0)
    shares[0, 0, 1, 0] = (0.6, 0.0, 0.4)
    told = paragraph(part(shares, [OWN, seen("Mira", 0), seen("Mira", 1)], weights=(1, 4)), PLACES)
    assert "Mira drew most from Mira in shot 2: 62%" in told
    assert "the first choice of 100% of the heads" in told


def test_empty_places_are_never_who_was_looked_at() -> None:
    context = [OWN, seen("prop 1" + EMPTY, 0), seen("Mira", 0)]
    half = "50% of its attention stayed in the shot, 50% went to what came before."
    assert paragraph(part(np.array([[[[[0.5, 0.5, 0.0]]]]]), context), PLACES) == half
    assert paragraph(part(np.array([[[[[0.5, 0.5]]]]]), context[:2]), PLACES) == half


@pytest.mark.parametrize(
    ("routing", "within"),
    [
        ({"caption_backend": "native", "reference_pictures": 0}, "the shot"),
        ({"caption_backend": "within self-attention"}, "the shot and its captions"),
        ({"caption_backend": "native", "reference_pictures": 2}, "the shot and its reference pictures"),
    ],
)
def test_what_lies_among_the_shots_own_tokens_is_told(routing: dict[str, object], within: str) -> None:
    shares = np.array([[[[[0.6, 0.4]]]]])
    trace = made(
        shares,
        query=[QueryChunk(name="frame 1", frames=(0, 1), tokens=4)],
        context=[OWN, seen("frame 1", 0)],
        grid=(2, 2),
        routing=routing,
    )
    assert paragraph(trace, PLACES) == (
        f"60% of its attention stayed in {within}, 40% went to what came before."
    )


def test_whom_a_grid_shows_is_told_by_portraits_instead_of_frames() -> None:
    frames = [QueryChunk(name=f"frame {nth + 1}", frames=(nth, nth + 1), tokens=4) for nth in range(2)]
    context = [OWN, seen("frame 1", 0), seen("frame 2", 0), seen("frame 1", 1)]
    shares = np.tile([0.5, 0.2, 0.2, 0.1], (1, 1, 1, 2, 1))
    seen_by = Portraits(names=("Mira",), vectors=np.ones((1, 2)), shares=np.array([[0.2, 0.1, 0.1, 0.6]]))
    trace = made(shares, query=frames, context=context, grid=(2, 2), portraits=seen_by)
    assert paragraph(trace, PLACES) == (
        "50% of its attention stayed in the shot, 50% went to what came before. "
        "Mira drew most from shot 2: 75% of what it took from earlier shots."
    )


def test_a_part_that_is_not_there_to_be_steered_is_said() -> None:
    parts = {"pins": ["0/Mira", "0/Otto"], "bans": ["1/Ada"], "boosts": {}}
    told = paragraph(third_shot(steering={"parts": parts}), PLACES)
    assert told.endswith(
        "The pin of Otto in shot 1 did nothing: that take shows no such part. "
        "The ban of Ada in shot 2 did nothing: that take shows no such part."
    )
    assert "pin of Mira" not in told
    boosted = third_shot(grid=(1, 1), steering={"parts": {"boosts": {"0/Otto": 2.0}}})
    assert paragraph(boosted, PLACES).endswith(
        "The boost of Otto in shot 1 did nothing: this model knows no parts."
    )


def test_another_router_is_said() -> None:
    told = "It attended to the latest shots, whatever they show (router window)."
    assert told in paragraph(third_shot(routing={"router": "window"}), PLACES)
    own = "What it attended to was chosen by the router mine."
    assert own in paragraph(third_shot(routing={"router": "mine"}), PLACES)
    full = {"router": "window", "full_attention": True, "tokens": 1, "full_below": 2}
    for routing in ({}, {"router": "moc"}, full):
        assert "router" not in paragraph(third_shot(routing=routing), PLACES)


def test_full_attention_is_said_with_its_numbers() -> None:
    routing = {"full_attention": True, "tokens": 3120, "full_below": 8192}
    told = "Nothing was routed: it attended in full to all 3,120 tokens that it may use, fewer than 8,192"
    assert paragraph(third_shot(routing=routing), PLACES).endswith(f"{told}.")
    auto = third_shot(routing={**routing, "full_below_asked": "auto"})
    assert paragraph(auto, PLACES).endswith(f"{told}, below which routing is slower here (auto).")
    boosted = third_shot(routing=routing, steering={"boosts": {"0": 2.0}})
    assert paragraph(boosted, PLACES).endswith(f"{told}, and boosts played no part.")
    assert "Nothing was routed" not in paragraph(third_shot(routing={"full_below": 0}), PLACES)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (
            "measured: cpu: 4 × 96 queries, history 288",
            "Computed by the backend naive, the fastest measured for about this size.",
        ),
        ("asked for; with a kernel of its own", "Computed by the backend naive, as asked for."),
        ("rule: triton where it is there", "Computed by the backend naive, the default on this device."),
    ],
)
def test_the_backend_is_said_with_why_it_was_chosen(choice: str, words: str) -> None:
    trace = third_shot(routing={"backend_choice": choice})
    assert backend_in_words(trace) == (words,)
    assert words in in_words(trace, INPUTS, PLACES, {})
    assert backend_in_words(third_shot()) == ()


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ({}, ""),
        ({"policy": "all", "storage": "full", "context_tokens": 9, "remembered_tokens": 9}, ""),
        (
            {"policy": "change", "keyframes": 8, "context_tokens": 200, "remembered_tokens": 76},
            " Remembered was 8 latent frames of each shot, those that change most: 38% of all tokens that "
            "came before.",
        ),
        (
            {"policy": "spread", "keyframes": 8, "context_tokens": 20, "remembered_tokens": 20},
            " Everything was remembered: no earlier shot has more than 8 latent frames.",
        ),
        (
            {"policy": "first-last", "keyframes": 8, "context_tokens": 20, "remembered_tokens": 20},
            " Everything was remembered: no earlier shot has more than 2 latent frames.",
        ),
        (
            {"policy": "cast", "context_tokens": 20, "remembered_tokens": 20},
            " Remembered was what shows the cast: 100% of all tokens that came before.",
        ),
        (
            {"policy": "mine", "context_tokens": 4, "remembered_tokens": 2, "storage": "int8"},
            " Remembered was what the policy mine keeps: 50% of all tokens that came before. "
            "Memories were kept in 8 bits.",
        ),
        (
            {"bytes_copied_per_step": 3_210_000_000, "bytes_read_per_step": 450_000_000},
            " In each step 3.2 GB were copied to the device and 0.5 GB were read from files.",
        ),
        (
            {"bytes_copied_per_step": 0, "bytes_read_per_step": 2_000_000_000},
            " In each step 2.0 GB were read from files.",
        ),
    ],
)
def test_what_was_remembered_is_said(memory: dict[str, Any], words: str) -> None:
    trace = third_shot()
    told = paragraph(replace(trace, routing={**trace.routing, "memory": memory}), PLACES)
    assert told == paragraph(trace, PLACES) + words


def test_a_first_shot_saw_nothing() -> None:
    assert paragraph(part(np.ones((1, 1, 1, 1, 1)), [OWN]), {}) == (
        "It saw no earlier shot: everything in it is its own."
    )


@pytest.mark.parametrize(
    ("steering", "words"),
    [
        ({"bans": [0, 1]}, "All that came before was banned: everything in it is its own."),
        (
            {"bans": [0], "parts": {"bans": ["1/Mira"]}},
            "All that came before was banned: everything in it is its own.",
        ),
        ({"bans": [0]}, "Nothing that came before got any attention: everything in it is its own."),
        ({}, "Nothing that came before got any attention: everything in it is its own."),
    ],
)
def test_where_nothing_was_left_to_look_at_that_is_said(steering: dict[str, Any], words: str) -> None:
    context = [OWN, seen("Mira", 0), seen("Mira", 1), seen("prop 1" + EMPTY, 1)]
    trace = part(np.array([[[[[1.0, 0.0, 0.0, 0.0]]]]]), context, steering=steering)
    assert paragraph(trace, PLACES) == words
    assert links_with_pairs(trace, PLACES) == ()


def test_captions_are_not_what_came_before() -> None:
    context = [OWN, seen("Mira", 0), ContextChunk(kind="caption", name="caption", shot=2)]
    told = paragraph(part(np.array([[[[[0.5, 0.2, 0.3]]]]]), context), PLACES)
    assert told.startswith(
        "50% of its attention stayed in the shot, 30% went to captions, 20% went to what came before."
    )


def test_links_name_their_strongest_pairs() -> None:
    first, second = links_with_pairs(third_shot(), {"take-1": 8})
    assert (first.shot, first.take, second.shot, second.take) == (None, "take-0", 8, "take-1")
    assert first.share == pytest.approx((2 * 0.25 + 0.2) / 3, abs=1e-4)
    assert [(pair.query, pair.source) for pair in first.pairs] == [("Mira", "Mira"), ("the ball", "the ball")]
    assert [pair.share for pair in first.pairs] == pytest.approx([2 / 3 * 0.25, 1 / 3 * 0.2], abs=1e-4)
    assert first.rest == pytest.approx(0.0, abs=1e-9)
    assert [(pair.query, pair.source) for pair in second.pairs] == [("Mira", "Mira")]
    assert second.pairs[0].share == pytest.approx(2 / 3 * 0.15, abs=1e-4)
    assert second.rest == pytest.approx(2 / 3 * 0.1, abs=1e-4)  # places that show nothing


def test_lines_tell_links_and_steering() -> None:
    inputs = TakeInputs(
        **{**vars(INPUTS), "pins": ("take-1",), "bans": ("take-0/Mira",), "boosts": {"gone": 1.0}}
    )
    lines = in_words(third_shot(), inputs, PLACES, {"take-0": "Mira waves"})
    assert lines[-9:] == [
        " 23% went to shot 1: Mira waves",
        "      Mira ← Mira (17%)",
        "      the ball ← the ball (7%)",
        " 17% went to shot 2",
        "      Mira ← Mira (10%)",
        "      all other parts together (7%)",
        "pinned: shot 2",
        "banned: Mira in shot 1",
        "boosted: a take the film no longer shows",
    ]


@settings(max_examples=25)
@given(traces())
def test_words_can_be_found_for_any_trace(trace: RoutingTrace) -> None:
    told = paragraph(trace, places_of(trace))
    assert EMPTY not in told
    links = links_with_pairs(trace, places_of(trace))
    shares = [link.share for link in links]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(sum(trace.shot_shares().values()), abs=1e-9)
    assert not any(EMPTY in pair.query + pair.source for link in links for pair in link.pairs)
    for link in links:
        assert sum(pair.share for pair in link.pairs) + link.rest == pytest.approx(link.share, abs=1e-9)


def test_skipped_layers_are_said_with_their_share() -> None:
    trace = third_shot(routing={"step_cache": "taylor", "skipped": [[1, [0, 1]], [3, [1]]]})
    steps = trace.step_groups[-1][1]
    assert (
        f"Steps 2, 4: reused (TaylorSeer). In 2 of {steps} steps {3 / steps / len(trace.table):.0%} of all "
        "layers were skipped: shown is what they had attended to before."
    ) in paragraph(trace, PLACES)
    assert "reused" not in paragraph(third_shot(routing={"step_cache": "mag", "skipped": []}), PLACES)
    once = third_shot(routing={"step_cache": "first-block", "skipped": [[2, [1]]]})
    assert "Step 3: reused (first-block cache)." in paragraph(once, PLACES)
    run = third_shot(routing={"step_cache": "mag", "skipped": [[0, [1]], [1, [1]], [2, [1]]]})
    assert "Steps 1–3: reused (MagCache)." in paragraph(run, PLACES)


def test_a_render_that_ran_out_of_memory_before_says_so() -> None:
    note = "out of memory in stage “denoise”: shorten the shot; rendered again with the profile 12gb"
    told = paragraph(third_shot(routing={"profile": {"name": "12gb", "note": note}}), PLACES)
    assert f"Before, the render ran {note}." in told
    assert "Before" not in paragraph(third_shot(routing={"profile": {"name": "12gb", "note": ""}}), PLACES)
