"""MoC's router: the best chunks by the dot product of a query with their mean keys (arXiv 2508.21058)."""

from __future__ import annotations

from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.routers.router import Choice, RouterEntry, RoutingRequest, StatelessRouter


def _choose(request: RoutingRequest) -> Choice:
    rules = ChunkRules(candidates=request.candidates_BC[:, None])
    layout = request.layout if request.routing.outer_shots is not None else None
    return Choice(
        indices_BHLK=route_queries(request.q_BHLD, request.means_BHCD, rules, request.routing, layout=layout)
    )


TOP_K = RouterEntry(
    name="moc",
    title="MoC",
    source="Mixture of Contexts, arXiv 2508.21058",
    make=lambda generators: StatelessRouter(_choose),
)
