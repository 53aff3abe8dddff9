"""The command line. Data and paths go to stdout, progress and messages to stderr.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted. Commands import what they need when they
run, so that help, word lists and bad storyboards answer at once.
"""

from __future__ import annotations

import argparse
import atexit
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from moc_engine.errors import EngineError, RenderCancelled
from studio import __version__
from studio.cli import commands
from studio.domain.errors import Interrupted, StudioError
from studio.worker.renderers import MakeRenderer, RendererOptions


def main(argv: Sequence[str] | None = None, *, make_renderer: MakeRenderer | None = None) -> int:
    """Runs one command and returns its exit code; renders by the engine where `make_renderer` is None."""
    args = build_parser().parse_args(argv)
    if getattr(args, "offline", False):
        os.environ["HF_HUB_OFFLINE"] = "1"  # for the worker's process too
    args.make_renderer = make_renderer or RendererOptions.of(args).make_renderer
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except StudioError as error:
        return _failed(error, error.exit_code)
    except RenderCancelled:
        return _failed("interrupted", Interrupted.exit_code)
    except EngineError as error:
        return _failed(error, 1)
    except KeyboardInterrupt:
        return _failed("interrupted", Interrupted.exit_code)
    except BrokenPipeError:  # the reader of stdout ended, as `head` does
        _drop_stdout()
        return 0
    except ImportError as error:
        return _failed(f"{error}; run moc-studio doctor", 1)
    except OSError as error:
        if error.errno is None:  # raised by the loader for a missing library
            return _failed(f"{error}; run moc-studio doctor", 1)
        _drop_stdout()
        return _failed(f"{error.filename or 'output'}: {error.strerror}", 1)
    return code


def run() -> NoReturn:
    """Runs the command of this process, and ends the process with its exit code.

    Where the engine was loaded, Python's own end would take two seconds to free all objects one by one. It is
    left out, after threads have ended and whatever is to be tidied at the end (`atexit`, `weakref.finalize`).
    """
    codes: list[int] = []
    atexit.register(_end_without_freeing, codes)  # the first that is registered is called last
    codes.append(main())
    sys.exit(codes[0])


def _end_without_freeing(codes: Sequence[int]) -> None:
    if codes and "torch" in sys.modules:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(codes[0])


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets `run` to what carries it out."""
    parser = _Parser(
        prog="moc-studio",
        description="Renders films from captions, shot by shot; each shot attends to the shots before it.",
    )
    parser.add_argument("--version", action="version", version=f"moc-studio {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands.ALL:
        command.add_to(subparsers)
    return parser


class _Parser(argparse.ArgumentParser):
    """Reports wrong arguments in one line."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_failed(f"{message}; see {self.prog} --help", 2))


def _failed(message: object, code: int) -> int:
    print(f"moc-studio: {' '.join(str(message).splitlines())}", file=sys.stderr)
    return code


def _drop_stdout() -> None:
    """Closes a stdout that cannot be written, on which Python would fail again at exit."""
    with suppress(OSError):  # no real file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
