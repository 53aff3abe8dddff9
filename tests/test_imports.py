"""The import table: who may import whom, no circles, and no torch where it must be light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("studio", "moc_engine")

PURE = {"moc_engine.frame_rate", "moc_engine.names"}
"""Modules of the engine on the standard library alone, on which both packages must agree; for every room."""

DOORS = PURE | {
    "moc_engine.abilities",
    "moc_engine.caption_check",
    "moc_engine.clip",
    "moc_engine.collection",
    "moc_engine.config",
    "moc_engine.contract",
    "moc_engine.disk_errors",
    "moc_engine.errors",
    "moc_engine.files",
    "moc_engine.lora_check",
    "moc_engine.lora_files",
    "moc_engine.lora_library",
    "moc_engine.machine",
    "moc_engine.memory.estimate",
    "moc_engine.memory.film_need",
    "moc_engine.model_abilities",
    "moc_engine.model_defaults",
    "moc_engine.model_index",
    "moc_engine.model_library",
    "moc_engine.model_location",
    "moc_engine.own_settings",
    "moc_engine.picture_header",
    "moc_engine.model_memory",
    "moc_engine.processes",
    "moc_engine.profiles",
    "moc_engine.sole_use",
    "moc_engine.sources.catalogue",
    "moc_engine.sources.download",
    "moc_engine.sources.entries",
    "moc_engine.sources.hub",
    "moc_engine.sources.hub_cache",
    "moc_engine.sources.hub_id",
    "moc_engine.sources.hub_listing",
    "moc_engine.sources.lora_source",
    "moc_engine.sources.model_files",
    "moc_engine.sources.parts",
    "moc_engine.step_caches",
    "moc_engine.render_need",
    "moc_engine.stored_file",
    "moc_engine.trace.drift",
    "moc_engine.trace.record",
    "moc_engine.trace.trace_file",
    "moc_engine.trace.units",
    "moc_engine.training.data.footage.cut_settings",
    "moc_engine.training.data.footage.cuts",
    "moc_engine.training.data.footage.storyboard",
    "moc_engine.training.data.footage.subtitles",
    "moc_engine.training.data.footage.video_reading",
    "moc_engine.vocabulary",
}
"""Modules of the engine that load no torch, for every room of the studio but the domain."""

_RECORDS = {"domain", "store", "jobs"}
STUDIO = {
    "domain": {"domain"},
    "store": {"domain", "store"},
    "jobs": _RECORDS,
    "exchange": _RECORDS | {"exchange"},
    "inspect": _RECORDS | {"inspect"},
    "service": _RECORDS | {"exchange", "inspect", "service"},
    "api": {"domain", "service", "api"},
    "web": {"domain", "service", "api", "web"},
    "worker": _RECORDS | {"exchange", "inspect", "service", "worker"},
    "scale": _RECORDS | {"worker", "scale"},
    "cli": _RECORDS | {"exchange", "inspect", "service", "api", "web", "worker", "scale", "cli"},
}
"""The rooms of the studio, and those each may import."""

WHOLE_ENGINE = {"worker", "cli"}
"""Rooms that may import all of the engine, lazily."""

_BASE = {"ops", "sources"}
_FAMILIES = _BASE | {"memory", "trace", "models"}
ENGINE = {
    "sources": {"sources"},
    "ops": {"ops"},
    "memory": {"ops", "memory"},
    "trace": {"ops", "trace"},
    "models": _FAMILIES,
    "render": _FAMILIES | {"render"},
    "training": _FAMILIES | {"render", "training"},
    "evaluation": _FAMILIES | {"render", "training", "evaluation"},
}
"""The rooms of the engine, and those each may import; modules at its root are for all of them."""

FAMILIES = {"moc_engine.models.animatic", "moc_engine.models.wan"}
HEAVY = {"torch", "diffusers", "transformers", "gradio", "accelerate", "matplotlib"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


KNOWN = {dotted(path) for package in PACKAGES for path in modules(package)}


def room_of(name: str) -> str:
    """studio.exchange.yaml -> exchange; "" for a module at the root of its package."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / parts[0] / parts[1]).is_dir() else ""


