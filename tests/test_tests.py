"""What is asked of the tests themselves."""

from __future__ import annotations

import ast
from pathlib import Path

FILES = sorted(Path(__file__).parent.rglob("*.py"))
CHECKS = {"raises", "fail", "expect", "assert_close", "assert_allclose", "assert_array_equal"}
"""Functions of pytest, Playwright, torch and NumPy that can fail a test."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> dict[str, list[tuple[Path, Function]]]:
    """Every function of the tests, by name."""
    found: dict[str, list[tuple[Path, Function]]] = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                found.setdefault(node.name, []).append((file, node))
    return found


def can_fail(function: Function, known: dict[str, list[tuple[Path, Function]]], seen: frozenset[str]) -> bool:
    """Whether a function asserts something, by itself or by another of the tests' functions."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))
            if name in CHECKS:
                return True
            helpers = [] if name in seen else known.get(name, [])
            if any(can_fail(helper, known, seen | {name}) for _, helper in helpers):
                return True
    return False


def test_every_test_asserts_something() -> None:
    known = functions()
    idle = [
        f"{file.name}: {name}"
        for name, found in known.items()
        if name.startswith("test_")
        for file, function in found
        if not can_fail(function, known, frozenset({name}))
    ]
    assert idle == []
