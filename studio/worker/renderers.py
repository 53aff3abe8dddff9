"""Makes the engine's renderer; torch is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moc_engine.contract import Renderer

MakeRenderer = Callable[[str | None], "Renderer"]
"""Makes the renderer of a model folder, a hub id, or the embedded model where None."""


def load_renderer(model: str | None) -> Renderer:
    """The engine's renderer for a model folder, a hub id, or the embedded model where None."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from moc_engine.render.renderer import ShotRenderer

    for logging in (diffusers_logging, transformers_logging):  # their messages are not for users
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    return ShotRenderer(model)
