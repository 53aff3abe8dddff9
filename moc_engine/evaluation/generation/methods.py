"""The methods that evaluations compare: routers, context policies, and ways without a choice. No torch.

dense     everything
own       nothing of the past: the own shot alone
packed    everything, averaged to fewer tokens the older it is (like FramePack, arXiv 2504.12626)
"""

from __future__ import annotations

from typing import Final

from moc_engine.config import router_names

Method = str
"""The name of a router, of a context policy, or "dense", "own" or "packed"."""

CONTEXTS: Final = ("storymem", "named-cast")
"""The context policies (`moc_engine.memory.context_policies`)."""

UNBUDGETED: Final = ("dense", "own")


def method_names() -> tuple[Method, ...]:
    """All methods, plug-ins' routers among them."""
    return (*budgeted_methods(), *UNBUDGETED)


def budgeted_methods() -> tuple[Method, ...]:
    """The methods that attend to as much of the history as MoC."""
    return (*router_names(), *CONTEXTS, "packed")


def steerable(method: Method) -> bool:
    """Whether a method has something to pin or ban."""
    return method not in (*UNBUDGETED, "packed")
