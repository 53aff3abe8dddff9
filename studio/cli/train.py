"""`moc-studio train`: tunes a video model on footage, or trains a small model on generated stories."""

from __future__ import annotations

from typing import Any

from studio.cli import train_animatic, train_toon, train_tuning


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "train",
        help="tune a video model on your footage, or train a small one on generated stories",
        description="Trains models. A run is written to a folder, and goes on after a pause or a kill: with "
        "--resume, or, of toon, by the same command.",
    )
    kinds = parser.add_subparsers(title="what is trained", metavar="KIND", required=True)
    train_tuning.add_to(kinds)
    train_toon.add_to(kinds)
    train_animatic.add_to(kinds)
