"""The options of `moc-studio train lora` and `train full`, and the plan that they make. No torch.

Options have the names of the fields of `TuningRecipe` and `RunSettings`, with "-" for "_".
"""

from __future__ import annotations

import argparse
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import CheckpointError
from moc_engine.training.options import CHECKPOINT
from moc_engine.training.tuning.plan import (
    PLAN,
    RECIPE_FIELDS,
    SETTING_FIELDS,
    RunSettings,
    TuningPlan,
    changed_names,
    read_plan,
)
from moc_engine.training.tuning.presets import PRESETS, recipe_of
from moc_engine.training.tuning.recipe import ATTENTION, FEED_FORWARD, Kind, SparsityStage

LAYERS: Final = {"attention": ATTENTION, "all": (*ATTENTION, *FEED_FORWARD)}
"""What `--targets` may name beside layers themselves."""

STAGES: Final = "dense:0.2,16:0.4,8:0.6,5:1"
OWN_STORIES: Final = "dense:0.2:2-2:dawn,5:1"


def add_options(parser: ArgumentParser, kind: Kind) -> None:
    """Adds the options of a run; what is not given is that of the preset."""
    presets = "; ".join(f"{name}: {preset.words}" for name, preset in PRESETS.items())
    parser.add_argument("--model", metavar="DIR|HUB_ID", help="the model to tune")
    parser.add_argument("--data", type=Path, metavar="FOOTAGE", help="footage, or a cache of it")
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="output folder")
    parser.add_argument(
        "--resume", action="store_true", help="continue the run in DIR from its last checkpoint"
    )
    parser.add_argument(
        "--preset", choices=PRESETS, help=f"the recipe to start from (default: standard). {presets}"
    )
    _add_recipe(parser.add_argument_group("recipe, in place of the preset's"), kind)
    _add_settings(parser.add_argument_group("run"))


def _add_recipe(group: Any, kind: Kind) -> None:
    number, share = {"type": int, "metavar": "N"}, {"type": float, "metavar": "X"}
    group.add_argument("--steps", **number, help="total number of steps")
    group.add_argument("--expert", choices=("high", "low"), help="which transformer of a model that has two")
    if kind == "lora":
        group.add_argument("--rank", **number, help="rank of the LoRA")
        group.add_argument("--alpha", **share, help="scale of the LoRA times its rank")
        group.add_argument(
            "--targets",
            type=_targets,
            metavar="attention|all|NAME,…",
            help="the linear layers it is added to",
        )
    group.add_argument("--learning-rate", **share)
    group.add_argument("--batch", **number, help="stories in a step of each process")
    group.add_argument("--accumulation", **number, help="batches before the weights change")
    group.add_argument(
        "--shots", type=_range, metavar="A-B", help="shots of a story in a step, fewest and most"
    )
    group.add_argument(
        "--denoised", **number, help="noisy shots of them, at random; others are clean context"
    )
    group.add_argument(
        "--stages",
        type=_stages,
        metavar="K:SHARE[:A-B[:STORIES]],…",
        help=f"chunks per query up to each share of the steps, such as {STAGES}; a stage may have numbers of "
        "shots of its own, and stories alone whose names begin so: in "
        f"{OWN_STORIES} the first fifth of the steps is dense, with 2 shots of stories named dawn…",
    )
    group.add_argument(
        "--chunking", choices=("track", "frame"), help="chunks are frames, or positions over time"
    )
    group.add_argument(
        "--pooling", choices=("before", "after"), help="means of keys before or after rotation"
    )
    group.add_argument("--backend", metavar="NAME", help="attention backend")
    group.add_argument(
        "--memory-policy",
        metavar="NAME",
        help="what is remembered of earlier shots, as moc-studio render has it (default: all; renders of Wan "
        "models remember change, with 8 keyframes)",
    )
    group.add_argument("--keyframes", **number, help="frames of each shot that are remembered (default: 8)")
    group.add_argument("--drop-off", **share, help="largest share of its chunks that a query loses")
    group.add_argument("--drop-in", **share, help="random chunks that a query gains, on average")
    group.add_argument("--pins", **share, help="probability that an earlier shot must be attended to")
    group.add_argument("--bans", **share, help="probability that an earlier shot must not be attended to")
    group.add_argument("--memory-noise", **share, help="largest noise level of the context")
    group.add_argument("--caption-dropout", **share, help="share of shots without captions, for guidance")
    group.add_argument("--levels", choices=("logit-normal", "uniform"), help="how noise levels are drawn")
    group.add_argument("--shift", **share, help="shift of noise levels (default: the model's own)")
    group.add_argument(
        "--emphasis", **share, help="how much more errors count where the cache has an emphasis"
    )
    group.add_argument(
        "--identity",
        **share,
        help="weight of telling who is where, as far as the cache says so, from tokens in the middle",
    )
    group.add_argument("--warm-up", **number, help="steps in which the learning rate rises")
    group.add_argument("--cool-down", **share, help="last share of the steps, in which it falls")
    group.add_argument("--weight-decay", **share)
    group.add_argument("--clip", **share, help="largest norm of the gradients")
    group.add_argument("--optimizer", choices=("adamw", "adamw8bit"), help="adamw8bit needs bitsandbytes")
    group.add_argument("--ema", **share, help="decay of averaged weights; 0: none")
    group.add_argument(
        "--precision", choices=("no", "bf16"), help="bf16 computes in bfloat16 and stores so what is frozen"
    )
    group.add_argument(
        "--checkpointing",
        action=argparse.BooleanOptionalAction,
        help="compute blocks again in the backward pass, which saves memory",
    )
    group.add_argument("--seed", **number)
    group.add_argument(
        "--held-out", **number, help="stories to measure with instead of training on them (default: 2)"
    )


