"""Runs the command line: `python -m privacy_middleware`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
