"""One module per command of the command line: its options and what carries it out."""

from __future__ import annotations

from studio.commands import doctor, evaluate, render, routing, train, words

ALL = (render, routing, words, doctor, train, evaluate)
