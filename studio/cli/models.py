"""`moc-studio models list`, `add`, `remove`, `check`: the models on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moc_engine.profiles import PROFILES
from studio.cli.projects import size_in_words
from studio.domain.errors import WrongUse

if TYPE_CHECKING:
    from studio.service.library import LoraState, MachineMemory, ModelLibrary, ModelState

PARTS: Final = {
    "transformer": "the transformer: a .safetensors or .gguf file; of two experts the one for high noise",
    "transformer-2": "the expert for low noise (default: beside the first, by its name)",
    "vae": "the autoencoder (default: found in ComfyUI's folders beside the transformer)",
    "text-encoder": "the text encoder, a file or a folder (default: found there too)",
    "tokenizer": "the folder of the tokenizer, for text encoders that do not carry it",
    "image-encoder": "the image encoder, a file or a folder, if one is needed (default: found there too)",
    "config": "a folder with the settings of the parts, for models of other sizes than the published ones",
}
"""Options of `add` that name files, and what they are."""


def add_to(subparsers: Any) -> None:
    models = subparsers.add_parser("models", help="list, add, remove and check models")
    commands = models.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="list the models on this machine and those on offer")
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    listing.set_defaults(run=run_list)

    adding = commands.add_parser(
        "add",
        help="download a model of the hub, or add one that is on this machine under a name",
        description="Downloads a model of the hub (owner/name, or owner/name@revision) and prints its name "
        "with the commit; or adds a model of this machine under a NAME, by its --folder or its files, which "
        "stay where they are. Projects and --model then take that name.",
    )
    adding.add_argument("model", metavar="MODEL", help="owner/name on the hub, or a NAME of your own")
    adding.add_argument("--folder", type=Path, metavar="DIR", help="its folder in the format of diffusers")
    for option, meaning in PARTS.items():
        adding.add_argument(f"--{option}", type=Path, metavar="PATH", help=meaning)
    adding.add_argument("--offline", action="store_true", help="do not ask the hub")
    adding.set_defaults(run=run_add)

    removing = commands.add_parser(
        "remove", help="forget an added model, or delete the files of a downloaded one"
    )
    removing.add_argument("model", metavar="MODEL", help="its name, as models list shows it")
    removing.set_defaults(run=run_remove)

    checking = commands.add_parser(
        "check",
        help="look through a model's files, and tell what it needs",
        description="Looks through the files of a model, and tells what a shot needs under each profile; of "
        "a LoRA, which models it is for.",
    )
    checking.add_argument("model", metavar="MODEL", help="a name, file, folder, hub model, or a LoRA's file")
    checking.add_argument("--json", action="store_true", help="print one JSON document")
    checking.set_defaults(run=run_check)


def run_list(args: argparse.Namespace) -> int:
    state = _library().state()
    if args.json:
        print(json.dumps(asdict(state), indent=2, ensure_ascii=False))
        return 0
    for model in state.models:
        print(_line(model, state.machine))
    if state.offered:
        print("\non offer, by moc-studio models add NAME:")
    for known in state.offered:
        print(f"{known.id}  {known.licence}, {known.steps} steps. {known.note}")
    return 0


def _line(state: ModelState, machine: MachineMemory) -> str:
    model = state.model
    said = f"{model.name}  {model.title}"
    if model.problem is not None:
        return f"{said}  cannot be used: {model.problem}"
    parts = [size_in_words(model.size), parameters_in_words(model.parameters), model.dtype]
    parts.append(model.licence or "licence not stated")
    pictures = "; every shot needs a first frame" if model.needs_first_frame else ""
    return f"{said}  {', '.join(parts)}; {_fit_in_words(state, machine)}{pictures}"


def parameters_in_words(count: int) -> str:
    """ "14.3 B parameters", "5.4 M parameters", "21 k parameters"."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit} parameters"
    return f"{count} parameters"


def _fit_in_words(state: ModelState, machine: MachineMemory) -> str:
    if not state.model.needs:
        return "fits everywhere" if state.model.origin == "embedded" else "what it needs is not known"
    if state.fits is not None:
        return f"fits under the profile {state.fits}"
    least = f"{min(need.device for need in state.model.needs) / 2**30:.1f} GB"
    if machine.device is None:
        return f"needs a GPU with {least} or more; without one it renders very slowly"
    return f"needs {least} of GPU memory or more, and what goes with it of main memory"


def run_add(args: argparse.Namespace) -> int:
    files = {
        option.replace("-", "_"): str(path)
        for option in ("folder", *PARTS)
        if (path := getattr(args, option.replace("-", "_"))) is not None
    }
    if files:
        if "folder" not in files and "transformer" not in files:
            raise WrongUse("--transformer: a model of files needs at least its transformer")
        _library().add(args.model, files)
        print(args.model)
        return 0
    print(_download(args.model))
    return 0


def _download(model: str) -> str:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from moc_engine.sources.download import DownloadProgress, download

    named = _library().hub_name(model)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(model)
        told = False

        def report(progress: DownloadProgress) -> None:
            nonlocal told
            if not told:
                told = True
                print(f"{model}: {size_in_words(progress.total)}", file=sys.stderr)
            bar.update(task, completed=progress.done, total=progress.total)

        return str(download(named, report).id)


def run_remove(args: argparse.Namespace) -> int:
    freed = _library().remove(args.model)
    print(f"{args.model} removed, {size_in_words(freed)} freed" if freed else f"{args.model} removed")
    return 0


def run_check(args: argparse.Namespace) -> int:
    from moc_engine.model_library import NEED_SHOT

    library = _library()
    lora = library.lora(args.model)
    if lora is not None:
        print(json.dumps(asdict(lora), indent=2, ensure_ascii=False) if args.json else _lora_line(lora))
        return 0
    state = library.check(args.model)
    if args.json:
        print(json.dumps(asdict(state), indent=2, ensure_ascii=False))
        return 0
    print(_line(state, library.machine))
    if state.model.needs:
        seconds, height, width = NEED_SHOT
        print(f"a shot of {seconds:g} s at {width}x{height}, the first of a film, needs by prediction:")
    does = {profile.name: profile for profile in PROFILES}
    for need in state.model.needs:
        device, host = (size / 2**30 for size in (need.device, need.host))
        print(
            f"  --profile {need.profile}: {device:.1f} GB on the GPU, {host:.1f} GB of main memory "
            f"({does[need.profile]})"
        )
    return 0


def _lora_line(lora: LoraState) -> str:
    models = ", ".join(lora.models) or "none of the published models"
    parts = [f"rank {lora.lora.rank}", size_in_words(lora.lora.size)]
    parts += [] if lora.lora.expert is None else [f"{lora.lora.expert} noise"]
    parts += [] if lora.lora.preset is None else [f"{lora.lora.preset}, for few steps"]
    return (
        f"{lora.lora.name}: a LoRA for {models} ({', '.join(parts)}); give it to a film by moc-studio render "
        "--lora, or among the loras of its settings"
    )


def _library() -> ModelLibrary:
    from studio.service.library import ModelLibrary

    return ModelLibrary()
