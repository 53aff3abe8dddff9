"""What the memory of earlier shots costs: time a step, bytes, and what 8 bits change.

    python -m moc_engine.evaluation.context_memory [--size tiny|small|wan-1.3b] [--device cpu|cuda]

A Wan transformer of random weights denoises shots 2, 8 and 16 of a film, with a fixed top-k, in several ways
of keeping what is remembered. All are run in turns in one process, and their velocities compared with that of
plain memories side by side. Then keys and values of the embedded model are put into 8 bits in two ways.

Shapes: T tokens, D head width.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import MemoryChoice, MemoryConfig, SamplerChoice, Steering, Storage
from moc_engine.contract import ContextTake, finish
from moc_engine.evaluation.benchmark.check import relative_error
from moc_engine.evaluation.benchmark.film import (
    FEW_LAYERS,
    TINY,
    WAN_1_3B,
    FilmSize,
    RandomFamily,
    random_backbone,
)
from moc_engine.evaluation.benchmark.late_shots import request_shot, take_of
from moc_engine.evaluation.benchmark.timing import milliseconds
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.estimate import PAGE_BYTES
from moc_engine.memory.history import History
from moc_engine.memory.paged_history import PagedHistory
from moc_engine.memory.policies import FinishedTake, kept_tokens
from moc_engine.memory.scaling import dequantise_into, quantise, scale_groups
from moc_engine.memory.take_memory import Kept, TakeMemory
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates
from moc_engine.models.loading import load_backbone
from moc_engine.ops.layout import Ints
from moc_engine.render.denoise import draw_noise
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.memory_pass import compute_memory
from moc_engine.render.renderer import ShotRenderer

SHOTS: Final = (2, 8, 16)
SIZES: Final = {"tiny": TINY, "small": FEW_LAYERS, "wan-1.3b": WAN_1_3B}
ROUNDS: Final = 7
STORAGES: Final[tuple[Storage, ...]] = ("full", "int8")


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """One way to keep memories: what of a take, and the bytes of memory and of pages (None: no limit)."""

    name: str
    memory: MemoryConfig
    budget: int | None = None
    pages: int | None = None


def keepings(size: FilmSize) -> tuple[Keeping, ...]:
    """The ways that are compared, the plain one first; a third of the frames are key frames."""
    full = MemoryConfig()
    small = MemoryConfig(policy="change", keyframes=max(2, size.frames // 3), storage="int8")
    pages = max(1 << 16, 2 * size.layers * size.tokens * size.heads * size.width * 4)
    return (
        Keeping(name="all, in full, side by side", memory=full),
        Keeping(name="all, in full, in pages", memory=full, pages=pages),
        Keeping(name="all, in full, in pages from files", memory=full, pages=pages, budget=0),
        Keeping(name=f"{small.keyframes} of {size.frames} frames, 8 bits, side by side", memory=small),
        Keeping(
            name=f"{small.keyframes} of {size.frames} frames, 8 bits, in pages from files",
            memory=small,
            pages=pages,
            budget=0,
        ),
        Keeping(name="all, 8 bits, side by side", memory=MemoryConfig(storage="int8")),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """The figures of one way at one shot: times in ms, bytes, and the relative error of the velocity."""

    keeping: Keeping
    shot: int
    times: list[float]
    held: int
    copied: int
    filed: int
    moved: int
    error: float


class Film:
    """The takes of a film by a random transformer, remembered in one way."""

    def __init__(self, size: FilmSize, backbone: Backbone, keeping: Keeping, folder: Path) -> None:
        self.size, self.backbone, self.keeping = size, backbone, keeping
        self._device = backbone.device
        self._shape = (16, size.frames, size.height, size.wide)
        self._grid = backbone.grid(self._shape, "frame")
        states = draw_noise((1, 512 if size.layers > 4 else 8, size.text_width), 0)
        self._captions = CaptionStates(states_BSE=states.to(self._device))
        self._latents = draw_noise((1, *self._shape), 99).to(self._device)
        self.memory = ContextMemory(budget=keeping.budget, spill=folder, device=self._device)
        self._folder = folder

    def attention(self, shot: int) -> tuple[DenoisingPass, History | PagedHistory]:
        """The attention of shot number `shot` (from 1)."""
        for take in range(len(self.memory.takes), shot - 1):
            latents = draw_noise(self._shape, 1 + take)
            kept = self._kept(latents)
            compute = partial(self._compute, latents, kept)
            self.memory.add(str(take), self._grid.extent if kept is None else kept.extent, compute)
        takes = [str(take) for take in range(shot - 1)]
        history = _finished(self.memory.gather(takes, most_bytes=self.keeping.pages))
        context = AttentionContext(
            shot=shot - 1,
            grid=self._grid,
            history=history,
            routing=RandomFamily.routing,
            steering=Steering(),
        )
        pages = PAGE_BYTES if self.keeping.pages is None else self.keeping.pages
        return DenoisingPass(context, self.backbone.angles, self._device, page_bytes=pages), history

    def step(self, attention: DenoisingPass) -> Tensor:
        """The velocity at the middle of denoising, without guidance."""
        timestep = torch.tensor([500.0], device=self._device)
        with torch.no_grad():
            return self.backbone.velocity(self._latents, timestep, attention, self._captions)

    @property
    def filed(self) -> int:
        """The bytes in files."""
        return sum(file.stat().st_size for file in self._folder.glob("*"))

    def _kept(self, latents: Tensor) -> Kept | None:
        memory, grid = self.keeping.memory, self._grid
        if memory.policy == "all":
            return None
        take = FinishedTake(
            latents=latents.numpy(),
            frames=grid.frames,
            token_frame=grid.positions_3T[0].numpy(),
            token_chunk=np.repeat(np.arange(grid.extent.chunks), np.diff(grid.extent.offsets)),
            names=(),
            cast=(),
        )
        return Kept.of_tokens(kept_tokens(memory.policy, take, memory.keyframes), grid.extent)

    def _compute(self, latents: Tensor, kept: Kept | None) -> TakeMemory:
        return compute_memory(
            self.backbone,
            latents,
            self._captions,
            chunking="frame",
            pooling="after",
            noise=0.0,
            kept=kept,
            storage=self.keeping.memory.storage,
        )


def measure(
    size: FilmSize, device: torch.device, shots: Sequence[int] = SHOTS, rounds: int = ROUNDS
) -> Iterator[Point]:
    """The points of each shot, once they are measured, in the order of `keepings`."""
    backbone = random_backbone(size, device)
    with tempfile.TemporaryDirectory() as folder:
        films = [
            Film(size, backbone, keeping, Path(folder) / str(nth))
            for nth, keeping in enumerate(keepings(size))
        ]
        for shot in shots:
            attentions, histories = zip(*(film.attention(shot) for film in films), strict=True)
            times: list[list[float]] = [[] for _ in films]
            velocities = [film.step(attention) for film, attention in zip(films, attentions, strict=True)]
            before = [attention.traffic for attention in attentions]
            for _ in range(rounds):
                for film, attention, spent in zip(films, attentions, times, strict=True):
                    spent.append(milliseconds(partial(film.step, attention), device))
            for nth, (film, attention) in enumerate(zip(films, attentions, strict=True)):
                start, end = before[nth], attention.traffic
                moved = 0
                if start is not None and end is not None:
                    moved = (end.read + end.copied - start.read - start.copied) // rounds
                yield Point(
                    keeping=film.keeping,
                    shot=shot,
                    times=times[nth],
                    held=film.memory.bytes,
                    copied=_side_by_side_bytes(histories[nth]),
                    filed=film.filed,
                    moved=moved,
                    error=relative_error(velocities[nth], velocities[0]),
                )
                attention.close()


def _side_by_side_bytes(history: History | PagedHistory) -> int:
    """The bytes of a copy of all keys and values, which pages do without."""
    return 0 if isinstance(history, PagedHistory) else history.k_NHTD.nbytes + history.v_NHTD.nbytes


def _finished(gathering: Iterator[str]) -> History | PagedHistory:
    while True:
        try:
            next(gathering)
        except StopIteration as stop:
            history: History | PagedHistory = stop.value
            return history


@dataclass(frozen=True, kw_only=True, eq=False)
class KeysAndValues:
    """Keys and values (…, T, D), and the `groups` of tokens [G + 1] that are scaled together."""

    name: str
    k_TD: Tensor
    v_TD: Tensor
    groups: Ints


def scaling_errors(of: KeysAndValues) -> dict[str, tuple[float, float, float]]:
    """The relative error of keys, values and attention in 8 bits, by what shares a factor."""
    k, v = of.k_TD, of.v_TD
    q = draw_noise(k.shape, 0).to(k) * k.std()
    out = scaled_dot_product_attention(q, k, v)
    found = {}
    for name, rounded in (("channel of a chunk", _by_channel), ("token and head", _by_token)):
        small_k, small_v = (rounded(x, of.groups) for x in (k, v))
        small = scaled_dot_product_attention(q, small_k, small_v)
        pairs = ((small_k, k), (small_v, v), (small, out))
        errors = [relative_error(one, other) for one, other in pairs]
        found[name] = (errors[0], errors[1], errors[2])
    return found


def _by_channel(x_TD: Tensor, groups: Ints) -> Tensor:
    kept, factors = quantise(x_TD, groups)
    back = torch.empty_like(x_TD)
    dequantise_into(back, kept, factors, groups)
    return back


def _by_token(x_TD: Tensor, groups: Ints) -> Tensor:
    factors = x_TD.abs().amax(dim=-1, keepdim=True).clamp(min=1e-30) / 127
    return (x_TD / factors).round() * factors


def random_keys() -> tuple[KeysAndValues, KeysAndValues]:
    """Random ones of a chunk of 1,560 tokens; then with some channels of keys larger, as models have them."""
    k, v = draw_noise((2, 1, 4, 1560, 128), 1)
    groups = np.array([0, 1560])
    uneven = k.clone()
    uneven[..., :4] *= 10
    name = "random, 4 of 128 channels of keys ten times as large"
    return (
        KeysAndValues(name="random", k_TD=k, v_TD=v, groups=groups),
        KeysAndValues(name=name, k_TD=uneven, v_TD=v, groups=groups),
    )


def embedded_story(folder: Path, shots: int = 3, steps: int | None = None) -> tuple[Tensor, float]:
    """The latents of the first of some shots by the embedded model, and the error of the last one's.

    The error is that of memories in 8 bits, relative.
    """
    renderer = ShotRenderer(device="cpu")
    takes: list[ContextTake] = []
    found: dict[Storage, Tensor] = {}
    for shot in range(shots):
        for storage in STORAGES if shot == shots - 1 else STORAGES[:1]:
            request = replace(
                request_shot(folder, shot, takes),
                memory=MemoryChoice(policy="all", storage=storage),
                sampler=SamplerChoice(steps=steps),
            )
            file = finish(renderer, request).latents
            found[storage] = load_file(file)["latents"]
        if shot == 0:
            first = found["full"]
        takes.append(take_of(request, file))
    return first, relative_error(found["int8"], found["full"])


def embedded_memory(latents: Tensor) -> KeysAndValues:
    """What the embedded model remembers of a take."""
    backbone = load_backbone(None, "cpu")
    captions = backbone.family.captions("", "Mira walks right on the beach", ("Mira",))
    read = compute_memory(backbone, latents, captions, chunking="track", pooling="after", noise=0.0)
    groups = scale_groups(backbone.grid(latents.shape, "track").extent.offsets)
    return KeysAndValues(name="embedded model", k_TD=read.k_NHTD, v_TD=read.v_NHTD, groups=groups)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=("costs", "errors"), help="one of the two parts")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    if args.what != "errors":
        _print_costs(SIZES[args.size], torch.device(args.device), args.rounds)
    if args.what != "costs":
        _print_errors()


def _print_costs(size: FilmSize, device: torch.device, rounds: int) -> None:
    print(f"{size.name}, {size.tokens} tokens a shot, top-k {RandomFamily.routing.top_k}, {device}\n")
    print("| kept | shot | ms a step | in memory | copied | in files | moved a step | error |")
    print("|---|---|---|---|---|---|---|---|")
    for point in measure(size, device, rounds=rounds):
        print(
            f"| {point.keeping.name} | {point.shot} | {statistics.median(point.times):.0f} | "
            f"{_megabytes(point.held)} | {_megabytes(point.copied)} | {_megabytes(point.filed)} | "
            f"{_megabytes(point.moved)} | {point.error:.1e} |",
            flush=True,
        )


def _print_errors() -> None:
    print("\n| keys and values | one factor for each | keys | values | attention |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        latents, error = embedded_story(Path(folder))
    for one in (embedded_memory(latents), *random_keys()):
        for sharing, errors in scaling_errors(one).items():
            print(f"| {one.name} | {sharing} | " + " | ".join(f"{found:.2%}" for found in errors) + " |")
    print(f"\nlatents of the third shot of the embedded model, memories in 8 bits: {error:.2%} off")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count else "0"


if __name__ == "__main__":
    main()
