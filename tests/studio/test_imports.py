"""Holds the table of who may import whom, and that what must be light never loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("studio", "moc_engine")

CONTRACT = {
    f"moc_engine.{name}" for name in ("contract", "config", "drift", "errors", "film", "trace", "vocabulary")
}
"""What of the engine anyone may know; no torch behind any of it."""

PURE = {"errors", "storyboard", "project", "edits", "history", "inputs", "planner", "film_plan", "jobs"}
RECORDS = {"store", "files", "artifacts", "queue", "exchange", "takes", "model_identity", "estimate"}
RECORDS |= {"unknown_words", "routing", "renders", "requests", "cut", "casting"}
SERVICE = {"service", "inspector", "state", "film", "doctor"}
VIEWS = {"views", "api", "api_routing", "security"}
APP = {"app", "supervisor"}
COMMANDS = {"cli", "commands", "worker"}

MAY_IMPORT = (
    # (who, which parts of the studio, which modules of the engine)
    (PURE, PURE, set()),
    (RECORDS, PURE | RECORDS, CONTRACT),
    (SERVICE, PURE | RECORDS | SERVICE, CONTRACT),
    (VIEWS, PURE | SERVICE | VIEWS, CONTRACT),
    (APP, VIEWS | APP | {"service"}, set()),
    (COMMANDS, PURE | RECORDS | SERVICE | APP | COMMANDS | {"security"}, None),  # all of the engine, lazily
)
HEAVY = {"torch", "diffusers", "transformers", "gradio", "accelerate", "matplotlib"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def part_of(path: Path) -> str:
    """studio/exchange/yaml.py -> exchange; studio/__init__.py -> __init__."""
    return path.relative_to(ROOT / "studio").parts[0].removesuffix(".py")


def imports(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports are not used here"
            assert child.module is not None
            found = [f"{child.module}.{alias.name}" for alias in child.names]
            known = [name for name in found if exists(name)]
            yield from known or [child.module]


def exists(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return name.startswith(PACKAGES) and (path.with_suffix(".py").exists() or path.is_dir())


def at_top(tree: ast.Module) -> ast.Module:
    """The statements that run when the module is imported."""
    kept = [
        node
        for node in tree.body
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    return ast.Module(body=kept, type_ignores=[])


def rule_for(part: str) -> tuple[set[str], set[str] | None]:
    for who, parts, engine in MAY_IMPORT:
        if part in who:
            return parts, engine
    pytest.fail(f"studio.{part} stands in no row of the table")


@pytest.mark.parametrize("path", modules("studio"), ids=lambda p: str(p.relative_to(ROOT)))
def test_studio_keeps_to_the_table(path: Path) -> None:
    if path.name == "__init__.py" and path.parent.name == "studio":
        assert not list(imports(ast.parse(path.read_text())))
        return
    parts, engine = rule_for(part_of(path))
    for name in imports(ast.parse(path.read_text())):
        package, _, rest = name.partition(".")
        if package == "studio" and rest:
            assert rest.split(".")[0] in parts | {"__version__"}, f"{path.name} imports {name}"
        if name == "moc_engine" or package != "moc_engine" or engine is None:
            continue
        assert ".".join(name.split(".")[:2]) in engine, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", modules("studio"), ids=lambda p: str(p.relative_to(ROOT)))
def test_studio_loads_nothing_heavy_on_import(path: Path) -> None:
    heavy = HEAVY - {"gradio"} if part_of(path) == "views" else HEAVY
    for name in imports(at_top(ast.parse(path.read_text()))):
        assert name.split(".")[0] not in heavy, f"{path.name} imports {name} at its top"
        if name.startswith("moc_engine."):
            assert ".".join(name.split(".")[:2]) in CONTRACT, f"{path.name} imports {name} at its top"


@pytest.mark.parametrize("path", modules("moc_engine"), ids=lambda p: str(p.relative_to(ROOT)))
def test_engine_never_imports_the_studio(path: Path) -> None:
    assert not [n for n in imports(ast.parse(path.read_text())) if n.split(".")[0] == "studio"]


LIGHT = ("moc_engine", "studio.cli", "studio.film", "studio.app", "studio.worker")


@pytest.mark.parametrize("module", [*sorted(CONTRACT), *LIGHT])
def test_loads_no_torch(module: str) -> None:
    code = f"import {module}, sys; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("path", [p for p in modules("studio") if part_of(p) in PURE], ids=lambda p: p.stem)
def test_the_pure_core_needs_the_standard_library_alone(path: Path) -> None:
    for name in imports(ast.parse(path.read_text())):
        first = name.split(".")[0]
        assert first == "studio" or first in sys.stdlib_module_names, f"{path.name} imports {name}"
