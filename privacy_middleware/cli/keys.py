"""The commands about secret keys: `keys status`, `keys rotate`, `keys abandon`."""

from __future__ import annotations

import argparse
import time
from typing import Any

from tqdm import tqdm

from ..collect.visitor import day_of
from ..errors import KeyMissing, PrivacyError
from ..privacy import Privacy
from ..record.intake import absorb
from ..record.submissions import abandon, masters, rewrap
from ..rights.requests import close_unreadable
from ..store.base import Store
from .common import actor, open_store, open_to_read


def add_commands(commands: Any) -> None:
    """Add them to the parser's commands."""
    group = commands.add_parser("keys", help="rotate the secret keys that submissions are sealed under")
    actions = group.add_subparsers(required=True, metavar="ACTION")
    status = actions.add_parser("status", help="show how many keys are wrapped under which secret key")
    status.set_defaults(command=_status)
    rotate = actions.add_parser("rotate", help="wrap all keys anew under the first of PRIVACY_SECRET_KEYS; the app may run")
    rotate.set_defaults(command=_rotate)
    abandoning = actions.add_parser("abandon", help="go on where a secret key is lost for ever")
    abandoning.add_argument("--yes", action="store_true", help="what is sealed under it stays unreadable: I know")
    abandoning.set_defaults(command=_abandon)


def _status(_: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_to_read(privacy)
    try:
        found = masters(store) if store.has_table("vault") else {}
    finally:
        store.close()
    if not found:
        print("nothing is sealed yet")
        return 0
    vault = privacy.keys.vault
    for master, subjects in found.items():
        place = vault.place_of(master)
        given = "not among the keys given" if place is None else "the newest key" if place == 0 else f"key {place + 1} of those given"
        print(f"{master.hex()}  {given}  {subjects} keys")
    return 0 if all(vault.place_of(master) is not None for master in found) else 1


def _rotate(_: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        vault = privacy.keys.vault
        privacy.keys.check_store(store)
        while absorb(store, privacy.spool, vault, today=day_of(int(time.time() * 1000), privacy.settings.zone)):
            pass
        total = sum(subjects for master, subjects in masters(store).items() if master != vault.newest)
        done = left = 0
        with tqdm(total=total, desc="Wrapping keys", unit="key", disable=None) as bar:
            for wrapped, unopened in rewrap(store, vault):
                done, left = done + wrapped, left + unopened
                bar.update(wrapped + unopened)
        store.checkpoint()
        is_done = set(masters(store)) <= {vault.newest}
    finally:
        store.close()
    print(
        f"{done} keys are now wrapped under the newest secret key" if done else "all keys were wrapped under the newest secret key before"
    )
    if left:
        print(f"{left} cannot be opened with the keys given, and are left as they are; see `privacy-middleware keys status`")
    elif privacy.spool.waiting():
        print(f"some submissions still wait in {privacy.spool.folder}: keep the old keys until the app has taken them in")
    elif is_done:
        print("submissions need the older keys no more. Visits do until the day after tomorrow, and imported logs are recognised by them")
        print("if the app has not been restarted with these keys yet, do so now")
    return 1 if left else 0


def _abandon(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        lost = _lost(privacy, store)
        if lost is None:
            print("nothing is lost: everything can be opened with the keys given")
            return 0
        if not options.yes:
            raise PrivacyError(f"what is sealed under {lost} keys of people could not be read any more; if so be it, add --yes")
        abandon(store, privacy.keys.new_vault())
        with store.transaction():
            close_unreadable(privacy.office, store, actor=actor(), now=int(time.time() * 1000))
        store.checkpoint()
    finally:
        store.close()
    print(f"done: {lost} stay sealed until their retention ends; whoever writes now is kept under the keys given")
    return 0


def _lost(privacy: Privacy, store: Store) -> int | None:
    """Return how many keys cannot be opened with the keys given; None if nothing at all is lost."""
    found = masters(store)
    try:
        lost = [subjects for master, subjects in found.items() if privacy.keys.vault.place_of(master) is None]
    except KeyMissing:
        lost = list(found.values())
    return sum(lost) if lost else None
