"""Which spans are joined into one call of a dense kernel."""

from __future__ import annotations

from moc_engine.ops.attended import Span
from moc_engine.ops.triton.spans import joined


def spans(*keys: tuple[int, int], source: int = 1, queries: tuple[int, int] = (0, 9)) -> list[Span]:
    return [Span(source=source, queries=queries, keys=pair) for pair in keys]


def lengths(found: list[Span], *, longest: int = 10, most_keys: int = 1000) -> list[int]:
    runs = list(joined(found, longest, most_keys))
    assert [span for run in runs for span in run] == found
    return [len(run) for run in runs]


def test_short_spans_that_touch_are_joined() -> None:
    assert lengths(spans((0, 5), (5, 6), (6, 16))) == [3]
    assert lengths(spans((0, 5), (6, 9), (9, 12))) == [1, 2]
    assert lengths([]) == []


def test_long_spans_stay_alone() -> None:
    assert lengths(spans((0, 5), (5, 16), (16, 18), (18, 20))) == [1, 1, 2]
    assert lengths(spans((0, 5), (5, 10)), longest=0) == [1, 1]


def test_spans_of_other_sources_or_queries_stay_apart() -> None:
    assert lengths([*spans((0, 5), source=0), *spans((5, 9))]) == [1, 1]
    assert lengths([*spans((0, 5), queries=(0, 4)), *spans((5, 9), queries=(4, 9))]) == [1, 1]


def test_joined_spans_have_a_greatest_length() -> None:
    assert lengths(spans(*((n, n + 4) for n in range(0, 24, 4))), most_keys=9) == [2, 2, 2]
    assert lengths(spans((0, 4), (4, 8)), most_keys=1) == [1, 1]
