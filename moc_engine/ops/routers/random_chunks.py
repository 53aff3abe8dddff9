"""A router that chooses at random: uniformly among the candidates, the same chunks in all steps of a shot.

Shapes: B stories, H heads, L queries, C history chunks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moc_engine.ops.choosing import choose_chunks
from moc_engine.ops.routers.router import Choice, RouterEntry, RoutingRequest


def random_scores(like_BHLC: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Random scores of the shape of `like_BHLC`; each story is drawn by its own generator."""
    drawn = [torch.rand(like_BHLC.shape[1:], generator=generator) for generator in generators]
    return torch.stack(drawn).to(like_BHLC.device)


class RandomRouter:
    """Draws scores once for each layer and shot."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._generators = generators
        self._of_layer: dict[int, Tensor] = {}

    def begin(self) -> None:
        """The next shot draws anew."""
        self._of_layer.clear()

    def choose(self, request: RoutingRequest) -> Choice:
        """The chunks with the best draws."""
        if request.layer not in self._of_layer:
            like = request.q_BHLD.new_empty(*request.q_BHLD.shape[:3], request.layout.chunks)
            self._of_layer[request.layer] = random_scores(like, self._generators)
        scores, candidates = self._of_layer[request.layer], request.candidates_BC[:, None, None]
        return Choice(indices_BHLK=choose_chunks(scores, candidates, request.routing, layout=request.layout))


RANDOM = RouterEntry(
    name="random",
    title="random",
    source="uniformly random chunks",
    make=RandomRouter,
)
