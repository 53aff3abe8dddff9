"""Attention on any device: one dense pass over mandatory keys, one gathered pass over routed chunks.

    dense    own shot, captions, pins: spans of keys that all queries of a shot attend to
    routed   (query, chunk) pairs sorted by chunk into tiles: queries that share one chunk's keys
    merge    by log-sum-exp, which also gives each chunk's share of attention at no extra pass

No L × T matrix is written, and pairs are handled block by block, so memory grows with the queries alone.
Every gather has one writer and every sum one order: the same input gives the same bits.
"""

from __future__ import annotations

from functools import partial

from moc_engine.ops.attended import history_attention, layout_attention
from moc_engine.ops.backend import AttentionBackend
from moc_engine.ops.segmented import segmented_attention
from moc_engine.ops.union import attend

grouped_attention = partial(history_attention, attend)

GROUPED = AttentionBackend(
    name="grouped",
    over_layout=partial(layout_attention, attend),
    over_history=grouped_attention,
    over_segments=segmented_attention,
    far_history=True,
)
