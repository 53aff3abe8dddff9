"""The models on this machine for views and commands: listed, added, downloaded, removed, checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moc_engine.errors import EngineError, ModelNotFound
from moc_engine.lora_check import made_for
from moc_engine.lora_library import LibraryLora, describe_lora, loras_here
from moc_engine.machine import gpu_memory, main_memory
from moc_engine.model_index import check_path
from moc_engine.model_library import LibraryModel, check_files, describe, describe_parts, models_here
from moc_engine.model_location import hub_commit, model_parts
from moc_engine.profiles import profile_named
from moc_engine.sources.catalogue import KnownModel, known_model, known_models
from moc_engine.sources.entries import NAME, entry_file, find_entry
from moc_engine.sources.hub_id import HubFile, HubId, parse_hub_id, parse_hub_name
from moc_engine.sources.lora_source import local_file
from moc_engine.sources.model_files import ModelFiles, write_entry
from studio.domain.errors import NotThere, Refused, WrongUse
from studio.domain.messages import message
from studio.jobs import queue
from studio.jobs.order import DownloadOrder
from studio.store.database import Database

_FOUND = ("transformer", "transformer_2", "vae", "text_encoder")
"""Parts that may have been found beside those that were named."""


@dataclass(frozen=True, kw_only=True)
class MachineMemory:
    """Bytes of this machine's main memory, and of its GPU if it has one."""

    main: int
    device: int | None


@dataclass(frozen=True, kw_only=True)
class ModelState:
    """A model on this machine, and the profile under which it renders here: the one that `auto` chooses, or
    the next that fits; None where none does.
    """

    model: LibraryModel
    fits: str | None


@dataclass(frozen=True, kw_only=True)
class LoraState:
    """A LoRA file, and what the published models are called that it fits."""

    lora: LibraryLora
    models: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LibraryState:
    """What is on this machine, and what could be downloaded: the one to try first at the beginning."""

    machine: MachineMemory
    models: tuple[ModelState, ...]
    offered: tuple[KnownModel, ...]


@dataclass(frozen=True, kw_only=True)
class RemoteState:
    """A model or LoRA of the hub before its download: its name with the commit, and its licence.

    `size` are its bytes, `missing` those not received yet, `free` those of the disk; `fits` is whether there
    is room for what is missing.
    """

    model: str
    licence: str | None
    size: int
    missing: int
    free: int
    fits: bool


