"""The command `migrate`: moves everything from one database to another, such as from a SQLite file to a PostgreSQL server."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from typing import Any

from tqdm import tqdm

from ..errors import PrivacyError
from ..record.spool import Spool
from ..settings import mask_url
from ..store import store_of
from ..store.base import Store
from ..store.sqlite import SQLiteStore
from ..store.transfer import amount, move
from ..values import database_url
from .common import print_table


def add_commands(commands: Any) -> None:
    """Add it to the parser's commands."""
    migrate = commands.add_parser("migrate", help="move everything to another database; stop the app first")
    migrate.add_argument("--from", dest="source", required=True, type=_url, metavar="URL", help="sqlite:///path, or postgresql://…")
    migrate.add_argument("--to", dest="target", required=True, type=_url, metavar="URL", help="an empty database; it is made ready")
    migrate.set_defaults(command=_migrate)


def _url(text: str) -> str:
    try:
        return database_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{mask_url(text)!r} {error}") from None


def _migrate(options: argparse.Namespace) -> int:
    source, target = store_of(options.source), store_of(options.target)
    if not source.exists():
        raise PrivacyError(f"there is no database {source.place}; check --from")
    _check_spool(source)
    with ExitStack() as stack:
        for store in (source, target):
            store.open(mend=False)
            stack.callback(store.close)
        with tqdm(total=amount(source), unit="row", unit_scale=True, desc="moving", file=sys.stderr) as bar:
            compared = move(source, target, progress=bar.update)
    rows = [{"table": table, "there": there, "here": here} for table, (there, here) in compared.items() if there or here]
    print_table(rows, ("table", "there", "here"))
    if any(row["there"] != row["here"] for row in rows):
        raise PrivacyError(f"{target.place} does not hold as much as {source.place}; give the app the old one, and report this, please")
    print(f"All is in {target.place}. Set PRIVACY_DATABASE_URL to it, and PRIVACY_SECRET_KEYS to the keys that held until now;")
    print(f"then start the app. {source.place} is as it was: delete it when all is well, since it holds people's data.")
    return 0


def _check_spool(source: Store) -> None:
    if isinstance(source, SQLiteStore) and (waiting := Spool(source.path).waiting()):
        raise PrivacyError(f"{len(waiting)} submissions wait beside {source.place}; start the app once, so that they come into it")
