"""Figures are plain data that Plotly takes, and show what they are told."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from plotly.graph_objects import Figure as PlotlyFigure

from moc_engine.trace.drift import Appearance, Drift
from moc_engine.trace.record import QueryChunk, RoutingTrace
from studio.inspect.difference import difference
from studio.inspect.figures import (
    FAINTEST,
    chunk_figure,
    difference_figure,
    drift_figure,
    head_figures,
    story_figure,
    take_figures,
)
from studio.inspect.heads import heads_of
from studio.inspect.pages import coloured
from studio.inspect.sources import by_source, sources_of
from studio.inspect.story import StoryRow
from tests.fakes.traces import OWN, PLACES, made, places_of, seen, third_shot, traces


def row(place: int, shares: tuple[float | None, ...], own: float | None, elsewhere: float = 0.0) -> StoryRow:
    return StoryRow(
        shot="abc"[place],
        index=place,
        caption="",
        take="t",
        own=own,
        captions=None,
        elsewhere=elsewhere,
        shares=shares,
    )


ROWS = (row(0, (None, None), 1.0), row(1, (0.25, None), 0.75))


def takes(figure: dict[str, Any]) -> None:
    """It is JSON, and Plotly knows all of its words."""
    PlotlyFigure(json.loads(json.dumps(coloured(figure), allow_nan=False)))


def test_the_story_map_has_a_cell_per_pair_and_what_stayed_beside_it() -> None:
    figure = story_figure(ROWS)
    main, own = figure["data"]
    assert main["z"] == [[None, None], [0.25, None]]
    assert (main["x"], main["y"]) == (["1", "2"], ["1", "2"])
    assert (own["x"], own["z"]) == (["own"], [[1.0], [0.75]])
    takes(figure)
    more = story_figure((ROWS[0], row(1, (None, None), 0.75, 0.25)))
    assert more["data"][2]["z"] == [[None], [0.25]]
    takes(more)
    takes(story_figure(()))


def test_the_chunk_map_shows_each_share_on_either_scale() -> None:
    trace = third_shot()
    sources = sources_of(trace, PLACES)
    shares = by_source(trace.by_query(), sources)
    linear, logarithmic = (
        chunk_figure(["Mira", "the ball"], sources, shares, log=log) for log in (False, True)
    )
    (plain,), (turned,) = linear["data"], logarithmic["data"]
    assert np.array(plain["z"]) == pytest.approx(shares, abs=1e-5)
    assert np.array(turned["z"]) == pytest.approx(np.log10(np.maximum(shares, FAINTEST)), abs=1e-4)
    assert plain["customdata"] == turned["customdata"] == plain["z"]
    assert (plain["zmin"], plain["zmax"]) == (0, pytest.approx(shares.max()))  # or Plotly begins at the least
    assert linear["layout"]["xaxis"]["tickvals"] == plain["x"]  # few are named one by one
    takes(linear)
    takes(logarithmic)


def test_many_sources_are_told_by_their_shots() -> None:
    names = [f"prop {nth}" for nth in range(12)]
    context = [OWN, *(seen(name, shot) for shot in range(2) for name in names)]
    query = [QueryChunk(name="Mira", frames=(0, 6), tokens=1)]
    trace = made(np.full((1, 1, 1, 1, 25), 1 / 25), query=query, context=context)
    sources = sources_of(trace, PLACES)
    figure = chunk_figure(["Mira"], sources, by_source(trace.by_query(), sources), log=True)
    axis, columns = figure["layout"]["xaxis"], figure["data"][0]["x"]
    assert axis["ticktext"] == ["own", "1", "2"]
    assert axis["tickvals"] == [columns[0], columns[7], columns[19]]
    takes(figure)


def test_names_of_sources_never_touch() -> None:
    """With 81 columns "own" above the first would touch a "1" above the next ones."""
    context = [OWN, *(seen(f"prop {nth}", shot) for shot in range(40) for nth in range(2))]
    query = [QueryChunk(name="Mira", frames=(0, 6), tokens=1)]
    trace = made(np.full((1, 1, 1, 1, 81), 1 / 81), query=query, context=context)
    places = {f"take-{shot}": shot for shot in range(40)}
    sources = sources_of(trace, places)
    figure = chunk_figure(["Mira"], sources, by_source(trace.by_query(), sources), log=True)
    axis, columns = figure["layout"]["xaxis"], figure["data"][0]["x"]
    at = [columns.index(value) for value in axis["tickvals"]]
    lengths = [len(words) for words in axis["ticktext"]]
    assert axis["ticktext"][:2] == ["own", "3"]
    for (left, right), (one, other) in zip(pairwise(at), pairwise(lengths), strict=True):
        assert (right - left) * 60 / 81 >= (one + other) / 2 + 1 - 1e-9
    takes(figure)


def test_parts_of_one_name_keep_rows_of_their_own() -> None:
    query = [QueryChunk(name="ball", frames=(0, 6), tokens=1)] * 2
    table = np.array([[[[[0.9, 0.1, 0.0], [0.5, 0.0, 0.5]]]]])
    trace = made(table, query=query, context=[OWN, seen("ball", 0), seen("ball", 0)])
    (drawn,) = take_figures(trace, PLACES)["What each part looked at"]["data"]
    assert len(set(drawn["y"])) == 2
    assert len(set(drawn["x"])) == 3
    assert {label.strip("​") for label in drawn["y"]} == {"ball"}


def test_the_difference_is_even_on_both_sides() -> None:
    (drawn,) = difference_figure(difference(third_shot(), third_shot(), PLACES))["data"]
    assert (drawn["zmin"], drawn["zmax"]) == (-0.05, 0.05)  # noise is drawn faintly
    other = replace(third_shot(), table=np.roll(third_shot().table, 1, axis=-1))
    figure = difference_figure(difference(third_shot(), other, PLACES))
    (drawn,) = figure["data"]
    assert drawn["zmax"] == -drawn["zmin"] == pytest.approx(np.abs(drawn["z"]).max(), abs=1e-4)
    takes(figure)


def test_heads_have_four_figures() -> None:
    figures = head_figures(heads_of(third_shot(), PLACES))
    assert len(figures) == 4
    past, reach, spread, steps = figures.values()
    assert past["data"][0]["x"] == ["1", "2–3"]
    assert np.array(past["data"][0]["z"]) == pytest.approx(np.full((2, 2), 0.4), abs=1e-4)
    assert np.array(reach["data"][0]["z"]).shape == (2, 2)
    assert len(spread["data"][0]["x"]) == 2
    assert [line["name"] for line in steps["data"]] == ["shot 1", "shot 2"]
    assert steps["data"][0]["x"] == ["step 1", "steps 2–4"]


@settings(max_examples=25)
@given(traces())
def test_plotly_takes_every_figure_of_any_trace(trace: RoutingTrace) -> None:
    for figure in take_figures(trace, places_of(trace)).values():
        takes(figure)
    takes(difference_figure(difference(trace, third_shot(), PLACES)))


def test_names_are_shown_as_they_are() -> None:
    hostile = '<a href="https://elsewhere">Mira</a> & %{y}'
    query = [QueryChunk(name=hostile, frames=(0, 6), tokens=1)]
    trace = made(np.array([[[[[0.5, 0.5]]]]]), query=query, context=[OWN, seen(hostile, 0)])
    told = json.dumps(
        [*take_figures(trace, PLACES).values(), difference_figure(difference(trace, trace, PLACES))]
    )
    assert "<a" not in told
    seen_twice = [Appearance(index=n, take="t", distance=0.5, anchor=0, share=None) for n in (0, 1)]
    (line,) = drift_figure([Drift(name=hostile, appearances=tuple(seen_twice))], 2)["data"]
    assert "<a" not in json.dumps(line)
    assert "%{y}" not in line["hovertemplate"].replace("%{y:.2f}", "").replace("%{fullData.name}", "")