def _add_settings(group: Any) -> None:
    default = RunSettings()
    whole, minutes = {"type": int, "metavar": "N"}, {"type": float, "metavar": "N"}
    group.add_argument("--minutes", **minutes, help="pause after N minutes; continue with --resume")
    group.add_argument(
        "--save-minutes", **minutes, help=f"minutes between checkpoints (default: {default.save_minutes:g})"
    )
    group.add_argument("--save-steps", **whole, help="also a checkpoint every N steps")
    group.add_argument(
        "--evaluation-steps",
        **whole,
        help=f"steps between measurements of held-out stories; 0: none (default: {default.evaluation_steps})",
    )
    group.add_argument("--sample-steps", **whole, help="also a sample film every N steps")
    group.add_argument(
        "--sample-minutes",
        **minutes,
        help=f"minutes between sample films, 0: none (default: {default.sample_minutes:g})",
    )
    group.add_argument(
        "--sampler-steps", **whole, help=f"denoising steps of sample films (default: {default.sampler_steps})"
    )
    group.add_argument(
        "--tracker", metavar="NAME", help="tensorboard, or another tracker that accelerate knows"
    )
    group.add_argument(
        "--shard",
        action=argparse.BooleanOptionalAction,
        help="spread the weights over the processes (FSDP), which saves memory on several GPUs",
    )
    group.add_argument("--device", choices=("cpu",), help="use no GPU")


def read_options(args: Namespace, kind: Kind) -> TuningPlan:
    """The plan of a parsed command line; with --resume, the run's own with the changes that it may have.

    Raises `ValueError` that begins with the option's name, and `CheckpointError` for a plan that is damaged.
    """
    given = {name: value for name, value in vars(args).items() if value is not None}
    recipe = {name: value for name, value in given.items() if name in RECIPE_FIELDS}
    settings = {name: value for name, value in given.items() if name in SETTING_FIELDS}
    exists = (args.out / CHECKPOINT).exists()
    if args.resume:
        if not exists:
            raise ValueError(
                f"resume: there is no checkpoint in {args.out}; without it the same command "
                "starts anew, and keeps the footage that is cached"
            )
        return _resumed(read_plan(args.out), given, kind, recipe, settings)
    if exists:
        raise ValueError(f"out: {args.out} already holds a run; resume it or choose another folder")
    for name in ("model", "data"):
        if name not in given:
            raise ValueError(f"{name}: is needed for a new run")
    preset = given.get("preset", "standard")
    return TuningPlan(
        model=args.model,
        data=args.data,
        preset=preset,
        recipe=recipe_of(kind, preset, recipe),
        settings=RunSettings(**settings),
        **({"held_out": given["held_out"]} if "held_out" in given else {}),
    )


def _resumed(
    plan: TuningPlan, given: Mapping[str, Any], kind: Kind, recipe: dict[str, Any], settings: dict[str, Any]
) -> TuningPlan:
    if kind != plan.recipe.kind:
        raise CheckpointError(f"{given['out']} holds a run of train {plan.recipe.kind}")
    if "preset" in given:
        recipe = {**PRESETS[given["preset"]].fields, **recipe} if given["preset"] != plan.preset else recipe
    # a model or cache may have moved: that its content is the same is seen from the checkpoint
    resumed = replace(
        plan,
        model=given.get("model", plan.model),
        data=given.get("data", plan.data),
        recipe=replace(plan.recipe, **recipe),
        held_out=given.get("held_out", plan.held_out),
        settings=replace(plan.settings, **{"minutes": None, **settings}),
    )
    if changed := changed_names(plan, resumed):
        raise CheckpointError(f"{given['out'] / PLAN} has another recipe; it differs in {', '.join(changed)}")
    return resumed


def _targets(text: str) -> tuple[str, ...]:
    return LAYERS.get(text) or tuple(name for name in text.split(",") if name)


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    try:
        return int(first), int(last or first)
    except ValueError as error:
        raise ArgumentTypeError(f"must be like 2-4, got '{text}'") from error


def _stages(text: str) -> tuple[SparsityStage, ...]:
    stages = []
    for part in text.split(","):
        chunks, until, shots, stories = [*part.split(":", 3), "", "", ""][:4]
        try:
            top_k = None if chunks == "dense" else int(chunks)
            own = {"shots": _range(shots)} if shots else {}
            stages.append(SparsityStage(until=float(until), top_k=top_k, stories=stories, **own))
        except (ArgumentTypeError, ValueError) as error:
            raise ArgumentTypeError(f"must be like {STAGES} or {OWN_STORIES}, got '{text}'") from error
    return tuple(stages)
