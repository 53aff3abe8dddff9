"""The options of all commands that open a studio, by which they find its artifacts."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from studio.store.artifacts import Artifacts

_PLACE: Final = "MOC_STUDIO_ARTIFACTS"
_CACHE: Final = "MOC_STUDIO_ARTIFACT_CACHE"


@dataclass(frozen=True, kw_only=True)
class ArtifactOptions:
    """Where artifacts are stored, the studio's folder where None, and the GiB that copies may take."""

    place: str | None = None
    cache: float | None = None

    @staticmethod
    def add_to(parser: Any, action: type[argparse.Action] | str = "store") -> None:
        """Adds `--artifacts` and `--artifact-cache`, whose values `action` stores."""
        parser.add_argument(
            "--artifacts",
            action=action,
            default=os.environ.get(_PLACE) or None,
            metavar="URL",
            help="where clips and latents are stored: a folder, or s3://BUCKET/PREFIX with "
            f"?endpoint_url=… where it is not Amazon's (default: ${_PLACE}, else the studio's folder)",
        )
        parser.add_argument(
            "--artifact-cache",
            action=action,
            type=_gibibytes,
            default=os.environ.get(_CACHE) or None,
            metavar="GIB",
            help="what copies of files in object storage may take in the studio's folder "
            f"(default: ${_CACHE}, else 20)",
        )

    @classmethod
    def of(cls, args: argparse.Namespace) -> ArtifactOptions:
        """Those of a command; the defaults where it has none."""
        return cls(place=getattr(args, "artifacts", None), cache=getattr(args, "artifact_cache", None))

    @property
    def arguments(self) -> list[str]:
        """The command line that gives these options."""
        named = {"--artifacts": self.place, "--artifact-cache": self.cache}
        return [word for name, value in named.items() if value is not None for word in (name, str(value))]

    def opened(self, root: Path) -> Artifacts:
        """The artifacts of the studio in a folder. Raises `WrongUse`, or `StoreFailed` if out of reach."""
        from studio.store.artifact_place import artifacts_at

        return artifacts_at(root, self.place, None if self.cache is None else round(self.cache * 2**30))


def _gibibytes(text: str) -> float:
    number = float(text)
    if not 0 <= number < 1e6:
        raise ValueError(text)
    return number
