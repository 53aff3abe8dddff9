"""The routers: which there are.

    moc       the best chunks by their mean keys; the default
    window    the latest shots
    radial    fewer chunks of older shots
    random    chunks at random
    moba      blocks causal token by token, the own one among the top k
    adaspa    masks found from exact attention in a few steps, and used again
    moga      tokens of the same learned group
    vorta     heads that learn to attend fully, to a window or to a coreset

Third parties add routers by entry points of the group `moc_studio.routers`, whose values are `RouterEntry`s.
"""

from __future__ import annotations

from typing import Final

from moc_engine.config import ROUTER_ENTRY_POINTS, router_names
from moc_engine.ops.routers.adaspa import ADASPA
from moc_engine.ops.routers.mean_keys import TOP_K
from moc_engine.ops.routers.moba import MOBA
from moc_engine.ops.routers.moga import MOGA
from moc_engine.ops.routers.positions import RADIAL, WINDOW
from moc_engine.ops.routers.random_chunks import RANDOM
from moc_engine.ops.routers.router import RouterEntry
from moc_engine.ops.routers.vorta import VORTA
from moc_engine.plug_ins import find_plug_in

BUILT_IN: Final = {entry.name: entry for entry in (TOP_K, WINDOW, RADIAL, RANDOM, MOBA, ADASPA, MOGA, VORTA)}


def learns(name: str) -> bool:
    """Whether a method is a router that has parameters; not so for methods that are no routers."""
    return name in router_names() and find_router(name).parameters is not None


def find_router(name: str) -> RouterEntry:
    """The router of this name. Raises `ValueError` for one that is unknown."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    if (entry := find_plug_in(ROUTER_ENTRY_POINTS, name, RouterEntry)) is not None:
        return entry
    raise ValueError(f"router: unknown router {name!r}; there are {', '.join(router_names())}")
