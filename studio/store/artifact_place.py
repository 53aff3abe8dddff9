"""Where a studio's artifacts are stored, from what `--artifacts` names.

A folder; or a URL of object storage in one of the `SERVICES`, such as

    s3://bucket/studio?endpoint_url=http://127.0.0.1:9000

What follows the question mark are options of fsspec's file system of that service. Keys and passwords do not
belong there, but into the environment, where the service's own library looks for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from studio.domain.errors import WrongUse
from studio.domain.messages import message
from studio.store import artifact_cache
from studio.store.artifact_cache import ArtifactCache
from studio.store.artifact_folder import ArtifactFolder
from studio.store.artifact_objects import ArtifactObjects
from studio.store.artifacts import Artifacts
from studio.store.object_store import PAUSES, ObjectStore

FOLDER: Final = "artifacts"
CACHE: Final = "artifact-cache"

SERVICES: Final = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
"""Object storage by the scheme of its URLs, and the packages that reach it. An object appears there whole."""

_FOLDER_ELSEWHERE: Final = "another folder"
"""Its path may be another one on another machine."""

_SECRET: Final = ("key", "secret", "token", "password", "username", "account_key", "sas_token")
_TRUTH: Final = {"true": True, "false": False}


def artifacts_at(root: Path, place: str | None = None, cache_bytes: int | None = None) -> Artifacts:
    """The artifacts of the studio in `root`, at a folder or URL; in the studio's own folder where None.

    `cache_bytes` is what copies of remote ones may occupy on this machine. Raises `WrongUse` for a URL that
    means no place, and `StoreFailed` where it cannot be reached.
    """
    if not place:
        return ArtifactFolder(root / FOLDER)
    url = urlsplit(place)
    if "://" not in place or url.scheme == "file":
        folder = Path(unquote(url.path) if "://" in place else place)
        own = folder.absolute() == (root / FOLDER).absolute()
        return ArtifactFolder(folder, "" if own else _FOLDER_ELSEWHERE)
    store = object_store(place)
    store.check()
    bytes_ = artifact_cache.BYTES if cache_bytes is None else cache_bytes
    return ArtifactObjects(store, ArtifactCache(root / CACHE, bytes_))


def object_store(place: str, pauses: tuple[float, ...] = PAUSES) -> ObjectStore:
    """The object store at a URL, with the seconds between tries. Raises `WrongUse` for what is none."""
    url = urlsplit(place)
    if url.scheme not in SERVICES or not url.netloc:
        raise WrongUse(message("artifacts-nowhere", place=_told(place), schemes=", ".join(SERVICES)))
    files = _file_system(url.scheme, _options(place, url.query))
    return ObjectStore(files, f"{url.netloc}{url.path}", pauses=pauses)


def _told(place: str) -> str:
    """A URL without its options, for messages."""
    return place.partition("?")[0]


def _options(place: str, query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _SECRET:
            raise WrongUse(message("artifacts-with-secret", place=_told(place), name=name))
        options[name] = _TRUTH.get(value, value)
    return options


def _file_system(scheme: str, options: dict[str, Any]) -> Any:
    """The file system of a service, which remembers no listing, as others write there too."""
    import fsspec

    if scheme == "s3":  # `ObjectStore` tries again; the tries of botocore and s3fs would multiply with those
        once = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10}
        region = options.pop("region", None)
        options |= {"config_kwargs": once} | ({"client_kwargs": {"region_name": region}} if region else {})
    try:
        files = fsspec.filesystem(scheme, use_listings_cache=False, **options)
    except ImportError as error:
        raise WrongUse(message("artifacts-package", scheme=scheme, package=SERVICES[scheme])) from error
    if scheme == "s3":
        files.retries = 2
    return files
