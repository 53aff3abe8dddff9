"""The fonts of the machine, without warnings of a Fontconfig that is older than the system's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from studio.exchange.font_manager import link_all_but

PROGRAM = """
import skia
from studio.exchange.font_manager import font_manager
manager = font_manager()
plain = skia.FontMgr()
families = [manager.getFamilyName(n) for n in range(manager.countFamilies())]
assert families == [plain.getFamilyName(n) for n in range(plain.countFamilies())]
for character in "aก字":
    found, wanted = (
        m.matchFamilyStyleCharacter("", skia.FontStyle.Normal(), [], ord(character)) for m in (manager, plain)
    )
    assert (found and found.getFamilyName()) == (wanted and wanted.getFamilyName())
    assert found is None or found.unicharToGlyph(ord(character)) == wanted.unicharToGlyph(ord(character))
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_the_fonts_are_those_that_skia_finds() -> None:
    done = run(PROGRAM)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_nothing_is_printed() -> None:
    done = run("from studio.exchange.font_manager import font_manager; font_manager().countFamilies()")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_folder_shows_all_but_what_is_hidden(tmp_path: Path) -> None:
    for name in ("a/b/hidden", "a/b/seen", "a/c"):
        (tmp_path / name).mkdir(parents=True)
    shown = tmp_path / "shown"
    link_all_but(tmp_path / "a" / "b" / "hidden", shown)
    within = shown / tmp_path.relative_to(tmp_path.anchor) / "a"
    assert {path.name for path in within.iterdir()} == {"b", "c"}
    assert [path.name for path in (within / "b").iterdir()] == ["seen"]
    assert (within / "c").is_symlink()
