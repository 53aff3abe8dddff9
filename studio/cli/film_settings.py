"""Options of `moc-studio render FILE` that stand in place of the film's settings."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from moc_engine.config import policy_names, render_router_names
from studio.domain.errors import BadStoryboard, WrongUse, errors_within

if TYPE_CHECKING:
    from studio.domain.settings import Lora
    from studio.domain.storyboard import Storyboard

_PLAIN: Final = (
    "model",
    "steps",
    "guidance",
    "guidance_2",
    "negative_prompt",
    "scheduler",
    "shift",
    "step_cache",
    "top_k",
    "memory_policy",
    "keyframes",
    "memory_storage",
    "positions",
    "router",
    "context",
)
"""Settings whose options have their names and values."""

NAMES: Final = (*_PLAIN, "lora", "full_below", "seed", "size", "fps")
"""All options, by the names that argparse gives them."""

_WEIGHT: Final = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)")


def add_to(parser: argparse.ArgumentParser) -> None:
    from studio.domain.settings import Context, Positions, Scheduler, StepCache, Storage

    film = parser.add_argument_group("settings of a file's film, in place of its own")
    film.add_argument("--model", metavar="NAME", help="a model: hub name, folder, file or added name")
    film.add_argument("--size", metavar="WxH", help="frame size in pixels")
    film.add_argument("--fps", metavar="N", help="frames per second, such as 24, 23.976 or 30000/1001")
    film.add_argument("--seed", type=int, metavar="N", help="seed of the film, from which its shots' follow")
    film.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    film.add_argument(
        "--guidance", type=float, metavar="X", help="how closely pictures follow captions; 1: not guided"
    )
    film.add_argument(
        "--guidance-2", type=float, metavar="X", help="the same for the transformer for low noise"
    )
    film.add_argument(
        "--negative-prompt",
        metavar="TEXT",
        help='what pictures must not show; "": nothing (default: that of the model, for Wan its authors\')',
    )
    film.add_argument(
        "--lora",
        action="append",
        metavar="FILE[:WEIGHT]",
        help="add a LoRA, a file or owner/name/file.safetensors of the hub; may be given several times; "
        "weight 0 leaves out one of the film's",
    )
    film.add_argument("--scheduler", choices=get_args(Scheduler), help="how steps are taken")
    film.add_argument("--shift", type=float, metavar="X", help="flow shift of the scheduler")
    film.add_argument(
        "--step-cache", choices=get_args(StepCache), help="skip blocks that change little between steps"
    )
    memory = parser.add_argument_group("memory of a file's film, in place of its own settings")
    memory.add_argument(
        "--top-k", type=int, metavar="N", help="chunks of earlier shots that each token attends to"
    )
    memory.add_argument(
        "--router",
        choices=render_router_names(),
        metavar="NAME",
        help=f"how they are chosen: {', '.join(render_router_names())} (default: moc)",
    )
    memory.add_argument(
        "--full-below",
        metavar="N|auto",
        help="a shot that can attend to fewer tokens attends to all; 0: never; auto: where that is faster",
    )
    memory.add_argument(
        "--memory-policy",
        choices=policy_names(),
        metavar="NAME",
        help=f"what is remembered of each shot: {', '.join(policy_names())}",
    )
    memory.add_argument("--keyframes", type=int, metavar="N", help="frames of each shot that are remembered")
    memory.add_argument("--memory-storage", choices=get_args(Storage), help="in which precision")
    memory.add_argument(
        "--positions", choices=get_args(Positions), help="positions in time of remembered shots"
    )
    memory.add_argument(
        "--context",
        choices=get_args(Context),
        help="what a shot sees: all earlier shots, or those that are finished when its render begins, so "
        "that several workers render side by side (default: all)",
    )


def given(args: argparse.Namespace) -> list[str]:
    """The options that are given, by name."""
    return [name for name in NAMES if getattr(args, name) is not None]


def with_options(board: Storyboard, args: argparse.Namespace) -> Storyboard:
    """The storyboard with the settings of the command line in place of its own. Raises `WrongUse`."""
    from studio.domain.frame_rate import parse_rate
    from studio.domain.settings import parse_full_below, together
    from studio.domain.storyboard import parse_size

    settings: dict[str, Any] = {name: getattr(args, name) for name in _PLAIN}
    film: dict[str, Any] = {"seed": args.seed}
    try:
        if args.full_below is not None:
            with errors_within("full_below"):
                settings["full_below"] = parse_full_below(args.full_below)
        if args.size is not None:
            with errors_within("size"):
                film["size"] = parse_size(args.size)
        if args.fps is not None:
            with errors_within("fps"):
                film["fps"] = parse_rate(args.fps)
        if args.lora is not None:
            model = args.model or board.settings.model
            settings["loras"] = together(board.settings.loras, parse_loras(args.lora, model))
        board = replace(board, **{name: value for name, value in film.items() if value is not None})
        chosen = {name: value for name, value in settings.items() if value is not None}
        return replace(board, settings=replace(board.settings, **chosen))
    except BadStoryboard as error:
        option = "lora" if "loras" in error.field else str(error.field[-1]).replace("_", "-")
        raise WrongUse(f"--{option}: {error}") from error


def parse_loras(texts: Sequence[str], model: str | None) -> tuple[Lora, ...]:
    """The LoRAs of the option --lora: "ink.safetensors:0.8" has a weight, "C:\\ink.safetensors" has none.

    Where the model has two transformers, a file whose name says so goes into that for high or low noise.
    """
    from moc_engine.lora_files import expert_named
    from moc_engine.model_abilities import model_abilities
    from studio.domain.settings import Lora

    two = "two_experts" in (model_abilities(model) or ())
    loras = []
    for text in texts:
        file, colon, weight = text.rpartition(":")
        if not (colon and file and _WEIGHT.fullmatch(weight)):
            if file.lower().endswith(".safetensors"):
                raise WrongUse(f'--lora {text}: the weight "{weight}" is no number')
            file, weight = text, "1"
        expert = expert_named(Path(file).name) if two else None
        with errors_within("loras"):
            loras.append(Lora(file=file, weight=float(weight), expert=expert or "both"))
    return tuple(loras)
