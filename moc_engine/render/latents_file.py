"""The file of a take's latents: safetensors, with the name of their latent space."""

from __future__ import annotations

import json
from typing import Final

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

SPACE: Final = "latent_space"


def latents_file(latents_CFHW: Tensor, space: str) -> bytes:
    """The file's content; `space` is left out where it is "", as that is not known."""
    return save({"latents": latents_CFHW.contiguous()}, {SPACE: space} if space else None)


def read_latents(data: bytes) -> tuple[Tensor, str]:
    """The latents (C, F, H, W) and their space, "" where the file names none. Raises `ValueError`."""
    try:
        latents = load(data)["latents"]
    except (SafetensorError, KeyError) as error:
        raise ValueError(str(error)) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return latents, str(header.get("__metadata__", {}).get(SPACE, ""))
