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
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from moc_engine.files import atomic_folder, remove_abandoned, write_text
from studio.domain.errors import DamagedFolder
from studio.domain.film_plan import ChosenTake
from studio.domain.frame_rate import rate_to_json
from studio.domain.inputs import TakeInputs

_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class Take:
    """One finished render of a shot.

    `caption` is the shot's own, as it stood in the storyboard; `context` holds (shot, take id) of the
    takes it could look at.
    """

    folder: Path
    inputs: TakeInputs
    shot: int
    caption: str
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


@dataclass(frozen=True, kw_only=True)
class FilmRecord:
    """What a folder holds: the film's file, None while it is being made, and what stands for each shot."""

    title: str
    film: str | None
    shots: tuple[ChosenTake, ...]


class FilmFolder:
    """The folder a film is rendered into."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def _takes(self) -> Path:
        return self.root / "takes"

    def tidy(self) -> None:
        """Clears what killed renders left in the folder, if there is one."""
        remove_abandoned(self._takes)
        remove_abandoned(self.root)

    def takes(self) -> dict[str, Take]:
        """The finished takes by id; a take with a missing, cut or unreadable file counts as not there."""
        found = (_read_take(record) for record in sorted(self._takes.glob("[0-9]*/take.json")))
        return {take.id: take for take in found if take is not None}

    def take(self, shot: int, take_id: str) -> Take:
        """The take that was just made of a shot."""
        take = _read_take(self._home(shot, take_id) / "take.json")
        if take is None:
            raise DamagedFolder(f"the new take of shot {shot + 1} cannot be read back from {self.root}")
        return take

    @contextmanager
    def new_take(self, shot: int, take_id: str) -> Iterator[Path]:
        """A folder to render into, which becomes the take's own if the block ends well."""
        with atomic_folder(self._home(shot, take_id)) as part:
            yield part

    def record(self) -> FilmRecord | None:
        """What film.json says, None where there is none; raises `DamagedFolder`."""
        path = self.root / "film.json"
        try:
            data = json.loads(path.read_bytes())
            if data["format"] != _FORMAT:
                raise DamagedFolder(f"{path} was written by another version of the program")
            return _FILM_RECORD.validate_python(data)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DamagedFolder(f"{path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            raise DamagedFolder(f"{path} is not the record of a film ({place}: {problem['msg']})") from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DamagedFolder(f"{path} is not the record of a film") from error

    def write_record(self, record: FilmRecord) -> None:
        shots = [{"number": index + 1, **asdict(shot)} for index, shot in enumerate(record.shots)]
        write_text(self.root / "film.json", _json({"format": _FORMAT, **asdict(record), "shots": shots}))

    def _home(self, shot: int, take_id: str) -> Path:
        return self._takes / f"{shot + 1:02d}-{take_id}"


@dataclass(frozen=True, kw_only=True)
class _TakeRecord:
    """take.json; `bytes` are the sizes of the files."""

    format: Literal[1]
    id: str
    shot: int
    caption: str
    inputs: TakeInputs
    context: tuple[tuple[int, str], ...]
    clip: str
    latents: str
    trace: str
    frames: int
    backend: str
    timings: Mapping[str, float]
    bytes: Mapping[str, int]


_FILM_RECORD: Final = TypeAdapter(FilmRecord)
_TAKE_RECORD: Final = TypeAdapter(_TakeRecord)


def write_take(take: Take) -> None:
    """Writes the record of a take beside its files."""
    record = _TakeRecord(
        format=1,
        id=take.id,
        shot=take.shot,
        caption=take.caption,
        inputs=take.inputs,
        context=take.context,
        clip=take.clip.name,
        latents=take.latents.name,
        trace=take.trace.name,
        frames=take.frames,
        backend=take.backend,
        timings={stage: round(seconds, 4) for stage, seconds in take.timings.items()},
        bytes={file.name: file.stat().st_size for file in (take.clip, take.latents, take.trace)},
    )
    (take.folder / "take.json").write_text(_json(asdict(record)), encoding="utf-8")


def _read_take(path: Path) -> Take | None:
    folder = path.parent
    try:
        record = _TAKE_RECORD.validate_json(path.read_bytes())
        whole = all((folder / name).stat().st_size == size for name, size in record.bytes.items())
    except (OSError, ValueError):
        return None
    take = Take(
        folder=folder,
        inputs=record.inputs,
        shot=record.shot,
        caption=record.caption,
        context=record.context,
        clip=folder / record.clip,
        latents=folder / record.latents,
        trace=folder / record.trace,
        frames=record.frames,
        backend=record.backend,
        timings=record.timings,
    )
    listed = {record.clip, record.latents, record.trace} == record.bytes.keys()
    return take if whole and listed and record.id == take.id else None


def _json(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False, default=rate_to_json) + "\n"
