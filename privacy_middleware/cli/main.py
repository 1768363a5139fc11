"""Reads the command line, and runs one command."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from ..errors import PrivacyError
from . import access, audit, checks, disclose, keys, mails, migrate, newsletter, questionnaires, requests, state, submissions, visits
from .common import printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed with a message, 2 wrong use."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal or file that cannot show a letter is no reason to break off
    try:
        code: int = options.command(options)
    except PrivacyError as error:
        print(f"privacy-middleware: {printable(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output, such as `head`, has enough
        sys.stderr.close()
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="privacy-middleware", description="Keep the promises of your privacy statement.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    for module in (
        state, visits, submissions, questionnaires, newsletter, disclose, requests, mails, audit, checks, keys, access, migrate,
    ):  # fmt: skip
        module.add_commands(commands)
    return parser
