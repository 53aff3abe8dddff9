"""Runs the command line: `python -m studio.cli`."""

from studio.cli.main import run

if __name__ == "__main__":
    run()
