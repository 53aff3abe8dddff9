"""What is measured: the sizes of stories on each kind of device, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Part = Literal["forward", "backward", "growth", "late", "film"]
"""A part of the benchmark: attention forward, with gradients, growing histories; late shots; denoising."""

PARTS: Final[tuple[Part, ...]] = ("forward", "backward", "growth", "late", "film")

LATE: Final = "late shots"

DENOISING: Final = "denoising"

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Attention of the last of `shots` equal shots, each of `chunks` chunks of `chunk` tokens.

    `alike`: neighbouring queries resemble each other, as those of a picture do; otherwise they are random.
    `peers`: beside dense attention, also FlexAttention, static patterns and token-causal selection.
    `variants`: every way that a backend of ours has to keep partial outputs and to read the history.
    """

    name: str
    part: Part
    shots: int
    chunks: int
    chunk: int
    heads: int
    width: int
    top_k: int
    dtype: Dtype
    alike: bool = True
    peers: bool = False
    variants: bool = False

    @property
    def queries(self) -> int:
        """The tokens of a shot."""
        return self.chunks * self.chunk

    @property
    def context(self) -> int:
        """The tokens of all shots, the last included."""
        return self.shots * self.queries

    @property
    def candidates(self) -> int:
        """The chunks of the history."""
        return (self.shots - 1) * self.chunks


def attention_cases(device: str, *, tiny: bool) -> tuple[Case, ...]:
    """The cases of a device type; `tiny` ones run in milliseconds, to try the program."""
    cases = _cuda() if device == "cuda" else _cpu()
    return tuple(_tiny(case) for case in cases if case.shots <= 16) if tiny else cases


def case_names(device: str, *, tiny: bool = False) -> tuple[str, ...]:
    """The names of all cases of a device type, in the order in which they are measured."""
    late = (LATE,) if device == "cpu" else ()
    return (*(case.name for case in attention_cases(device, tiny=tiny)), *late, DENOISING)


def growth_base(case: Case) -> Case:
    """The shortest story of the same shots in which a query has as many candidates as it may choose."""
    return replace(case, name=f"{case.name} base", shots=1 + -(-case.top_k // case.chunks))


def _cpu() -> tuple[Case, ...]:
    """Chunks of 256 tokens, k = 5, heads of 64."""
    usual = Case(
        name="", part="forward", shots=8, chunks=4, chunk=256, heads=4, width=64, top_k=5, dtype="float32"
    )
    return (
        replace(usual, name="32k", chunks=16),
        replace(usual, name="65k", shots=16, chunks=16),
        replace(usual, name="16k", chunks=8),
        replace(usual, name="8k"),
        replace(usual, name="4k", shots=4),
        replace(usual, name="2k", shots=4, chunks=2),
        replace(usual, name="32k random", chunks=16, alike=False),
        replace(usual, name="32k with every peer", chunks=16, heads=1, peers=True),
        replace(usual, name="8k gradients", part="backward"),
        replace(usual, name="16k gradients", part="backward", chunks=8),
        *(
            replace(usual, name=f"{shots} shots of 1k", part="growth", shots=shots, heads=2)
            for shots in (2, 3, 4, 8, 16, 32, 64)
        ),
    )


def _cuda() -> tuple[Case, ...]:
    """Wan's 480p, 53 frames a shot: 14 latent frames of 1,560 tokens; shorter shots; smaller chunks; 14B."""
    usual = Case(
        name="",
        part="forward",
        shots=8,
        chunks=14,
        chunk=1560,
        heads=12,
        width=128,
        top_k=5,
        dtype="bfloat16",
    )
    return (
        replace(usual, name="175k", variants=True),
        replace(usual, name="175k gradients", part="backward"),
        *(
            replace(usual, name=f"{shots} shots of 5.2k", part="growth", shots=shots, chunks=4, chunk=1300)
            for shots in (2, 3, 4, 8, 16, 32)
        ),
        replace(usual, name="42k with every peer", chunks=4, chunk=1300, peers=True, variants=True),
        replace(usual, name="175k random", alike=False),
        replace(usual, name="175k with 40 heads", heads=40),
        *(
            replace(
                usual, name=f"{shots} shots of 1.8k", part="growth", shots=shots, chunks=7, chunk=260, top_k=3
            )
            for shots in (2, 4, 8)
        ),
        replace(usual, name="175k with every peer", peers=True),
        replace(usual, name="175k random gradients", part="backward", alike=False),
    )


def _tiny(case: Case) -> Case:
    return replace(
        case, shots=min(case.shots, 4), chunks=2, chunk=16, heads=2, width=16, top_k=min(case.top_k, 3)
    )
