"""Where a studio keeps its artifacts, noted in its database, so that no process looks or stores elsewhere.

Places other than the studio's own folder tell whose they are, so that no studio removes another one's files.
Functions with a session are part of the caller's transaction.
"""

from __future__ import annotations

import uuid
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.domain.errors import Refused
from studio.domain.messages import message
from studio.store.artifacts import Artifacts
from studio.store.database import Database
from studio.store.insertion import added
from studio.store.tables import ArtifactRow, SettingRow

OWN: Final = ""
"""The studio's own folder."""

_SETTING: Final = "artifacts"
_ID: Final = "studio"


def check(session: Session, home: str) -> None:
    """Raises `Refused` where the studio has artifacts elsewhere."""
    noted = _noted(session)
    if noted != home and session.scalar(select(ArtifactRow.digest).limit(1)) is not None:
        raise Refused(message("artifacts-elsewhere", noted=_words(noted), home=_words(home)))


def open_home(database: Database, artifacts: Artifacts) -> None:
    """Checks that these are the studio's artifacts. Raises `Refused` where they are not."""
    with database.read() as session:
        check(session, artifacts.home)
    claim(database, artifacts)


def claim(database: Database, artifacts: Artifacts) -> None:
    """Has the place tell that it is this studio's. Raises `Refused` where it is another one's."""
    if artifacts.home == OWN:
        return
    studio, owner = _studio(database), artifacts.owner()
    if owner is None:
        artifacts.claim(studio)
    elif owner != studio:
        raise Refused(message("artifacts-of-another", place=str(artifacts)))


def note(session: Session, home: str) -> None:
    """Notes where the studio keeps its artifacts from now on."""
    if home != _noted(session) and not added(session, SettingRow, name=_SETTING, value={"home": home}):
        session.get_one(SettingRow, _SETTING, populate_existing=True).value = {"home": home}
        session.flush()


def _noted(session: Session) -> str:
    row = session.get(SettingRow, _SETTING)
    return OWN if row is None else str(row.value["home"])


def _studio(database: Database) -> str:
    """The id of the studio, which it gets where it has none."""
    with database.read() as session:
        row = session.get(SettingRow, _ID)
    if row is None:
        with database.write() as session:
            added(session, SettingRow, name=_ID, value={"id": uuid.uuid4().hex})
            row = session.get_one(SettingRow, _ID)
    return str(row.value["id"])


def _words(home: str) -> str:
    return home or "the studio's folder"
