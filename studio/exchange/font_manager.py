"""The fonts of the machine, as Skia finds them.

On Linux Skia brings a Fontconfig of its own, which reads besides the settings in use every sample of settings
that the system's Fontconfig installs, and prints a warning for each that is newer than itself. It is shown
the machine's folders without those samples.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import skia

SAMPLES: Final = Path("/usr/share/fontconfig")
"""Samples of settings; those in use lie in /etc/fonts."""

_ROOT: Final = "FONTCONFIG_SYSROOT"
"""The variable that says which folder Fontconfig takes for the root of all."""


@cache
def font_manager() -> Any:
    """Skia's font manager, which finds a font for each character."""
    if sys.platform != "linux" or not SAMPLES.is_dir() or _ROOT in os.environ:
        return skia.FontMgr()
    try:
        with _without_samples():
            return skia.FontMgr()
    except OSError:  # no room for links: the warning does no harm
        return skia.FontMgr()


@contextmanager
def _without_samples() -> Iterator[None]:
    """Lets Fontconfig see the machine's folders without the samples, while it reads its settings."""
    with TemporaryDirectory(prefix="moc-studio-fonts-") as folder:
        link_all_but(SAMPLES, Path(folder))
        os.environ[_ROOT] = folder
        try:
            yield
        finally:
            del os.environ[_ROOT]


def link_all_but(hidden: Path, folder: Path) -> None:
    """Makes a folder look like the root of the machine's files, but for one folder, by symbolic links."""
    here, inside = Path(hidden.anchor), folder
    for part in hidden.parts[1:]:
        inside.mkdir(exist_ok=True)
        for entry in here.iterdir():
            if entry.name != part:
                (inside / entry.name).symlink_to(entry)
        here, inside = here / part, inside / part
