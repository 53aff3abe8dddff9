"""Types of columns that are the same in SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Dialect, Integer, String, TypeDecorator

Number: Final = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of 64 bits, such as the size of a file; SQLite's own have as many."""


class Text(TypeDecorator[str]):
    """Text of any length, compared and ordered by its code points, whatever the server's language is."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        on_server = dialect.name == "postgresql"
        return dialect.type_descriptor(String(collation="C") if on_server else String())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """Text of others, such as an error's, without what a database does not take: NUL and lone surrogates."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode()
