"""Runs the command line: `python -m studio.cli`."""

import sys

from studio.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
