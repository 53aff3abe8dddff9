"""Makes the engine's renderer with the options of a command; torch is imported only then."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moc_engine.collection import collection_suspended
from moc_engine.config import backend_names
from moc_engine.profiles import PROFILES, check_profile

if TYPE_CHECKING:
    from moc_engine.contract import Renderer
    from moc_engine.render.render_group import RenderGroup
    from moc_engine.render.renderer import ShotRenderer

MOST_PROCESSES: Final = 64

MakeRenderer = Callable[[str | None], "Renderer"]
"""Makes the renderer of a model folder, a hub id, or the embedded model where None."""


@dataclass(frozen=True, kw_only=True)
class RendererOptions:
    """How the engine computes, as commands and the worker process take it; `backend` is None for "auto".

    `context_memory` and `context_host_memory` are GiB of the device and of main memory for the memories of
    earlier shots, `context_files` the folder for what they do not hold; each is the engine's own where None.
    With several `processes`, they render each shot together.
    """

    compiled: bool = False
    cuda_graphs: bool = False
    backend: str | None = None
    profile: str = "auto"
    retry_lower: bool = False
    processes: int = 1
    context_memory: float | None = None
    context_host_memory: float | None = None
    context_files: str | None = None

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
        speed.add_argument(
            "--processes",
            type=_processes,
            default=1,
            metavar="N",
            help="render each shot by N processes of this machine together, each with a GPU of its own where "
            "there are GPUs; they share the attention heads and the memory of earlier shots; for Wan models "
            "and the embedded one (default: 1)",
        )
        memory = parser.add_argument_group("memory of this machine")
        memory.add_argument(
            "--profile",
            type=_profile,
            default="auto",
            metavar="NAME",
            help="how the model is fitted to the memory of the GPU: "
            f"{', '.join(profile.name for profile in PROFILES)}, each smaller and slower than the last; "
            "auto, the default, goes by the GPU; models check tells what each does and needs; a name may end "
            "in +full, +fp8 or +int8 for that form of weights (int8 needs the package torchao)",
        )
        memory.add_argument(
            "--retry-lower",
            action="store_true",
            help="render a shot that runs out of memory once more with the next lower profile, which its "
            "trace tells",
        )
        memory.add_argument(
            "--context-memory",
            type=_gibibytes,
            metavar="GIB",
            help="how much of the device's memory earlier shots may take (default: a quarter)",
        )
        memory.add_argument(
            "--context-host-memory",
            type=_gibibytes,
            metavar="GIB",
            help="with a GPU, how much of main memory earlier shots may take besides (default: half)",
        )
        memory.add_argument(
            "--context-files",
            metavar="FOLDER",
            help="where the rest is written while it is needed, best a fast disk (default: the cache folder)",
        )

        models = parser.add_argument_group("models")
        models.add_argument(
            "--offline",
            action="store_true",
            help="do not ask the hub for models; the same as HF_HUB_OFFLINE=1",
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
            processes=getattr(args, "processes", 1),
            context_memory=getattr(args, "context_memory", None),
            context_host_memory=getattr(args, "context_host_memory", None),
            context_files=getattr(args, "context_files", None),
        )

    @property
    def arguments(self) -> list[str]:
        """The command line that gives these options."""
        given = {
            "--compile": self.compiled,
            "--cuda-graphs": self.cuda_graphs,
            "--retry-lower": self.retry_lower,
        }
        named = {
            "--backend": self.backend,
            "--profile": None if self.profile == "auto" else self.profile,
            "--processes": None if self.processes == 1 else self.processes,
            "--context-memory": self.context_memory,
            "--context-host-memory": self.context_host_memory,
            "--context-files": self.context_files,
        }
        told = [word for name, value in named.items() if value is not None for word in (name, str(value))]
        return [name for name, on in given.items() if on] + told

    @property
    def make_renderer(self) -> MakeRenderer:
        """Makes the engine's renderer with these options."""
        return partial(load_renderer, self)


def _gibibytes(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1e6:
        raise ValueError(text)
    return number


def _profile(name: str) -> str:
    """The name of a profile, for argparse."""
    try:
        return check_profile(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _processes(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST_PROCESSES:
        raise argparse.ArgumentTypeError(f"must be within 1–{MOST_PROCESSES}, got {number}")
    return number


def load_renderer(options: RendererOptions, model: str | None) -> Renderer:
    """The engine's renderer for a model folder, a hub id, or the embedded model where None."""
    if options.processes == 1:
        return shot_renderer(options, model)
    from moc_engine.render.several_processes import SeveralProcesses

    return SeveralProcesses(partial(shot_renderer, options, model), options.processes)


def shot_renderer(
    options: RendererOptions, model: str | None, group: RenderGroup | None = None
) -> ShotRenderer:
    """The renderer of this process: the only one, or one of a group that renders together."""
    with collection_suspended():
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        from moc_engine.machine import cache_folder
        from moc_engine.memory.spill_folder import own_folder
        from moc_engine.render.renderer import ShotRenderer

    for logging in (diffusers_logging, transformers_logging):  # their messages are not for users
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    budget, host = (
        None if gibibytes is None else int(gibibytes * (1 << 30))
        for gibibytes in (options.context_memory, options.context_host_memory)
    )
    files = cache_folder() / "context" if options.context_files is None else Path(options.context_files)
    return ShotRenderer(
        model,
        compiled=options.compiled,
        cuda_graphs=options.cuda_graphs,
        backend=options.backend,
        profile=options.profile,
        retry_lower=options.retry_lower,
        memory_budget=budget,
        host_memory_budget=host,
        spill=own_folder(files),
        group=group,
    )
