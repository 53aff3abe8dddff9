import numpy as np
import torch

from moc_engine.evaluation.benchmark.tile_work import TileWork, tile_work


def test_tiles_cover_the_union_of_their_queries_or_the_queries_of_a_chunk() -> None:
    offsets = np.array([0, 3, 5, 12])  # chunks of 3, 2 and 7 keys
    chosen = torch.tensor([[[0, 2], [2, -1], [0, 1]], [[-1, -1], [-1, -1], [1, -1]]])
    pairs = (3 + 7) + 7 + (3 + 2) + 2
    by_query = 2 * (
        (3 + 7) + (3 + 2) + 0 + 2
    )  # of each head two tiles of two places, the last with one query
    by_chunk = 2 * (3 + 2 + 7 + 2)  # each chunk fits one tile
    assert tile_work(chosen, offsets, 2) == TileWork(by_query=by_query, by_chunk=by_chunk, pairs=pairs)
    assert tile_work(chosen, offsets, 1) == TileWork(by_query=pairs, by_chunk=pairs, pairs=pairs)


def test_queries_that_choose_alike_cost_their_pairs() -> None:
    chosen = torch.tensor([1, 2]).expand(1, 64, 2)
    pairs = 64 * 2 * 10
    assert tile_work(chosen, np.arange(0, 50, 10), 32) == TileWork(
        by_query=pairs, by_chunk=pairs, pairs=pairs
    )
