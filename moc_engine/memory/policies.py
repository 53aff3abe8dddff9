"""Memory policies: which tokens of a finished take later shots can attend to at all.

    all           everything
    first-last    the first and the last latent frame
    spread        `keyframes` frames, evenly spread, with the first and the last
    change        the first and the last frame, and those that differ most from the one before
    cast          the chunks that show cast members; first and last frame where the caption names nobody

A chunk that loses all its tokens is not there for routing either. Third parties add policies by entry points
of the group `moc_studio.memory_policies`, whose values are `MemoryPolicy`s. numpy only.

Shapes: C channels, F frames of tokens, H and W latent sides, T tokens in chunk order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.config import POLICY_ENTRY_POINTS, Chunking, policy_names
from moc_engine.plug_ins import find_plug_in

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class FinishedTake:
    """What a policy may look at.

    `latents` (C, F · patch, H, W) in float32; `token_frame` and `token_chunk` [T] say where each token, in
    chunk order, belongs; `names` are those of the chunks. `shown` tells how much (0 or more) of each member
    of the `cast` each token shows, by the model's own features: members that are not found are left out.
    """

    latents: NDArray[np.float32]
    frames: int
    token_frame: Ints
    token_chunk: Ints
    names: tuple[str, ...]
    cast: tuple[str, ...]
    shown: Callable[[], Mapping[str, NDArray[np.float64]]] = dict

    def of_frames(self, frames: Sequence[int]) -> Bools:
        """The tokens [T] of some frames."""
        return np.isin(self.token_frame, np.asarray(frames, dtype=np.int64))

    def of_chunks(self, chunks: Sequence[int]) -> Bools:
        """The tokens [T] of some chunks."""
        return np.isin(self.token_chunk, np.asarray(chunks, dtype=np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryPolicy:
    """`keep` takes a take and the number of keyframes and gives the tokens [T] that are remembered.

    `most_frames` predicts from the frames of a take, the keyframes and the chunking of how many frames' worth
    of tokens at most are remembered.
    """

    keep: Callable[[FinishedTake, int], Bools]
    most_frames: Callable[[int, int, Chunking], int]


def find_policy(name: str) -> MemoryPolicy:
    """The policy of this name. Raises `ValueError` for one that is unknown."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    if (policy := find_plug_in(POLICY_ENTRY_POINTS, name, MemoryPolicy)) is not None:
        return policy
    raise ValueError(f"policy: unknown memory policy {name!r}; there are {', '.join(policy_names())}")


def kept_tokens(policy: str, take: FinishedTake, keyframes: int) -> Ints:
    """The tokens that are remembered, ascending. Raises `ValueError` where a policy keeps none."""
    kept = np.asarray(find_policy(policy).keep(take, keyframes))
    if kept.dtype != np.bool_ or kept.shape != take.token_frame.shape:
        raise ValueError(f"policy: {policy!r} must tell of each of {len(take.token_frame)} tokens")
    if not kept.any():
        raise ValueError(f"policy: {policy!r} keeps no token of a take")
    return np.flatnonzero(kept)


def spread_frames(frames: int, keyframes: int) -> Ints:
    """Evenly spread frames, with the first and the last; a single one is the last."""
    if keyframes == 1:
        return np.array([frames - 1])
    return np.unique(np.linspace(0, frames - 1, min(frames, keyframes)).round().astype(np.int64))


def changing_frames(latents: NDArray[np.float32], frames: int, keyframes: int) -> Ints:
    """The first and last frame, and those whose latents differ most, in the mean square, from the one before.

    The earlier frame wins where two differ equally.
    """
    if keyframes < 3 or frames < 3:
        return spread_frames(frames, keyframes)
    by_frame = latents.reshape(latents.shape[0], frames, -1)
    change = np.square(np.diff(by_frame, axis=1)).mean(axis=(0, 2))[:-1]  # of the frames 1 to F - 2
    most = 1 + np.argsort(-change, kind="stable")[: keyframes - 2]
    return np.unique(np.concatenate(([0, frames - 1], most)))


def cast_tokens(take: FinishedTake, keyframes: int) -> Bools:
    """The chunks named after cast members; else of each chunk that shows one most, `keyframes` in all."""
    named = [chunk for chunk, name in enumerate(take.names) if name in take.cast]
    if named:
        return take.of_chunks(named)
    shown = take.shown()
    if not shown:
        return take.of_frames(spread_frames(take.frames, min(keyframes, 2)).tolist())
    of_chunk = [
        np.argsort(-np.bincount(take.token_chunk, weights=weights), kind="stable")
        for weights in shown.values()
    ]
    in_turn = list(dict.fromkeys(int(chunk) for ranks in zip(*of_chunk, strict=True) for chunk in ranks))
    return take.of_chunks(in_turn[:keyframes])


def _first_last(take: FinishedTake, keyframes: int) -> Bools:
    return take.of_frames([0, take.frames - 1])


def _spread(take: FinishedTake, keyframes: int) -> Bools:
    return take.of_frames(spread_frames(take.frames, keyframes).tolist())


def _change(take: FinishedTake, keyframes: int) -> Bools:
    return take.of_frames(changing_frames(take.latents, take.frames, keyframes).tolist())


def _keyframes(frames: int, keyframes: int, chunking: Chunking) -> int:
    return min(frames, keyframes)


BUILT_IN: Final = {
    "all": MemoryPolicy(
        keep=lambda take, keyframes: np.ones(len(take.token_frame), dtype=bool),
        most_frames=lambda frames, keyframes, chunking: frames,
    ),
    "first-last": MemoryPolicy(
        keep=_first_last, most_frames=lambda frames, keyframes, chunking: min(frames, 2)
    ),
    "spread": MemoryPolicy(keep=_spread, most_frames=_keyframes),
    "change": MemoryPolicy(keep=_change, most_frames=_keyframes),
    "cast": MemoryPolicy(
        keep=cast_tokens,
        most_frames=lambda frames, keyframes, chunking: (
            frames if chunking == "track" else min(frames, keyframes)
        ),
    ),
}
