"""The history of a render, ready to be attended to: copied and rotated, or brought in page by page.

Shapes: B batch, H heads, L tokens of the shot, T tokens of the history, C chunks, D head width, N layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from moc_engine.config import Pooling
from moc_engine.errors import EngineError
from moc_engine.memory.history import History
from moc_engine.memory.paged_history import PagedHistory
from moc_engine.memory.pages import Angles, Pages, Traffic
from moc_engine.ops.backend import AttentionBackend, Mass
from moc_engine.ops.history_segments import HistorySegment
from moc_engine.ops.rotary import Rotary, rotate_into
from moc_engine.ops.workspace import Workspace


class PreparedHistory:
    """A history side by side, prepared for one render: its routing means, and its keys and values.

    A history of at most `small` bytes is rotated once, in the `workspace`, and repeated for `rows` entries of
    the batch unless the backend lets them share it. A larger one stays on its device, its keys are rotated as
    they are read, and the entries of the batch are computed one after the other.
    """

    def __init__(
        self,
        history: History,
        angles: Angles,
        device: torch.device,
        pooling: Pooling,
        rows: int,
        small: int,
        workspace: Workspace,
        *,
        shared: bool,
    ) -> None:
        self.layout = history.layout
        self.means_NHCD = _routing_means(history, angles, pooling, device, workspace)
        cos, sin = angles(history.positions_3T.to(device))
        self._rotary: Rotary | None = None
        k, v = history.k_NHTD, history.v_NHTD
        if (k.nbytes + v.nbytes) * rows <= small:
            self._rows = rows
            rotated = workspace.empty("rotated keys", k.shape, k.dtype, device)
            rotate_into(rotated, k.to(device), torch.complex(cos, sin))
            both = (rotated[:, None], v.to(device)[:, None])
            self._k_NBHTD, self._v_NBHTD = both if shared else (x.repeat(1, rows, 1, 1, 1) for x in both)
        else:
            self._rows = 1
            self._k_NBHTD, self._v_NBHTD = k[:, None], v[:, None]
            self._rotary = Rotary(cos=cos, sin=sin)

    def attend(
        self,
        backend: AttentionBackend,
        layer: int,
        q_BHLD: Tensor,
        own_k_BHLD: Tensor,
        own_v_BHLD: Tensor,
        indices_BHLK: Tensor,
        pinned: Sequence[int],
    ) -> tuple[Tensor, Mass]:
        """The output (B, H, L, D), and the shares of attention of the first entries of the batch."""
        assert backend.over_history is not None
        outs, masses = [], []
        for first in range(0, len(q_BHLD), self._rows):
            rows = slice(first, first + self._rows)
            q = q_BHLD[rows]
            out, mass = backend.over_history(
                q,
                own_k_BHLD[rows],
                own_v_BHLD[rows],
                self._k_NBHTD[layer, : len(q)],
                self._v_NBHTD[layer, : len(q)],
                self.layout.offsets,
                indices_BHLK[rows],
                pinned=pinned,
                rotary=self._rotary,
            )
            outs.append(out)
            masses.append(mass)
        return outs[0] if len(outs) == 1 else torch.cat(outs), masses[0]


class PagedKeys:
    """A paged history, prepared for one render: its routing means, and pages through `most_bytes`.

    Where a layer fits in, any backend attends to it as to a history on the device; else segment by segment.
    """

    def __init__(
        self, history: PagedHistory, angles: Angles, device: torch.device, pooling: Pooling, most_bytes: int
    ) -> None:
        self.layout = history.layout
        self.means_NHCD = _routing_means(history, angles, pooling, device, Workspace(0))
        self._pages = Pages(history, angles, device, most_bytes)

    @property
    def segmented(self) -> bool:
        """Whether a layer comes in several segments."""
        return not self._pages.is_one

    @property
    def traffic(self) -> Traffic:
        """What was moved so far."""
        return replace(self._pages.traffic)

    def close(self) -> None:
        """Gives the memory of the pages back."""
        self._pages.close()

    def attend(
        self,
        backend: AttentionBackend,
        layer: int,
        q_BHLD: Tensor,
        own_k_BHLD: Tensor,
        own_v_BHLD: Tensor,
        indices_BHLK: Tensor,
        pinned: Sequence[int],
    ) -> tuple[Tensor, Mass]:
        """The output (B, H, L, D) and the shares of attention. All entries of the batch share the history.

        Raises `EngineError` where a file of the memory cannot be read any more.
        """
        try:
            return self._attend(
                backend, self._pages.segments(layer), q_BHLD, own_k_BHLD, own_v_BHLD, indices_BHLK, pinned
            )
        except OSError as error:
            raise EngineError(f"the memory of a take cannot be read: {error}") from error

    def _attend(
        self,
        backend: AttentionBackend,
        segments: Iterator[HistorySegment],
        q_BHLD: Tensor,
        own_k_BHLD: Tensor,
        own_v_BHLD: Tensor,
        indices_BHLK: Tensor,
        pinned: Sequence[int],
    ) -> tuple[Tensor, Mass]:
        if self.segmented:
            assert backend.over_segments is not None
            return backend.over_segments(
                q_BHLD, own_k_BHLD, own_v_BHLD, segments, self.layout.offsets, indices_BHLK, pinned=pinned
            )
        assert backend.over_history is not None
        whole = next(segments)
        rows = 1 if backend.shared_history else len(q_BHLD)
        k, v = (x.expand(rows, -1, -1, -1) for x in (whole.k_HTD, whole.v_HTD))
        return backend.over_history(
            q_BHLD, own_k_BHLD, own_v_BHLD, k, v, self.layout.offsets, indices_BHLK, pinned=pinned
        )


def _routing_means(
    history: History | PagedHistory,
    angles: Angles,
    pooling: Pooling,
    device: torch.device,
    workspace: Workspace,
) -> Tensor:
    """The chunk means that the router compares with (N, H, C, D), in the `workspace` where they are rotated.

    Means taken after rotation are at their take's own time. Rotating them by the start of the chunk moves
    them to their time in the history: rotation is linear, so it commutes with the mean.
    """
    means = history.means_NHCD.to(device)
    if pooling == "after":
        start = history.start_C.to(device)
        turns = torch.complex(*angles(torch.stack((start, start * 0, start * 0))))
        means = rotate_into(workspace.empty("rotated means", means.shape, means.dtype, device), means, turns)
    return means
