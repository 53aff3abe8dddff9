"""Suggests captions that tell a real model the looks which the embedded model has drawn in a draft."""

from __future__ import annotations

from dataclasses import dataclass

from safetensors import SafetensorError
from safetensors.numpy import load

from moc_engine.vocabulary import describe
from studio.domain.errors import NotThere, Refused
from studio.domain.messages import message
from studio.domain.planner import chosen_take
from studio.domain.storyboard import as_sentences
from studio.store import projects, takes
from studio.store.artifacts import Artifacts
from studio.store.database import Database
from studio.store.inferred_cast import with_inferred_cast
from studio.store.model_identity import ANIMATIC


@dataclass(frozen=True, kw_only=True)
class SuggestedCaption:
    """A caption with sentences added to it, for a person to edit."""

    caption: str


class LookWords:
    """Reads the drafts of shots."""

    def __init__(self, database: Database, artifacts: Artifacts) -> None:
        self._database = database
        self._artifacts = artifacts

    def suggest(self, project: str, shot: str) -> SuggestedCaption:
        """The shot's caption with the looks of its draft: shape, colour, accessory, set.

        Raises `NotThere` if the shot is gone, and `Refused` if it has no draft of the embedded model.
        """
        with self._database.read() as session:
            found = with_inferred_cast(projects.project_of(session, project)).in_lane("draft")
            known = takes.takes_of(session, project)
        index = found.index_of(shot)
        if index is None:
            raise NotThere(message("shot-not-found"))
        draft = chosen_take(found, known, shot)
        if draft is None or not draft.inputs.model.startswith(f"{ANIMATIC}@"):
            raise Refused(message("no-animatic-draft"))
        try:
            with self._artifacts.file(known[draft.id].latents, ".safetensors").local() as path:
                latents = load(path.read_bytes())["latents"]
        except (OSError, SafetensorError, KeyError) as error:
            raise NotThere(message("media-missing", kind="latents")) from error
        caption = found.board.shots[index].caption
        added = describe(latents, caption, found.board.names)
        return SuggestedCaption(caption=as_sentences([*([caption] if caption else []), *added]))
