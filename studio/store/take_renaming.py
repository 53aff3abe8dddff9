"""Computes new ids of stored takes after the identity of a model or the format of take inputs has changed.

A take's id is the digest of its inputs, which contain the model's identity and the ids of the context takes.
So a new model identity changes the ids of the model's takes, and of all takes that have them as context.
Traces are never rewritten: each take keeps its `former_ids`, which traces may contain.

The functions work on records, which are takes as JSON, from the database or from bundles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import EngineError
from moc_engine.model_index import EMBEDDED
from studio.domain.inputs import INPUTS_VERSION, take_frame
from studio.store.documents import inputs_from_json
from studio.store.legacy_identity import legacy_digest
from studio.store.model_identity import ModelIdentities, family

Record = dict[str, Any]
RenameModel = Callable[[str], str]

_PROGRAM: Final = re.compile(r" \(\d+\.\d+\.\d+\)$")
"""Version 0.1 appended its own version to a model's identity."""


def needs_renaming(inputs: Mapping[str, Any]) -> bool:
    """Whether a record of inputs was written by version 0.1."""
    version: int = inputs.get("version", 1)
    return version < INPUTS_VERSION


def current_models(folders: Iterable[str | None], identities: ModelIdentities) -> RenameModel:
    """A function from the model identities of version 0.1 to the current ones.

    `folders` are the models that may have been used besides the embedded one. A model that is missing, or
    too large to be hashed at once, keeps its old identity without the program's version.
    """
    identities_now: dict[str, str] = {}
    for model in dict.fromkeys((None, *folders)):
        legacy = legacy_identity(model)
        current = None if legacy is None else identities.known(model)
        if legacy is not None and current is not None:
            identities_now[legacy] = current

    def rename(name: str) -> str:
        plain = _PROGRAM.sub("", name)
        return identities_now.get(plain, plain)

    return rename


def legacy_identity(model: str | None) -> str | None:
    """The identity that version 0.1 gave a model, without the program's version; None without a folder."""
    folder = EMBEDDED if model is None else Path(model)
    try:
        return f"{family(model)}@{legacy_digest(folder)}" if folder.is_dir() else None
    except (EngineError, OSError):  # not a readable model: its takes keep their ids
        return None


def renamed_ids(inputs: Mapping[str, Mapping[str, Any]], rename_model: RenameModel) -> dict[str, str]:
    """The new ids of takes by their old ids. `inputs` are the inputs of all takes of a project by id."""
    ids: dict[str, str] = {}
    waiting = list(inputs)
    begun: set[str] = set()
    while waiting:
        take = waiting[-1]
        missing = (
            [] if take in begun else [name for name in _takes_in(inputs[take]) if name in inputs.keys() - ids]
        )
        begun.add(take)
        if missing:  # its context first; a cycle, which only a damaged file has, is entered once
            waiting += missing
            continue
        waiting.pop()
        if take not in ids:
            ids[take] = inputs_from_json(renamed_inputs(inputs[take], ids, rename_model)).take_id
    return ids


def renamed_inputs(inputs: Mapping[str, Any], ids: Mapping[str, str], rename_model: RenameModel) -> Record:
    """Inputs in the current format, with the new model identity and the new ids of takes."""
    record = {
        **inputs,
        "model": rename_model(inputs["model"]),
        "context": [ids.get(take, take) for take in inputs.get("context", ())],
        "pins": [_target(name, ids) for name in inputs.get("pins", ())],
        "bans": [_target(name, ids) for name in inputs.get("bans", ())],
        "boosts": {_target(name, ids): boost for name, boost in inputs.get("boosts", {}).items()},
        "version": INPUTS_VERSION,
    }
    frame = take_frame(inputs.get("first_frame"))
    if frame is not None:
        record["first_frame"] = str(replace(frame, take=ids.get(frame.take, frame.take)))
    for draft in ("guide", "control"):
        if draft in inputs:
            record[draft] = ids.get(inputs[draft], inputs[draft])
    return inputs_from_json(record).record()


def renamed_take(take: Mapping[str, Any], ids: Mapping[str, str], rename_model: RenameModel) -> Record:
    """A take under its new id, with new ids in all fields that the record has."""
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
    """Merges takes of the same id: the first one is kept, with the former ids of all."""
    merged: dict[str, Record] = {}
    for take in takes:
        first = merged.setdefault(take["id"], take)
        former = dict.fromkeys((*first.get("former_ids", ()), *take.get("former_ids", ())))
        if former:
            merged[take["id"]] = {**first, "former_ids": list(former)}
    return list(merged.values())


def renamed_bundle(record: Mapping[str, Any], rename_model: RenameModel) -> Record:
    """The record of a bundle with takes of version 0.1 converted to the current format."""
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
    """A project's document with the new ids of its chosen and discarded takes."""
    return {
        **document,
        "chosen": {shot: ids.get(take, take) for shot, take in document.get("chosen", {}).items()},
        "drafts": {shot: ids.get(take, take) for shot, take in document.get("drafts", {}).items()},
        "discarded": {ids.get(take, take): value for take, value in document.get("discarded", {}).items()},
    }


def renamed_change(change: Mapping[str, Any], ids: Mapping[str, str]) -> Record:
    """One side of an edit with new ids. Of its keys, "chosen/SHOT" and "discarded/TAKE" refer to takes."""
    renamed: Record = {}
    for path, value in change.items():
        part, _, name = path.partition("/")
        if part in ("chosen", "drafts") and isinstance(value, str):
            renamed[path] = ids.get(value, value)
        elif part == "discarded":
            renamed[f"{part}/{ids.get(name, name)}"] = value
        else:
            renamed[path] = value
    return renamed


def _takes_in(inputs: Mapping[str, Any]) -> set[str]:
    """The ids of all takes in a record of inputs."""
    names = (*inputs.get("context", ()), *inputs.get("pins", ()), *inputs.get("bans", ()))
    takes = {name.partition("/")[0] for name in (*names, *inputs.get("boosts", {}))}
    frame = take_frame(inputs.get("first_frame"))
    return takes | {
        name for name in (inputs.get("guide"), inputs.get("control"), frame and frame.take) if name
    }


def _target(name: str, ids: Mapping[str, str]) -> str:
    """A steering target, "TAKE" or "TAKE/part", with the take's new id."""
    take, slash, part = name.partition("/")
    return f"{ids.get(take, take)}{slash}{part}"
