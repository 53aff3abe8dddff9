"""A trace as tables for other tools: CSV, NPZ, Parquet. Shots, layers, heads and steps count from 1."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.units import ONE
from studio.domain.errors import WrongUse
from studio.domain.messages import message

COLUMNS: Final = (
    "layer",
    "heads",
    "steps",
    "part",
    "kind",
    "source",
    "source_shot",
    "source_take",
    "share",
    "picks",
)


def csv_of(trace: RoutingTrace) -> bytes:
    """A row per layer, heads, steps, part of the shot and source that got any attention."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(_rows(trace))
    return text.getvalue().encode()


def npz_of(trace: RoutingTrace) -> bytes:
    """The arrays as they are, shares 0–1: `table` and `picks` (N, H, G, Q, C), `token_map` (rows, C), and the
    labels of their axes as JSON in `labels`.
    """
    labels = {
        "query": [asdict(chunk) for chunk in trace.query],
        "context": [asdict(chunk) for chunk in trace.context],
        "step_groups": trace.step_groups,
        "heads": trace.heads,
        "shot": trace.shot,
        "model": trace.model,
        "backend": trace.backend,
        "routing": dict(trace.routing),
    }
    data = io.BytesIO()
    np.savez_compressed(
        data,
        table=(trace.table / ONE).astype(np.float32),
        picks=trace.picks,
        token_map=trace.token_map().astype(np.float32),
        labels=np.array(json.dumps(labels, ensure_ascii=False)),
    )
    return data.getvalue()


def parquet_of(trace: RoutingTrace) -> bytes:
    """The rows of `csv_of`. Raises `WrongUse` without the extra `export`."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise WrongUse(message("parquet-not-installed")) from error
    columns = list(zip(*_rows(trace), strict=True)) or [()] * len(COLUMNS)
    data = io.BytesIO()
    parquet.write_table(pa.table(dict(zip(COLUMNS, map(list, columns), strict=True))), data)
    return data.getvalue()


FORMATS: Final[Mapping[str, Callable[[RoutingTrace], bytes]]] = {
    "csv": csv_of,
    "npz": npz_of,
    "parquet": parquet_of,
}


def _rows(trace: RoutingTrace) -> Iterator[tuple[Any, ...]]:
    firsts = np.cumsum([0, *trace.heads]).tolist()
    heads = [_span(first, firsts[nth + 1]) for nth, first in enumerate(firsts[:-1])]
    steps = [_span(first, stop) for first, stop in trace.step_groups]
    for n, h, g, q, c in zip(*np.nonzero(trace.table), strict=True):
        chunk = trace.context[c]
        yield (
            int(n) + 1,
            heads[h],
            steps[g],
            trace.query[q].name,
            chunk.kind,
            chunk.name,
            chunk.shot + 1,
            chunk.take or "",
            round(float(trace.table[n, h, g, q, c]) / ONE, 6),
            int(trace.picks[n, h, g, q, c]),
        )


def _span(first: int, stop: int) -> str:
    return str(first + 1) if stop - first == 1 else f"{first + 1}-{stop}"
