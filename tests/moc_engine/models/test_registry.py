from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from moc_engine.errors import ModelMismatch
from moc_engine.models.registry import BUILT_IN, FamilyEntry, family_entry, pipeline_classes


@pytest.mark.parametrize("pipeline", sorted(BUILT_IN))
def test_built_in_families_have_an_entry(pipeline: str) -> None:
    assert isinstance(family_entry(pipeline), FamilyEntry)
    assert pipeline in pipeline_classes()


def test_an_unknown_pipeline_class_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ModelMismatch, match=r"StableDiffusionPipeline; there are .*WanPipeline"):
        family_entry("StableDiffusionPipeline")


PLUGIN = """
from moc_engine.models.registry import FamilyEntry

def load(model, device, profile):
    raise NotImplementedError

FAMILY = FamilyEntry(load=load)
NO_FAMILY = 1
"""
POINTS = """[moc_studio.families]
FoxPipeline = foxes:FAMILY
HenPipeline = foxes:NO_FAMILY
"""


def ask(site: Path, code: str) -> str:
    """What a Python prints that has the plug-in installed."""
    told = site / "foxes-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: foxes\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(POINTS)
    (site / "foxes.py").write_text(PLUGIN)
    program = f"import sys; sys.path.insert(0, {str(site)!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_family_joins_by_an_entry_point(tmp_path: Path) -> None:
    code = (
        "from moc_engine.models.registry import family_entry, pipeline_classes\n"
        "print(family_entry('FoxPipeline').load.__module__, 'FoxPipeline' in pipeline_classes())"
    )
    assert ask(tmp_path, code) == "foxes True"


def test_an_entry_point_that_is_no_family_is_refused(tmp_path: Path) -> None:
    code = (
        "from moc_engine.errors import ModelMismatch\n"
        "from moc_engine.models.registry import family_entry\n"
        "try:\n    family_entry('HenPipeline')\nexcept ModelMismatch as error:\n    print(error)"
    )
    assert ask(tmp_path, code) == "the plug-in foxes:NO_FAMILY for 'HenPipeline' is not a FamilyEntry"
