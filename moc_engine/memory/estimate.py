"""What the memory of a film will take, in bytes, before anything is rendered. No torch.

config of the transformer, size of the picture ─► MemoryModel
frames of the context takes, MemoryConfig ──────► MemoryEstimate: where it lies, what a step moves
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from moc_engine.config import Chunking, MemoryConfig
from moc_engine.memory.budget import memory_shares, most_copied
from moc_engine.memory.policies import find_policy
from moc_engine.model_memory import ModelSize

PAGE_BYTES: Final = 1 << 28
"""Bytes of the buffers through which a history beyond them is brought in, and up to which it is copied."""

POSITION_BYTES: Final = 3 * 8
"""Bytes of a token's positions."""

GROUP_TOKENS: Final = 64
"""Tokens that share the factors of keys and values in 8 bits, at least, unless a take has fewer: factors take
6% of the space at most."""


@dataclass(frozen=True, kw_only=True)
class MemoryModel:
    """The sizes of a model that its memories follow from.

    `frame_tokens` are the tokens of a latent frame at the size rendered; `itemsize` the bytes of a number of
    its dtype; `experts` how many transformers remember each take.
    """

    layers: int
    heads: int
    head_size: int
    frame_tokens: int
    itemsize: int = 2
    experts: int = 1
    chunking: Chunking = "frame"

    @classmethod
    def of_size(
        cls,
        size: ModelSize,
        latent_size: tuple[int, int],
        *,
        itemsize: int = 2,
        chunking: Chunking = "frame",
    ) -> MemoryModel:
        """From the size of a model, and the height and width of its latents."""
        return cls(
            layers=size.remembering,
            heads=size.heads,
            head_size=size.head_size,
            frame_tokens=math.prod(
                side // over for side, over in zip(latent_size, size.patch[1:], strict=True)
            ),
            itemsize=itemsize,
            experts=size.transformers,
            chunking=chunking,
        )

    def take_bytes(self, frames: int, memory: MemoryConfig) -> int:
        """The bytes of the memory of a take of so many latent frames (of tokens), for one expert.

        At most so many; exact where a policy keeps a fixed number of frames.
        """
        tokens, chunks, length = self._kept(frames, memory)
        width = self.layers * self.heads * self.head_size
        itemsize = 1 if memory.storage == "int8" else self.itemsize
        groups = 0
        if memory.storage == "int8":
            groups = max(1, chunks // max(1, math.ceil(GROUP_TOKENS / length)))
        numbers = 2 * tokens * width * itemsize + 2 * groups * width * 4
        return numbers + chunks * width * 4 + tokens * POSITION_BYTES

    def beside_bytes(self, frames: int, memory: MemoryConfig) -> int:
        """The bytes of what each render has beside keys and values of a take: its positions, and chunk means
        as they are remembered and rotated.
        """
        tokens, chunks, _ = self._kept(frames, memory)
        return 2 * chunks * self.layers * self.heads * self.head_size * 4 + tokens * POSITION_BYTES

    def layer_bytes(self, frames: int, memory: MemoryConfig, *, stored: bool) -> int:
        """The bytes of keys and values of one layer of a take; as they are kept, or attended to."""
        itemsize = 1 if stored and memory.storage == "int8" else self.itemsize
        return 2 * self._kept(frames, memory)[0] * self.heads * self.head_size * itemsize

    def _kept(self, frames: int, memory: MemoryConfig) -> tuple[int, int, int]:
        """The tokens that are remembered of a take at most, their chunks, and the length of one."""
        kept = find_policy(memory.policy).most_frames(frames, memory.keyframes, self.chunking)
        chunks, length = (kept, self.frame_tokens) if self.chunking == "frame" else (self.frame_tokens, kept)
        return kept * self.frame_tokens, chunks, length


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """The memories of a context in bytes: on the device, in main memory, in files, and in working buffers.

    In each step `copied_per_step` go from main memory to the device, `read_per_step` from files. Where the
    model runs on the CPU, device and main memory are one, and all is in `host`.
    """

    device: int
    host: int
    disk: int
    buffers: int
    copied_per_step: int
    read_per_step: int

    @property
    def total(self) -> int:
        """The bytes of all memories, wherever they are."""
        return self.device + self.host + self.disk


def estimated_memory(
    model: MemoryModel,
    context_frames: Sequence[int],
    memory: MemoryConfig,
    *,
    device_budget: int,
    host_budget: int,
    on_cpu: bool = False,
    rows: int = 2,
    passes: int = 1,
    page_bytes: int = PAGE_BYTES,
    copied_bytes: int | None = None,
) -> MemoryEstimate:
    """What rendering a shot takes whose context takes have so many latent frames (of tokens).

    `rows` are the entries of the batch, 2 with guidance, and `passes` how often a step runs the transformer,
    2 where guidance runs in two passes: each reads the history. Takes fill the device's budget first, then
    that of main memory, then files: those of the expert that denoises before those of the other one, whose
    history is not there meanwhile. On a CPU, `device_budget` is what holds memories and buffers. A context of
    at most `copied_bytes` (None: `most_copied`) is copied side by side.
    """
    sizes = [model.take_bytes(frames, memory) for frames in context_frames]
    layers = [model.layer_bytes(frames, memory, stored=True) for frames in context_frames]
    whole = model.layers * sum(model.layer_bytes(n, memory, stored=False) for n in context_frames)
    if copied_bytes is None:
        copied_bytes = most_copied(on_cpu=on_cpu, rows=rows, page_bytes=page_bytes)
    copied = whole <= copied_bytes
    tiers = [0, 0, 0]
    moved = [0, 0, 0]
    main = memory_shares(device_budget, on_cpu=True).memories if on_cpu else host_budget
    room = [0 if on_cpu else device_budget, main, math.inf]
    for nth, (size, layer) in enumerate(list(zip(sizes, layers, strict=True)) * model.experts):
        tier = next(tier for tier in range(3) if tiers[tier] + size <= room[tier])
        tiers[tier] += size
        if nth < len(sizes):
            moved[tier] += layer * model.layers
    beside = sum(model.beside_bytes(frames, memory) for frames in context_frames)
    return MemoryEstimate(
        device=tiers[0],
        host=tiers[1],
        disk=tiers[2],
        buffers=beside + (_side_by_side(whole, rows, page_bytes) if copied else page_bytes),
        copied_per_step=0 if on_cpu or copied else passes * (moved[1] + moved[2]),
        read_per_step=0 if copied else passes * moved[2],
    )


def _side_by_side(whole: int, rows: int, page_bytes: int) -> int:
    """The bytes of a history side by side: as it is remembered, and rotated for the entries of a batch.

    What is larger than pages is rotated as it is read.
    """
    return whole + (rows * whole if rows * whole <= page_bytes else 0)
