import os
from pathlib import Path

from moc_engine.machine import best_device, cache_folder, cores, memory_bytes


def test_there_is_a_core_at_least_and_no_more_than_the_machine_has() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_a_device_is_chosen_and_its_memory_known() -> None:
    device = best_device()
    assert device in ("cuda", "mps", "cpu")
    assert memory_bytes(device) > 1 << 28


def test_the_cache_lies_where_the_system_keeps_such() -> None:
    assert cache_folder({"MOC_STUDIO_CACHE": "/fast/cache"}, "linux") == Path("/fast/cache")
    assert cache_folder({"XDG_CACHE_HOME": "/home/a/cache"}, "linux") == Path("/home/a/cache/moc-studio")
    assert cache_folder({}, "linux") == Path.home() / ".cache" / "moc-studio"
    assert cache_folder({}, "darwin") == Path.home() / "Library" / "Caches" / "moc-studio"
    assert cache_folder({"LOCALAPPDATA": "/local"}, "win32") == Path("/local/moc-studio/cache")
