"""File names made from titles."""

from __future__ import annotations

import hashlib
import re
import unicodedata


def slug(title: str) -> str:
    """A title as a file name, in its own script: "The Red Kite!" -> "the-red-kite"."""
    lower = unicodedata.normalize("NFKC", title).lower()
    kept = "".join(letter if unicodedata.category(letter)[0] in "LMN" else "-" for letter in lower)
    short = re.sub("-+", "-", kept).strip("-")[:80].encode()[:160].decode(errors="ignore").rstrip("-")
    return short or f"film-{hashlib.sha256(title.encode()).hexdigest()[:8]}"
