"""Another router than MoC's in a render: it gets the question that evaluations put to it.

Shapes: B batch, H heads, L tokens of the shot, C chunks of the history, D head width, K chosen chunks.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig
from moc_engine.errors import EngineError
from moc_engine.memory.grid import TokenGrid
from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.routers.registry import find_router
from moc_engine.ops.routers.router import RoutingRequest
from moc_engine.ops.routing import Eligibility


def check_router(routing: RoutingConfig, *, boosted: bool) -> None:
    """Raises `EngineError` for a router that renders cannot use, and for boosts that it would ignore."""
    if routing.router == "moc":
        return
    try:
        entry = find_router(routing.router)
    except ValueError as error:
        raise EngineError(str(error)) from error
    if entry.routes_own:
        raise EngineError(
            f"the router {entry.name} also chooses within the shot, and a render attends to its whole shot"
        )
    if entry.parameters is not None:
        raise EngineError(f"the router {entry.name} is learned, and renders have no parameters of routers")
    if boosted:
        raise EngineError(
            f"the router {entry.name} has no scores that could be boosted: remove the boosts, pin instead, "
            "or use the router moc"
        )


class RenderRouter:
    """Chooses chunks of the history for one render, layer after layer and step after step, of `steps`."""

    def __init__(
        self,
        routing: RoutingConfig,
        grid: TokenGrid,
        layout: ChunkLayout,
        rule: Eligibility,
        *,
        shot: int,
        steps: int,
        device: torch.device,
    ) -> None:
        self._routing, self._layout, self._shot = routing, layout, shot
        self._router = find_router(routing.router).make([torch.Generator().manual_seed(shot)])
        self._router.begin()
        self._step, self._steps = 0, steps
        self._candidates_BC = torch.tensor(rule.candidates).to(device)[None]
        lengths = np.diff(grid.extent.offsets)
        self._own_chunk_L = torch.tensor(np.repeat(np.arange(len(lengths)), lengths)).to(device)

    def begin(self, step: int) -> None:
        """The next questions are those of this step."""
        self._step = step

    def choose(self, layer: int, q_BHLD: Tensor, own_k_BHLD: Tensor, means_HCD: Tensor) -> Tensor:
        """The chunks that each query attends to: int64 (B, H, L, K), -1 for none.

        Queries, own keys and mean keys are rotated or not, as descriptors are compared.
        """
        choice = self._router.choose(
            RoutingRequest(
                q_BHLD=q_BHLD,
                own_k_BHLD=own_k_BHLD,
                means_BHCD=means_HCD.expand(len(q_BHLD), -1, -1, -1),
                layout=self._layout,
                shot=self._shot,
                candidates_BC=self._candidates_BC,
                own_chunk_L=self._own_chunk_L,
                routing=self._routing,
                rotated=self._no_single_keys,
                layer=layer,
                step=self._step,
                steps=self._steps,
            )
        )
        if choice.scores_BHLT is not None or choice.own_BHLL is not None:
            raise EngineError(
                f"the router {self._routing.router} chooses single tokens; a render attends to whole chunks"
            )
        return choice.indices_BHLK

    def _no_single_keys(self) -> NoReturn:
        raise EngineError(
            f"the router {self._routing.router} looks at single keys of earlier shots, which a render does "
            "not hold side by side"
        )
