"""Adding a row that another transaction may be adding too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from studio.store.tables import Table

_INSERTS: Final[Mapping[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def added(session: Session, table: type[Table], **values: Any) -> bool:
    """Adds a row; False where there is one of its key. Waits for others that add or remove the same."""
    insert = _INSERTS[session.get_bind().dialect.name]
    key = table.__mapper__.primary_key[0]
    adding = insert(table).values(values).on_conflict_do_nothing().returning(key)
    return session.scalar(adding) is not None
