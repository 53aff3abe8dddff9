"""What tests of the worker share: tiny models of each family, and a finished film of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from studio.worker.renderers import MakeRenderer
from tests.fakes.films import Film, TinyModel, tiny_model

FilmOf = Callable[..., Film]
"""The film of a family by its name."""


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TinyModel]:
    """The tiny model of a family, made once."""
    made: dict[str, TinyModel] = {}

    def model(family: str) -> TinyModel:
        if family not in made:
            made[family] = tiny_model(family, tmp_path_factory.mktemp(family))
        return made[family]

    return model


@pytest.fixture(scope="session")
def finished_film(
    tiny_models: Callable[[str], TinyModel], new_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FilmOf]:
    """The film of a family whose three shots are rendered, made once. Tests leave it as it is."""
    made: dict[str, Film] = {}

    def film(family: str) -> Film:
        if family not in made:
            root = tmp_path_factory.mktemp(f"film of {family}") / "root"
            made[family] = Film(tiny_models(family), root, new_database).rendered()
        return made[family]

    yield film
    for one in made.values():
        one.database.close()


@pytest.fixture
def new_film(tiny_models: Callable[[str], TinyModel], new_database: Path, tmp_path: Path) -> Iterator[FilmOf]:
    """A film of a family of which nothing is rendered, by a renderer of its own if one is given."""
    made: list[Film] = []

    def film(family: str, make_renderer: MakeRenderer | None = None) -> Film:
        root = tmp_path / f"film {len(made)}"
        made.append(Film(tiny_models(family), root, new_database, make_renderer))
        return made[-1]

    yield film
    for one in made:
        one.database.close()
