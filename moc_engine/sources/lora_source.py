"""Where a LoRA lies: a file of this machine, or `owner/name/file.safetensors@revision` of the hub. No torch.

What is on this machine is found without importing the hub's client, unless the name is one of the hub.
"""

from __future__ import annotations

from pathlib import Path

from moc_engine.errors import EngineError
from moc_engine.sources.hub_id import HubFile, parse_hub_file


def local_file(source: str) -> Path | None:
    """The file on this machine that a LoRA's name means, the hub's cache included; None without one."""
    path = _path(source)
    if path is not None:
        return path
    on_hub = parse_hub_file(source)
    if on_hub is None:
        return None
    from moc_engine.sources.hub_cache import cached_file  # the hub's client takes a while to import

    return cached_file(on_hub)


def missing_hub_file(source: str) -> HubFile | None:
    """The file of the hub that a LoRA's name means, where it is not on this machine yet."""
    return parse_hub_file(source) if local_file(source) is None else None


def lora_path(source: str) -> Path:
    """The file of a LoRA, downloaded if need be.

    Raises `EngineError` where there is none, and as `moc_engine.sources.download.download`.
    """
    there = local_file(source)
    if there is not None:
        return there
    on_hub = parse_hub_file(source)
    if on_hub is None:
        raise EngineError(f"there is no LoRA file {source}")
    from moc_engine.sources.download import download

    return download(on_hub).path


def pinned_lora(source: str) -> str:
    """A name of the hub with the commit that is on this machine; any other name as it is."""
    on_hub = None if _path(source) is not None else parse_hub_file(source)
    if on_hub is None:
        return source
    from moc_engine.sources.hub_cache import pinned_file

    return str(pinned_file(on_hub))


def lora_name(source: str) -> str:
    """What traces call a LoRA: its name on the hub, or that of its file, without folders of this machine."""
    return source if _path(source) is None and parse_hub_file(source) is not None else Path(source).name


def known_digest(path: Path) -> str | None:
    """The SHA-256 of a file of the hub's cache, where its name there is that; None for other files."""
    if not path.is_symlink():
        return None
    from moc_engine.sources.hub_cache import digest_in_cache

    return digest_in_cache(path)


def _path(source: str) -> Path | None:
    try:
        path = Path(source).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long for a path, "~name" of nobody, a zero byte
        return None
