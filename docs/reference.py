"""Writes the HTML reference of the public modules from their docstrings with pdoc: `make docs`."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Final

import pdoc

import moc_engine

MODULES: Final = (
    "moc_engine",
    "moc_engine.config",
    "moc_engine.contract",
    "moc_engine.errors",
    "moc_engine.memory",
    "moc_engine.models",
    "!moc_engine.models.animatic",
    "!moc_engine.models.hunyuan",
    "!moc_engine.models.wan",
    "moc_engine.ops",
    "moc_engine.render",
    "moc_engine.trace",
    "moc_engine.vocabulary",
    "studio.domain",
    "studio.service",
)
"""What is documented, packages with the modules in them; `!` leaves one out."""


def main() -> None:
    """Command line: the folder to write to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder: Path = parser.parse_args().folder
    for name in moc_engine.__all__:
        setattr(moc_engine, name, getattr(moc_engine, name))  # pdoc reads the module's dictionary
    warnings.simplefilter("error", UserWarning)  # as pdoc warns of what it cannot find
    pdoc.render.configure(docformat="markdown", search=True)
    pdoc.pdoc(*MODULES, output_directory=folder)


if __name__ == "__main__":
    main()
