"""Tells the latents of autoencoders apart by what decodes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import torch


def decoder_digest(parts: Iterable[Any], *scale: object) -> str:
    """A digest of the weights of the modules that decode latents, and of the numbers that scale them.

    Weights are rounded to bfloat16 before, so that the same ones in another precision have the same digest.
    """
    digest = sha256(json.dumps(scale).encode())
    for part in parts:
        for name, weight in sorted(part.state_dict().items()):
            rounded = weight.detach().to("cpu", torch.bfloat16).contiguous()
            digest.update(f"{name} {tuple(weight.shape)}".encode())
            digest.update(rounded.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
