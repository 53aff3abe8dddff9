"""One module per command of the command line, or family of small ones: options and what carries them out."""

from __future__ import annotations

from studio.cli import (
    artifacts,
    database,
    doctor,
    evaluate,
    footage,
    models,
    projects,
    render,
    routing,
    sample,
    serve,
    train,
    words,
    worker,
)

ALL = (
    *(serve, worker, sample, projects, artifacts, database, render),
    *(models, routing, words, doctor, footage, train, evaluate),
)
