from __future__ import annotations

import subprocess
import sys

import pytest

import moc_engine


def test_the_public_names_are_there() -> None:
    from moc_engine import ChunkLayout, RoutingConfig, Steering, moc_attention, route

    assert all((ChunkLayout, RoutingConfig, Steering, moc_attention, route))


def test_every_exported_name_can_be_imported_and_is_listed() -> None:
    for name in moc_engine.__all__:
        assert getattr(moc_engine, name).__name__ == name
        assert name in dir(moc_engine)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        moc_engine.nothing  # noqa: B018


@pytest.mark.parametrize(
    "module",
    [
        "moc_engine",
        "moc_engine.config",
        "moc_engine.contract",
        "moc_engine.errors",
        "moc_engine.ops.layout",
        "moc_engine.trace.record",
    ],
)
def test_what_needs_no_torch_does_not_load_it(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
