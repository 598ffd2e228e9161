"""`python -m layouts` is the command line."""

import sys

from layouts.cli import main

if __name__ == "__main__":
    sys.exit(main())
