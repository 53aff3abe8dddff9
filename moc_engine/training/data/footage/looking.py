"""Looks at clips, and keeps what was seen in a folder, so that no file is decoded for it twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from moc_engine.clip import Frame
from moc_engine.errors import FootageError
from moc_engine.files import write_text
from moc_engine.training.data.footage.captioners import FRAMES, Captioner
from moc_engine.training.data.footage.folder import FoundClip
from moc_engine.training.data.footage.inspection import ClipFacts, inspect, sampled
from moc_engine.training.data.footage.planning import LookedAt
from moc_engine.training.data.footage.video_reading import VideoReader

_VERSION: Final = 1
"""Of the facts; what was seen by another one is not used."""

_CAPTIONER_SIDE: Final = 768
"""Pixels of the longest side of the frames that a captioner is shown."""


class ClipLooking:
    """Looks at clips; facts, digests and captions by `captioner` are kept in `kept`, if given.

    `check` is called often, and may raise. `captioner` is the name and what writes captions.
    """

    def __init__(
        self,
        kept: Path | None = None,
        *,
        captioner: tuple[str, Captioner] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._kept = kept
        self._captioner = captioner
        self._check = check
        self._digests: dict[Path, str] = {}

    def look(self, clip: FoundClip) -> LookedAt:
        self._check()
        stat = clip.file.stat()
        key = [_VERSION, str(clip.file.absolute()), stat.st_size, stat.st_mtime_ns, clip.start, clip.end]
        known = self._known("clips", key)
        if known is not None:
            try:
                return LookedAt(facts=_facts(known["facts"]), digest=str(known["digest"]))
            except (KeyError, TypeError, ValueError):
                pass  # damaged: looked at again
        facts = inspect(clip.file, clip.start, clip.end, check=self._check)
        looked = LookedAt(facts=facts, digest=self._digest(clip.file))
        self._keep("clips", key, {"facts": asdict(facts), "digest": looked.digest})
        return looked

    def caption(self, clip: FoundClip, looked: LookedAt) -> str:
        if self._captioner is None:
            return ""
        name, captioner = self._captioner
        key = [name, looked.digest, looked.facts.start, looked.facts.end]
        known = self._known("captions", key)
        if known is not None and isinstance(known.get("caption"), str):
            return str(known["caption"])
        self._check()
        caption = captioner.caption(_frames(clip, looked))
        if not isinstance(caption, str):
            raise FootageError(f"the captioner {name} gave no text for {clip.file}")
        caption = " ".join(caption.split())
        if caption:
            self._keep("captions", key, {"caption": caption})
        return caption

    def _digest(self, file: Path) -> str:
        if file not in self._digests:
            with file.open("rb") as content:
                self._digests[file] = hashlib.file_digest(content, "sha256").hexdigest()
        return self._digests[file]

    def _known(self, kind: str, key: list[Any]) -> dict[str, Any] | None:
        file = self._file(kind, key)
        try:
            found = None if file is None else json.loads(file.read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _keep(self, kind: str, key: list[Any], record: dict[str, Any]) -> None:
        file = self._file(kind, key)
        if file is not None:
            write_text(file, json.dumps(record, ensure_ascii=False))

    def _file(self, kind: str, key: list[Any]) -> Path | None:
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:40]
        return None if self._kept is None else self._kept / kind / f"{digest}.json"


def _facts(record: dict[str, Any]) -> ClipFacts:
    width, height = record["size"]
    return ClipFacts(**{**record, "size": (int(width), int(height)), "broken": tuple(record["broken"])})


def _frames(clip: FoundClip, looked: LookedAt) -> list[Frame]:
    """The frames of a shot that a captioner is shown."""
    facts = looked.facts
    with VideoReader(clip.file) as video:
        step = max(1, facts.frames // (4 * FRAMES))
        frames = [
            timed.frame
            for nth, timed in enumerate(video.frames(facts.start, facts.end, longest_side=_CAPTIONER_SIDE))
            if nth % step == 0 or nth == facts.frames - 1
        ]
    return sampled(frames, FRAMES)
