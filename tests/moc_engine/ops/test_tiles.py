"""Packing of routed pairs into tiles, and of tiles into batches."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from moc_engine.ops.tiles import GREATEST_TILE, KEYS_AT_ONCE, PADDING, pack


@given(st.data(), st.integers(1, 3), st.integers(1, 40), st.integers(0, 4))
@settings(max_examples=60)
def test_tiles_hold_every_pair_once(data: st.DataObject, R: int, L: int, K: int) -> None:
    lengths = np.array(data.draw(st.lists(st.integers(0, 5), min_size=max(1, K), max_size=12)))
    generator = np.random.default_rng(data.draw(st.integers(0, 999)))
    skew = generator.dirichlet(np.full(len(lengths), 0.3), size=R) + 1e-9
    indices = np.stack(
        [[generator.choice(len(lengths), K, replace=False, p=p / p.sum()) for _ in range(L)] for p in skew]
    )
    indices[generator.random(indices.shape) < 0.2] = -1
    tiles = pack(indices, lengths)
    positions = len(tiles.queries)
    pairs = indices.reshape(R * L, K)
    real = (pairs >= 0) & (lengths[pairs] > 0)
    assert np.array_equal(tiles.slots < positions, real)
    assert tiles.slots[~real].tolist() == [positions] * int((~real).sum())
    found: dict[int, tuple[int, int]] = {}
    at = tile = 0
    for batch in tiles.batches:
        assert (batch.at, batch.first) == (at, tile)
        keys = list(zip(tiles.rows[batch.tiles], tiles.chunks[batch.tiles], strict=True))
        assert len(keys) == len(set(keys))
        for row, chunk in keys:
            assert lengths[chunk] == batch.length
            queries, used = (x[at : at + batch.width] for x in (tiles.queries, tiles.used))
            for position, query in enumerate(queries.tolist(), at):
                assert query // L == row
                assert chunk in pairs[query]
                if used[position - at]:
                    found[position] = query, chunk
            at += batch.width
        tile = batch.stop
    assert at == positions
    for query, nth in np.argwhere(real):
        assert found.pop(int(tiles.slots[query, nth])) == (query, pairs[query, nth])
    assert not found


def test_a_chunk_that_many_chose_fills_equal_tiles_of_batches_of_their_own() -> None:
    L = 2 * GREATEST_TILE + 10
    indices = np.stack((np.zeros(L, dtype=np.int64), np.arange(L) % 2 + 1), axis=1)[None]
    tiles = pack(indices, np.array([3, 3, 3]))
    widths = [batch.width for batch in tiles.batches for _ in range(batch.first, batch.stop)]
    assert max(widths) <= GREATEST_TILE
    assert sorted(widths)[:3] == [L // 3, -(-L // 3), -(-L // 3)]
    assert [tiles.chunks[batch.tiles].tolist().count(0) for batch in tiles.batches] == [1, 1, 1]


def test_batches_hold_few_keys_and_little_padding() -> None:
    generator = np.random.default_rng(0)
    indices = np.stack([generator.permutation(64)[:5] for _ in range(2000)])[None]
    lengths = np.full(64, 256)
    tiles = pack(indices, lengths)
    for batch in tiles.batches:
        assert (batch.stop - batch.first) * batch.length <= KEYS_AT_ONCE
        assert int((~tiles.used[batch.positions]).sum()) * batch.length <= PADDING
    assert len(tiles.batches) <= 12
    assert tiles.used.mean() > 0.97


def test_no_pairs_make_no_tiles() -> None:
    tiles = pack(np.full((2, 3, 4), -1), np.array([2, 2]))
    assert not tiles.batches
    assert not len(tiles.queries)
    assert tiles.slots.tolist() == np.zeros((6, 4)).tolist()
