"""Makes the engine's renderer with the options of a command; torch is imported only then."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from moc_engine.collection import collection_suspended
from moc_engine.config import backend_names
from moc_engine.profiles import PROFILE_NAMES, PROFILES

if TYPE_CHECKING:
    from moc_engine.contract import Renderer

MakeRenderer = Callable[[str | None], "Renderer"]
"""Makes the renderer of a model folder, a hub id, or the embedded model where None."""


@dataclass(frozen=True, kw_only=True)
class RendererOptions:
    """How the engine computes, as commands and the worker process take it; `backend` is None for "auto"."""

    compiled: bool = False
    cuda_graphs: bool = False
    backend: str | None = None
    profile: str = "auto"
    retry_lower: bool = False

    @staticmethod
    def add_to(parser: argparse.ArgumentParser) -> None:
        speed = parser.add_argument_group("speed")
        speed.add_argument(
            "--compile",
            dest="compiled",
            action="store_true",
            help="compile the model around its attention (torch.compile); needs a C++ compiler, on a GPU "
            "Triton, and takes minutes in the first render of each length; the embedded model gains nothing",
        )
        speed.add_argument(
            "--cuda-graphs",
            action="store_true",
            help="record the GPU's work of a denoising step once per render and replay it; needs a CUDA GPU, "
            "and helps where steps are short",
        )
        speed.add_argument(
            "--backend",
            choices=backend_names(),
            metavar="NAME",
            help=f"what computes the attention: {', '.join(backend_names())}; auto, the default, is the "
            "fastest one measured; takes made with another one stay current",
        )

        memory = parser.add_argument_group("memory")
        memory.add_argument(
            "--profile",
            choices=PROFILE_NAMES,
            default="auto",
            help="how the model is fitted to the device's memory: "
            + "; ".join(f"{profile.name}: {profile}".replace("; ", ", ") for profile in PROFILES)
            + "; auto, the default, goes by the memory of the GPU, and moves nothing where there is none",
        )
        memory.add_argument(
            "--retry-lower",
            action="store_true",
            help="render a shot that runs out of memory once more with the next lower profile, which its "
            "trace tells",
        )

    @classmethod
    def of(cls, args: argparse.Namespace) -> RendererOptions:
        """Those of a command; the defaults where it has none."""
        return cls(
            compiled=getattr(args, "compiled", False),
            cuda_graphs=getattr(args, "cuda_graphs", False),
            backend=getattr(args, "backend", None),
            profile=getattr(args, "profile", "auto"),
            retry_lower=getattr(args, "retry_lower", False),
        )

    @property
    def arguments(self) -> list[str]:
        """The command line that gives these options."""
        given = {
            "--compile": self.compiled,
            "--cuda-graphs": self.cuda_graphs,
            "--retry-lower": self.retry_lower,
        }
        named = [] if self.backend is None else ["--backend", self.backend]
        named += [] if self.profile == "auto" else ["--profile", self.profile]
        return [name for name, on in given.items() if on] + named

    @property
    def make_renderer(self) -> MakeRenderer:
        """Makes the engine's renderer with these options."""
        return partial(load_renderer, self)


def load_renderer(options: RendererOptions, model: str | None) -> Renderer:
    """The engine's renderer for a model folder, a hub id, or the embedded model where None."""
    with collection_suspended():
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        from moc_engine.render.renderer import ShotRenderer

    for logging in (diffusers_logging, transformers_logging):  # their messages are not for users
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    return ShotRenderer(
        model,
        compiled=options.compiled,
        cuda_graphs=options.cuda_graphs,
        backend=options.backend,
        profile=options.profile,
        retry_lower=options.retry_lower,
    )
