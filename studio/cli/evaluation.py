"""What the `moc-studio eval` commands share: options, a progress bar, JSON output."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import Any


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, metavar="DIR", help="a model other than the embedded one")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_stories(
    parser: argparse.ArgumentParser, *, stories: int, shots: int = 8, cast: int = 4, tokens: int = 6
) -> None:
    """Adds the options for the number and size of the held-out stories, with these defaults."""
    for name, default, meaning in (
        ("stories", stories, "number of stories"),
        ("shots", shots, "shots per story"),
        ("cast", cast, "cast members per story"),
        ("tokens", tokens, "length of a shot in half seconds"),
        ("seed", 10_000, "seed of the stories"),
    ):
        text = f"{meaning} (default: {default})"
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=text)


@contextmanager
def progress(stories: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, if that is a terminal; yields a function that takes the finished stories."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("stories", total=stories)
        yield lambda done: bar.update(task, completed=done)


def print_settings(settings: Mapping[str, object]) -> None:
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items()))


def without_nan(data: Any) -> Any:
    """The same data with None for NaN, which JSON does not have."""
    match data:
        case dict():
            return {name: without_nan(value) for name, value in data.items()}
        case list() | tuple():
            return [without_nan(value) for value in data]
        case float() if isnan(data):
            return None
        case _:
            return data