def imports(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports are not used here"
            assert child.module is not None
            found = [f"{child.module}.{alias.name}" for alias in child.names]
            yield from [name for name in found if name in KNOWN] or [child.module]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def at_top(tree: ast.Module) -> ast.Module:
    """The statements that run when the module is imported."""
    kept = [
        node
        for node in tree.body
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    return ast.Module(body=kept, type_ignores=[])


@pytest.mark.parametrize("path", modules("studio"), ids=lambda p: str(p.relative_to(ROOT)))
def test_studio_keeps_to_the_table(path: Path) -> None:
    room = room_of(dotted(path))
    if not room:
        assert dotted(path) == "studio"
        assert not list(imports(parsed(path)))
        return
    for name in imports(parsed(path)):
        package = name.split(".")[0]
        if package == "studio" and name != "studio":
            assert room_of(name) in STUDIO[room], f"{path.name} imports {name}"
        if package == "moc_engine" and name != "moc_engine" and room not in WHOLE_ENGINE:
            assert name in DOORS, f"{path.name} imports {name}"
            assert room != "domain" or name in PURE, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", modules("moc_engine"), ids=lambda p: str(p.relative_to(ROOT)))
def test_engine_keeps_to_the_table(path: Path) -> None:
    who = dotted(path)
    room = room_of(who)
    family = next((f for f in FAMILIES if who.startswith(f"{f}.") or who == f), None)
    for name in imports(parsed(path)):
        package = name.split(".")[0]
        assert package != "studio", f"{path.name} imports {name}"
        if package != "moc_engine" or not room or not room_of(name):
            continue
        assert room_of(name) in ENGINE[room], f"{path.name} imports {name}"
        if room in ("ops", "memory", "trace", "models", "render"):
            other = next((f for f in FAMILIES if name.startswith(f"{f}.") or name == f), None)
            assert other in (None, family), f"{path.name} imports {name}, which is another family's"


@pytest.mark.parametrize("path", modules("studio"), ids=lambda p: str(p.relative_to(ROOT)))
def test_studio_loads_nothing_heavy_on_import(path: Path) -> None:
    heavy = HEAVY - {"gradio"} if room_of(dotted(path)) == "web" else HEAVY
    for name in imports(at_top(parsed(path))):
        assert name.split(".")[0] not in heavy, f"{path.name} imports {name} at its top"
        if name.startswith("moc_engine."):
            assert name in DOORS, f"{path.name} imports {name} at its top"


def test_no_two_modules_import_each_other() -> None:
    graph = {
        dotted(path): {n for n in imports(parsed(path)) if n in KNOWN} - {dotted(path)}
        for package in PACKAGES
        for path in modules(package)
    }
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("package", PACKAGES)
def test_a_file_name_belongs_to_one_room(package: str) -> None:
    """Commands and evaluations are named after what they run."""
    rooms: dict[str, list[str]] = {}
    for path in modules(package):
        if not path.name.startswith("__") and room_of(dotted(path)) not in ("cli", "evaluation"):
            rooms.setdefault(path.name, []).append(dotted(path.parent))
    assert {name: found for name, found in rooms.items() if len(found) > 1 and name not in SHARED} == {}


SHARED = {
    "storage.py": "space on the disk: the service's part, the routes",
    "projects.py": "projects: their rows, the service's part, the routes",
    "editing.py": "the service's part that edits, and its routes",
    "footage.py": "footage as plain data, the service's part, and its routes",
    "library.py": "models on this machine: the service's part, and its routes",
    "queue.py": "the queue: its rows, the service's part, the routes",
    "rendering.py": "the service's part that renders, and its routes",
    "routing.py": "the routing of queries, and the routes that show it",
    "denoiser.py": "the model in training: the embedded one, and video models",
    "objective.py": "the loss of training: of the embedded model, and of video models",
    "family.py": "each family of models",
    "loader.py": "each family of models",
    "registry.py": "the registry of model families, and that of attention backends",
}
"""Names that mean the same idea at two levels."""

LIGHT = ("moc_engine", "studio.cli.main", "studio.web.app", "studio.worker.worker")


@pytest.mark.parametrize("module", [*sorted(DOORS), *LIGHT])
def test_loads_no_torch(module: str) -> None:
    code = f"import {module}, sys; sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    "path",
    [
        p
        for p in modules("studio") + modules("moc_engine")
        if room_of(dotted(p)) == "domain" or dotted(p) in PURE
    ],
    ids=lambda p: p.stem,
)
def test_the_domain_needs_the_standard_library_alone(path: Path) -> None:
    for name in imports(parsed(path)):
        first = name.split(".")[0]
        ours = first == "studio" or name in PURE
        assert ours or first in sys.stdlib_module_names, f"{path.name} imports {name}"


BARE = {"hypothesis", "diffusers", "gradio", "av", "transformers", "skia", "rich", "matplotlib", "cv2"}
"""What a GPU machine on which kernels are tested need not have."""


def test_kernels_are_tested_on_a_bare_machine() -> None:
    """Tests of kernels, the fakes they share, and the engine below them need torch, Triton and numpy."""
    files = {dotted(path): path for package in (*PACKAGES, "tests") for path in modules(package)}
    left = ["tests.conftest", *(name for name in files if name.startswith("tests.moc_engine.ops.triton."))]
    seen: dict[str, str] = {}
    while left:
        who = left.pop()
        tops = ast.Module(
            body=[n for n in at_top(parsed(files[who])).body if not isinstance(n, ast.If)], type_ignores=[]
        )
        for name in imports(tops):
            assert name.split(".")[0] not in BARE, f"{who} imports {name}"
            if name in files and name not in seen:
                seen[name] = who
                left.append(name)
    assert {"tests.fakes.kernels", "moc_engine.ops.triton.forward"} <= seen.keys()