class ModelLibrary:
    """Lists and changes the models of this machine. Methods raise `Refused` in words, `NotThere`."""

    def __init__(self, database: Database | None = None, machine: MachineMemory | None = None) -> None:
        self._database = database
        self._machine = machine

    @property
    def machine(self) -> MachineMemory:
        if self._machine is None:
            self._machine = MachineMemory(main=main_memory(), device=gpu_memory())
        return self._machine

    def state(self) -> LibraryState:
        """The models on this machine, and those of the catalogue that are not here and can be read."""
        here = models_here()
        repos = {model.name for model in here if model.origin == "hub"}
        offered = tuple(
            known for known in known_models() if known.id not in repos and known.unreadable is None
        )
        models = tuple(self._state(model) for model in here)
        return LibraryState(machine=self.machine, models=models, offered=offered)

    def loras(self) -> tuple[LibraryLora, ...]:
        """The LoRA files in ComfyUI's folders."""
        return loras_here()

    def lora(self, name: str) -> LoraState | None:
        """A LoRA of this machine, and the models it fits; None for a name that is none of a LoRA.

        Raises `Refused` for a LoRA that is damaged.
        """
        file = local_file(name)
        if file is None:
            return None
        with _in_words():
            lora = describe_lora(file)
            return None if lora is None else LoraState(lora=lora, models=made_for(file))

    def check(self, model: str | None) -> ModelState:
        """One model, whose files are looked through: all are there, whole, and of one model."""
        with _in_words():
            return self._state(describe(model))

    def look_up(self, model: str) -> RemoteState:
        """What the hub says of a model or LoRA."""
        named = self.hub_name(model)
        from moc_engine.sources.download import plan_download

        with _in_words():
            plan = plan_download(named)
        return RemoteState(
            model=str(plan.id),
            licence=plan.licence,
            size=plan.size,
            missing=plan.missing,
            free=plan.free,
            fits=plan.fits,
        )

    def download(self, model: str) -> int:
        """Queues the download of a model or LoRA of the hub; returns the job."""
        named = self.hub_name(model)
        assert self._database is not None, "a studio with a queue"
        order = DownloadOrder(model=str(named), reason=str(named))
        with self._database.write() as session:
            made = queue.enqueue(session, None, [order])
            same = [job.id for job in queue.jobs_of(session) if job.order.wish == order.wish]
        return made[0] if made else same[-1]

    def add(self, name: str, files: Mapping[Any, str]) -> ModelState:
        """Adds a model under a name: its files by part, or its `folder`. The files stay where they are.

        Nothing is added where the files are not whole, or not of one model.
        """
        if NAME.fullmatch(name) is None:
            raise WrongUse(message("model-name-invalid", name=name))
        if find_entry(name) is not None:
            raise Refused(message("model-exists", name=name))
        if ("transformer" not in files and files.keys() != {"folder"}) or {
            "folder",
            "transformer",
        } <= files.keys():
            raise WrongUse(message("model-files-unclear"))
        with _in_words():
            paths = {part: _absolute(path) for part, path in files.items()}
            if paths.keys() == {"folder"}:
                describe(str(paths["folder"]))
                write_entry(entry_file(name), paths["folder"])
            else:
                made = ModelFiles(**paths)
                parts = check_files(made, name)
                describe_parts(parts, name)
                paths |= {part: parts.parts[part].path for part in _FOUND if part in parts.parts}
                write_entry(entry_file(name), made if made.config else ModelFiles(**paths))
        return self.check(name)

    def remove(self, model: str) -> int:
        """Removes an added model's name, or the files of a hub model; returns the bytes freed."""
        entry = find_entry(model)
        if entry is not None:
            entry.unlink(missing_ok=True)
            return 0
        try:
            commit = hub_commit(model_parts(model))
        except ModelNotFound:
            commit = _partly_there(model)
        except EngineError:
            commit = None
        if commit is None:
            raise NotThere(message("model-not-found", name=model))
        from moc_engine.sources.hub_cache import remove_cached

        return remove_cached(commit)

    def hub_name(self, name: str) -> HubId | HubFile:
        """The model or file of the hub that a name means.

        Raises `WrongUse` where it is no such name, `Refused` for a model that is known to be published as
        pickles.
        """
        named = parse_hub_name(name)
        if named is None:
            raise WrongUse(message("model-not-on-hub", model=name))
        known = known_model(named.repo) if isinstance(named, HubId) else None
        if known is not None and known.unreadable is not None:
            raise Refused(message("model-unreadable", model=known.title, why=known.unreadable))
        return named

    def _state(self, model: LibraryModel) -> ModelState:
        device, main = self.machine.device, self.machine.main
        if device is None:
            return ModelState(model=model, fits=None)
        auto = profile_named("auto", "cuda", device).name
        by_wish = sorted(model.needs, key=lambda need: need.profile != auto)
        fitting = (need.profile for need in by_wish if need.device <= device and need.host <= main)
        return ModelState(model=model, fits=next(fitting, None))


def _partly_there(model: str) -> str | None:
    """The name with commit of a hub model of which some files are in the cache."""
    from moc_engine.sources.hub_cache import cached_models

    named = parse_hub_id(model)
    found = [
        str(here) for here, _ in cached_models() if named is not None and model in (str(here), here.repo)
    ]
    return found[0] if found else None


def _absolute(path: str) -> Path:
    """A path of this machine, "~" being the person's folder."""
    try:
        found = Path(path).expanduser().absolute()
    except RuntimeError as error:  # "~name" of nobody
        raise ModelNotFound(f"there is no folder {path}") from error
    check_path(found)
    return found


@contextmanager
def _in_words() -> Iterator[None]:
    """Errors of the engine about models as refusals."""
    try:
        yield
    except EngineError as error:
        raise Refused(message("text", text=str(error))) from error
