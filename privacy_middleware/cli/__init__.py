"""The command line of the person who runs the site: `privacy-middleware COMMAND`."""

from .main import main

__all__ = ["main"]
