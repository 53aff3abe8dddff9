"""What tiles of a routed pass compute, by chunk and by query, counted without a device.

    by chunk    a tile holds queries that chose one chunk; only the last tile of a chunk has idle places
    by query    a tile of adjacent queries walks the union of their chunks, masked by what each chose

The backend `triton` goes by chunk. Run as a program, this counts the case "175k" of the benchmark, 21,840
queries that choose among 98 chunks of 1,560 tokens, in multiples of the routed pairs, by query and by chunk:

    queries                tiles of 64, k 3    tiles of 64, k 5    tiles of 128, k 3    tiles of 128, k 5
    random                     27.7, 1.04          18.8, 1.03           31.8, 1.09           19.6, 1.06
    alike in runs of 65         5.9, 1.05           5.1, 1.03            9.0, 1.10            7.5, 1.06

A tile by query needs no packing and no partial outputs, but its products would have to run that many times
as fast. Tiles by chunk reach 370 TFLOP/s on an H200 where dense attention reaches 634 (prototype figures):
going by query could gain below 1.7 alone, and even queries that are equal in runs of 65 need 1.9, as a tile
of 64 lies across two runs. The choices of the embedded model, of 48 tokens a shot, take 3.3 (k 3) and 2.7
(k 5) times their pairs in tiles of 16.

Shapes: H heads, L queries, K chosen chunks of a query, C chunks, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from moc_engine.evaluation.benchmark.cases import attention_cases
from moc_engine.evaluation.benchmark.routed import choose
from moc_engine.evaluation.benchmark.story import build_story
from moc_engine.ops.layout import Ints
from moc_engine.ops.selection import mask_of


@dataclass(frozen=True, kw_only=True)
class TileWork:
    """Query-key pairs that tiles compute, by query and by chunk, and those of the selection."""

    by_query: int
    by_chunk: int
    pairs: int


def tile_work(chosen_HLK: Tensor, offsets: Ints, tile: int) -> TileWork:
    """The work of tiles of `tile` places; chunks, of which -1 is none, are cut by `offsets` [C + 1]."""
    lengths = torch.tensor(offsets).diff()
    mask = mask_of(chosen_HLK.cpu(), len(lengths))
    queries_HC = mask.sum(dim=1)
    unions = pad(mask, (0, 0, 0, -mask.shape[1] % tile)).unflatten(1, (-1, tile)).any(dim=2)
    tiles_HC = -(-queries_HC // tile)
    return TileWork(
        by_query=tile * int((unions * lengths).sum()),
        by_chunk=tile * int((tiles_HC * lengths).sum()),
        pairs=int((queries_HC * lengths).sum()),
    )


def main() -> None:
    """Prints the work of the case "175k" on a GPU, for two of its heads."""
    case = next(case for case in attention_cases("cuda", tiny=False) if case.name == "175k")
    for alike in (False, True):
        for top_k in (3, 5):
            counted = replace(case, heads=2, top_k=top_k, alike=alike, dtype="float32")
            story = build_story(counted, torch.device("cpu"))
            chosen_HLK = choose(story)[0]
            for tile in (64, 128):
                work = tile_work(chosen_HLK, story.history.offsets, tile)
                print(
                    f"{'alike' if alike else 'random'}, k {top_k}, tiles of {tile}:"
                    f" by query {work.by_query / work.pairs:.2f}, by chunk {work.by_chunk / work.pairs:.2f}"
                )


if __name__ == "__main__":
    main()
