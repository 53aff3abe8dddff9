"""A film's folder on disk, and the finished takes in it.

    DIR/film.json                  which take each shot uses, and what the film was made of
    DIR/takes/03-9f2c41d07be815aa/ clip, latents, trace and take.json of one take of shot 3
    DIR/the-red-kite.mp4 …         the film and what goes with it

A take's folder appears whole or not at all, and is never changed afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from studio.artifacts import sweep, whole_folder, write_text
from studio.errors import DamagedFolder
from studio.planner import TakeInputs

_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class Take:
    """One finished render of a shot; `context` holds (shot, take id) of the takes it could look at."""

    folder: Path
    inputs: TakeInputs
    shot: int
    context: tuple[tuple[int, str], ...]
    clip: Path
    latents: Path
    trace: Path
    frames: int
    backend: str
    timings: Mapping[str, float]

    @property
    def id(self) -> str:
        return self.inputs.take_id


class FilmFolder:
    """The folder a film is rendered into."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def _takes(self) -> Path:
        return self.root / "takes"

    def prepare(self) -> None:
        """Makes the folder and clears what killed renders left in it."""
        self._takes.mkdir(parents=True, exist_ok=True)
        sweep(self._takes)
        sweep(self.root)

    def takes(self) -> dict[str, Take]:
        """The finished takes by id; a take with a missing or cut file counts as not there."""
        found = (self._read(record) for record in sorted(self._takes.glob("[0-9]*/take.json")))
        return {take.id: take for take in found if take is not None}

    def take(self, shot: int, take_id: str) -> Take:
        """The take that was just made of a shot."""
        take = self._read(self._home(shot, take_id) / "take.json")
        if take is None:
            raise DamagedFolder(f"the new take of shot {shot + 1} cannot be read back from {self.root}")
        return take

    @contextmanager
    def new_take(self, shot: int, take_id: str) -> Iterator[Path]:
        """A folder to render into, which becomes the take's own if the block ends well."""
        with whole_folder(self._home(shot, take_id)) as part:
            yield part

    def chosen(self) -> dict[int, str]:
        """Which take each shot used when a film was last made here."""
        try:
            record = self.record()
        except DamagedFolder:
            return {}
        return {int(shot["number"]) - 1: str(shot["take"]) for shot in record["shots"] if shot["take"]}

    def record(self) -> dict[str, Any]:
        """The content of film.json; raises `DamagedFolder`."""
        path = self.root / "film.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DamagedFolder(f"{self.root} holds no film (no film.json in it)") from error
        except (OSError, ValueError) as error:
            raise DamagedFolder(f"{path} cannot be read: {error}") from error
        if not isinstance(record, dict) or not isinstance(record.get("shots"), list):
            raise DamagedFolder(f"{path} is not the record of a film")
        if record.get("format") != _FORMAT:
            raise DamagedFolder(f"{path} was written by another version of the program")
        return record

    def write_record(self, record: Mapping[str, object]) -> None:
        write_text(self.root / "film.json", _json({"format": _FORMAT, **record}))

    def _home(self, shot: int, take_id: str) -> Path:
        return self._takes / f"{shot + 1:02d}-{take_id}"

    def _read(self, path: Path) -> Take | None:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["format"] != _FORMAT:
                return None
            take = _take_from(path.parent, record)
            whole = all((take.folder / name).stat().st_size == size for name, size in record["bytes"].items())
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return take if whole else None


def write_take(take: Take) -> None:
    """Writes the record of a take beside its files."""
    files = (take.clip, take.latents, take.trace)
    record = {
        "format": _FORMAT,
        "id": take.id,
        "shot": take.shot,
        "inputs": asdict(take.inputs),
        "context": take.context,
        "clip": take.clip.name,
        "latents": take.latents.name,
        "trace": take.trace.name,
        "frames": take.frames,
        "backend": take.backend,
        "timings": {stage: round(seconds, 4) for stage, seconds in take.timings.items()},
        "bytes": {file.name: file.stat().st_size for file in files},
    }
    (take.folder / "take.json").write_text(_json(record), encoding="utf-8")


def _take_from(folder: Path, record: Mapping[str, Any]) -> Take:
    inputs = dict(record["inputs"])
    for name in ("cast", "size", "context", "pins", "bans"):
        inputs[name] = tuple(inputs[name])
    return Take(
        folder=folder,
        inputs=TakeInputs(**inputs),
        shot=record["shot"],
        context=tuple((shot, take) for shot, take in record["context"]),
        clip=folder / record["clip"],
        latents=folder / record["latents"],
        trace=folder / record["trace"],
        frames=record["frames"],
        backend=record["backend"],
        timings=record["timings"],
    )


def _json(record: Mapping[str, object]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"
