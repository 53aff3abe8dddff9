"""What a model is called where there is little room."""

from __future__ import annotations

import re
from typing import Final

EMBEDDED_NAME: Final = "animatic"
"""The model that comes with the engine."""


def model_name(model: str | None) -> str:
    """The last part of what a project or a take names as its model, without a revision or a digest.

    "owner/name@commit" -> "name", "/models/wan.safetensors" -> "wan", None -> "animatic".
    """
    if model is None:
        return EMBEDDED_NAME
    last = re.split(r"[\\/]", model.rstrip("\\/"))[-1]
    name, _, _ = last.partition("@")
    return re.sub(r"\.(safetensors|gguf)$", "", name, flags=re.IGNORECASE) or model
