"""What an attention backend is: how it computes, what it supports, and what a caller needs of it.

A backend attends in one or both of two forms:

    over_layout    all keys of a story in one tensor, cut by a `ChunkLayout`; for training, tests and checks
    over_history   the own shot's keys and the history's apart; for rendering, and training on memories
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from moc_engine.ops.history_segments import HistorySegment
from moc_engine.ops.layout import ChunkLayout, Ints
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.selection import Selection

Form = Literal["layout", "history"]

FLOATS = frozenset((torch.float64, torch.float32, torch.bfloat16, torch.float16))


@dataclass(frozen=True, kw_only=True)
class Mass:
    """Shares of attention, detached; over all three, those of a query sum to 1.

    `own` (B, H, L, 1), `pinned` (B, H, L, pins) and `routed` (B, H, L, K), which is aligned
    with the indices and 0 where the index is -1.
    """

    own: Tensor
    pinned: Tensor
    routed: Tensor


class OverLayout(Protocol):
    """Attention over one layout."""

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        layout: ChunkLayout,
        selection: Selection,
        scale: float,
        *,
        mass: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """The output (B, H, L, D), and with `mass` the attended mass of each chunk (B, H, L, C), detached."""


class OverHistory(Protocol):
    """Attention of one shot's queries over its own keys in full, pinned and routed history chunks."""

    def __call__(
        self,
        q_BHLD: Tensor,
        own_k_BHSD: Tensor,
        own_v_BHSD: Tensor,
        history_k_BHTD: Tensor,
        history_v_BHTD: Tensor,
        history_offsets: Ints,
        indices_BHLK: Tensor,
        *,
        pinned: Sequence[int] = (),
        rotary: Rotary | None = None,
        scale: float | None = None,
    ) -> tuple[Tensor, Mass]:
        """The output (B, H, L, D) and the shares of attention.

        The history is cut into chunks by `history_offsets` [C + 1]; `indices_BHLK` are the chunks of each
        query, -1 for none. `rotary` is the embedding of history keys that are kept unrotated.
        `scale` is 1 / √D where None.
        """


class OverSegments(Protocol):
    """As `OverHistory`, of a history that comes in segments, without gradients."""

    def __call__(
        self,
        q_BHLD: Tensor,
        own_k_BHSD: Tensor,
        own_v_BHSD: Tensor,
        segments: Iterable[HistorySegment],
        history_offsets: Ints,
        indices_BHLK: Tensor,
        *,
        pinned: Sequence[int] = (),
        scale: float | None = None,
    ) -> tuple[Tensor, Mass]:
        """The output (B, H, L, D) and the shares of attention.

        The segments come in order and lie on the device of the queries; each holds until the next is asked
        for. `pinned` ascends.
        """


@dataclass(frozen=True, kw_only=True)
class Work:
    """The size of what one shot computes: `rows` of batch times heads, its tokens, chunks routed per token.

    `top_k` is None where all of the history is attended to; `history_offsets` [C + 1] cut it into chunks.
    """

    rows: int
    tokens: int
    top_k: int | None
    head_size: int
    history_offsets: Ints


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a caller needs of a backend. Devices are types such as "cuda".

    `history_device` is None where there is no history. `mass` is the attended mass per chunk; `query_shots`
    is how many shots the queries belong to; `segmented` a history that comes in segments. `dtype` and `work`
    are None where they are not known yet.
    """

    form: Form
    device: str
    dtype: torch.dtype | None = None
    history_device: str | None = None
    mass: bool = False
    gradients: bool = False
    query_shots: int = 1
    segmented: bool = False
    work: Work | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionBackend:
    """A way to compute attention, and what it supports.

    `devices` are device types (None: all). `mass` and `gradients` say whether it returns the attended mass
    per chunk and can be differentiated; `several_shots` whether queries may belong to several shots;
    `far_history` whether the history may lie on another device than the queries; `needs_history` whether
    there must be one; `shared_history` whether it may have fewer entries, each shared by as many that follow
    each other. `variant`
    says, for the trace, which of several kernels a need is given.
    """

    name: str
    over_layout: OverLayout | None = None
    over_history: OverHistory | None = None
    over_segments: OverSegments | None = None
    devices: frozenset[str] | None = None
    dtypes: frozenset[torch.dtype] = FLOATS
    mass: bool = True
    gradients: bool = True
    several_shots: bool = True
    far_history: bool = False
    needs_history: bool = False
    shared_history: bool = False
    variant: Callable[[Need], str] | None = None

    def missing(self, need: Need) -> str | None:
        """The first thing needed that this backend does not support, in words; None where it has all."""
        checks = (
            (need.form == "layout" and self.over_layout is None, "all keys of a story in one layout"),
            (need.form == "history" and self.over_history is None, "a history apart from the own shot"),
            (need.segmented and self.over_segments is None, "a history that comes in segments"),
            (self.devices is not None and need.device not in self.devices, f"the device {need.device}"),
            (need.dtype is not None and need.dtype not in self.dtypes, f"the dtype {need.dtype}"),
            (need.mass and not self.mass, "the attended mass per chunk"),
            (need.gradients and not self.gradients, "gradients"),
            (need.query_shots > 1 and not self.several_shots, "queries of several shots at once"),
            (
                need.history_device not in (None, need.device) and not self.far_history,
                f"a history on {need.history_device} with queries on {need.device}",
            ),
            (
                need.form == "history" and need.history_device is None and self.needs_history,
                "a shot without a history",
            ),
        )
        return next((words for lacks, words in checks if lacks), None)
