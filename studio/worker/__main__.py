"""Runs one worker: `python -m studio.worker`."""

import sys

from studio.worker.process import main

if __name__ == "__main__":
    sys.exit(main())
