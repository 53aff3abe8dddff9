"""Gives stored takes new ids where their model got another name or the record of their inputs another form.

A take's id is the digest of its inputs, which name the model and, by id, other takes. So a new name for a
model changes the ids of its takes, and with them those of all takes that saw them. Traces are files that are
never rewritten: each take keeps its `former_ids`, by which traces may name it.

The functions work on records, the rows of a take as JSON: those of the database and those of bundles alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import EngineError
from moc_engine.model_index import EMBEDDED
from studio.domain.inputs import INPUTS_VERSION
from studio.store.documents import inputs_from_json
from studio.store.legacy_identity import legacy_digest
from studio.store.model_identity import ModelIdentities, family

Record = dict[str, Any]
RenameModel = Callable[[str], str]

_PROGRAM: Final = re.compile(r" \(\d+\.\d+\.\d+\)$")
"""Version 0.1 ended the name of a model with its own version."""


def needs_renaming(inputs: Mapping[str, Any]) -> bool:
    """Whether a record of inputs was written by version 0.1."""
    version: int = inputs.get("version", 1)
    return version < INPUTS_VERSION


def current_models(folders: Iterable[str | None], identities: ModelIdentities) -> RenameModel:
    """How version 0.1 named models, as they are named now.

    `folders` are the models that may have been used besides the embedded one. A model that is not there any
    more, or too large to be read at once, keeps its name without the program's version.
    """
    names: dict[str, str] = {}
    for model in dict.fromkeys((None, *folders)):
        legacy = legacy_identity(model)
        current = None if legacy is None else identities.known(model)
        if legacy is not None and current is not None:
            names[legacy] = current

    def rename(name: str) -> str:
        plain = _PROGRAM.sub("", name)
        return names.get(plain, plain)

    return rename


def legacy_identity(model: str | None) -> str | None:
    """What version 0.1 called a model folder, without its own version; None where there is no such folder."""
    folder = EMBEDDED if model is None else Path(model)
    try:
        return f"{family(model)}@{legacy_digest(folder)}" if folder.is_dir() else None
    except (EngineError, OSError):  # no model, or one that cannot be read: its takes keep their names
        return None


def renamed_ids(inputs: Mapping[str, Mapping[str, Any]], rename_model: RenameModel) -> dict[str, str]:
    """The new id of each take, by its old one. `inputs` are the records of all takes of a project by id."""
    ids: dict[str, str] = {}
    waiting = list(inputs)
    begun: set[str] = set()
    while waiting:
        take = waiting[-1]
        missing = (
            [] if take in begun else [name for name in _seen(inputs[take]) if name in inputs.keys() - ids]
        )
        begun.add(take)
        if missing:  # first what it saw; one that saw itself, which no program writes, is not looked at again
            waiting += missing
            continue
        waiting.pop()
        if take not in ids:
            ids[take] = inputs_from_json(renamed_inputs(inputs[take], ids, rename_model)).take_id
    return ids


def renamed_inputs(inputs: Mapping[str, Any], ids: Mapping[str, str], rename_model: RenameModel) -> Record:
    """A record of inputs in the form of today, with the model and the takes by their new names."""
    record = {
        **inputs,
        "model": rename_model(inputs["model"]),
        "context": [ids.get(take, take) for take in inputs.get("context", ())],
        "pins": [_target(name, ids) for name in inputs.get("pins", ())],
        "bans": [_target(name, ids) for name in inputs.get("bans", ())],
        "boosts": {_target(name, ids): boost for name, boost in inputs.get("boosts", {}).items()},
        "version": INPUTS_VERSION,
    }
    return inputs_from_json(record).record()


def renamed_take(take: Mapping[str, Any], ids: Mapping[str, str], rename_model: RenameModel) -> Record:
    """The record of a take under its new id. Of its parts, those that are there are renamed."""
    record = {
        **take,
        "id": ids[take["id"]],
        "inputs": renamed_inputs(take["inputs"], ids, rename_model),
        "context": [[shot, ids.get(seen, seen)] for shot, seen in take["context"]],
    }
    for name in ("links", "strongest"):
        if name in take:
            record[name] = {ids.get(seen, seen): value for seen, value in take[name].items()}
    if record["id"] != take["id"]:
        record["former_ids"] = [*take.get("former_ids", ()), take["id"]]
    return record


def merged_takes(takes: Iterable[Record]) -> list[Record]:
    """Of takes with the same id the first one, with the former ids of all of them."""
    merged: dict[str, Record] = {}
    for take in takes:
        first = merged.setdefault(take["id"], take)
        former = dict.fromkeys((*first.get("former_ids", ()), *take.get("former_ids", ())))
        if former:
            merged[take["id"]] = {**first, "former_ids": list(former)}
    return list(merged.values())


def renamed_bundle(record: Mapping[str, Any], rename_model: RenameModel) -> Record:
    """The record of a bundle, with takes that version 0.1 wrote in the form of today."""
    inputs = {take["id"]: take["inputs"] for take in record["takes"]}
    if not any(needs_renaming(one) for one in inputs.values()):
        return dict(record)
    ids = renamed_ids(inputs, rename_model)
    return {
        **record,
        "project": renamed_document(record["project"], ids),
        "takes": merged_takes(renamed_take(take, ids, rename_model) for take in record["takes"]),
        "strips": [{**strip, "take": ids.get(strip["take"], strip["take"])} for strip in record["strips"]],
    }


def renamed_document(document: Mapping[str, Any], ids: Mapping[str, str]) -> Record:
    """A project's document with its chosen and discarded takes under their new ids."""
    return {
        **document,
        "chosen": {shot: ids.get(take, take) for shot, take in document.get("chosen", {}).items()},
        "discarded": {ids.get(take, take): value for take, value in document.get("discarded", {}).items()},
    }


def renamed_change(change: Mapping[str, Any], ids: Mapping[str, str]) -> Record:
    """One side of an edit, by the paths that it changed: "chosen/SHOT" and "discarded/TAKE" name takes."""
    renamed: Record = {}
    for path, value in change.items():
        part, _, name = path.partition("/")
        if part == "chosen" and isinstance(value, str):
            renamed[path] = ids.get(value, value)
        elif part == "discarded":
            renamed[f"{part}/{ids.get(name, name)}"] = value
        else:
            renamed[path] = value
    return renamed


def _seen(inputs: Mapping[str, Any]) -> set[str]:
    """The takes that a record of inputs names."""
    names = (*inputs.get("context", ()), *inputs.get("pins", ()), *inputs.get("bans", ()))
    return {name.partition("/")[0] for name in (*names, *inputs.get("boosts", {}))}


def _target(name: str, ids: Mapping[str, str]) -> str:
    """A take, or "TAKE/part", with the take's new id."""
    take, slash, part = name.partition("/")
    return f"{ids.get(take, take)}{slash}{part}"
