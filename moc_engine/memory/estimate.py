"""What the memory of a film will take, in bytes, before anything is rendered. No torch.

config of the transformer, size of the picture ─► MemoryModel
frames of the context takes, MemoryConfig ──────► MemoryEstimate: where it lies, what a step moves
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from moc_engine.config import Chunking, MemoryConfig
from moc_engine.memory.policies import find_policy

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
    def of_config(
        cls,
        config: Mapping[str, Any],
        latent_size: tuple[int, int],
        *,
        itemsize: int = 2,
        experts: int = 1,
        chunking: Chunking = "frame",
    ) -> MemoryModel:
        """From the config of a Wan transformer, and the height and width of its latents."""
        _, *patch = config["patch_size"]
        return cls(
            layers=int(config["num_layers"]),
            heads=int(config["num_attention_heads"]),
            head_size=int(config["attention_head_dim"]),
            frame_tokens=math.prod(side // over for side, over in zip(latent_size, patch, strict=True)),
            itemsize=itemsize,
            experts=experts,
            chunking=chunking,
        )

    def take_bytes(self, frames: int, memory: MemoryConfig) -> int:
        """The bytes of the memory of a take of so many latent frames (of tokens), for all experts.

        At most so many; exact where a policy keeps a fixed number of frames.
        """
        kept = find_policy(memory.policy).most_frames(frames, memory.keyframes, self.chunking)
        tokens = kept * self.frame_tokens
        chunks, length = (kept, self.frame_tokens) if self.chunking == "frame" else (self.frame_tokens, kept)
        width = self.layers * self.heads * self.head_size
        itemsize = 1 if memory.storage == "int8" else self.itemsize
        groups = 0
        if memory.storage == "int8":
            groups = max(1, chunks // max(1, math.ceil(GROUP_TOKENS / length)))
        numbers = 2 * tokens * width * itemsize + chunks * width * 4 + 2 * groups * width * 4
        return self.experts * (numbers + tokens * POSITION_BYTES)

    def layer_bytes(self, frames: int, memory: MemoryConfig, *, stored: bool) -> int:
        """The bytes of keys and values of one layer of a take; as they are kept, or attended to."""
        kept = find_policy(memory.policy).most_frames(frames, memory.keyframes, self.chunking)
        itemsize = 1 if stored and memory.storage == "int8" else self.itemsize
        return 2 * kept * self.frame_tokens * self.heads * self.head_size * itemsize


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """The memories of a context in bytes: on the device, in main memory, in files, and in working buffers.

    `copied_per_step` go from main memory to the device in each pass of the transformer, `read_per_step` from
    files. Where the model runs on the CPU, device and main memory are one, and all is in `host`.
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
    page_bytes: int = PAGE_BYTES,
) -> MemoryEstimate:
    """What rendering a shot takes whose context takes have so many latent frames (of tokens).

    `rows` are the entries of the batch, 2 with guidance. Takes fill the device's budget first, then that of
    main memory, then files.
    """
    sizes = [model.take_bytes(frames, memory) for frames in context_frames]
    layers = [model.layer_bytes(frames, memory, stored=True) for frames in context_frames]
    whole = model.layers * sum(model.layer_bytes(n, memory, stored=False) for n in context_frames)
    pages = whole * rows > page_bytes
    tiers = [0, 0, 0]
    moved = [0, 0, 0]
    room = [0 if on_cpu else device_budget, host_budget, math.inf]
    for size, layer in zip(sizes, layers, strict=True):
        tier = next(nth for nth in range(3) if tiers[nth] + size <= room[nth])
        tiers[tier] += size
        moved[tier] += layer * model.layers
    return MemoryEstimate(
        device=tiers[0],
        host=tiers[1],
        disk=tiers[2],
        buffers=min(page_bytes, whole * rows),
        copied_per_step=0 if on_cpu or not pages else moved[1] + moved[2],
        read_per_step=moved[2] if pages else 0,
    )
