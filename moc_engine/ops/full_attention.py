"""When a shot attends to all that it may choose from instead of routing, which is decided beforehand."""

from __future__ import annotations

from importlib.util import find_spec

from moc_engine.config import RoutingConfig
from moc_engine.ops.layout import Ints
from moc_engine.ops.measured import Shape, full_attention_below


def resolved_full_below(
    config: RoutingConfig,
    device: str,
    *,
    rows: int,
    tokens: int,
    head_size: int,
    chunk_lengths: Ints,
    mandatory: int = 0,
) -> int:
    """The tokens below which attention is full: those of `config`, with "auto" by measured times.

    It is for shots of `tokens` tokens, with `rows` batch times heads, on `device`; `chunk_lengths` are those
    of the chunks it may choose. How many there are does not count, nor does `config.backend`, so that all
    backends are given one selection. `mandatory` tokens, which are attended to besides the own ones in
    either case, such as pinned ones, do not decide, so "auto" adds them. With a top-k of 0 it is 0: nothing
    is faster than attending to nothing.
    """
    if config.full_below != "auto":
        return config.full_below
    if config.top_k == 0:
        return 0
    shape = Shape(
        rows=rows,
        own=tokens,
        history=0,
        chunk=max(1, round(chunk_lengths.mean())) if chunk_lengths.size else 1,
        top_k=config.top_k,
        head=head_size,
    )
    below = full_attention_below(device, shape, _routing_backend(device))
    return below + mandatory if below else 0


def _routing_backend(device: str) -> str:
    """The backend that "auto" takes for much work, whose times count."""
    return "triton" if device == "cuda" and find_spec("triton") is not None else "grouped"
