"""The commands about the owner's pages: `login`, `logout`, `password`."""

from __future__ import annotations

import argparse
import getpass
import secrets
import time
from typing import Any

from ..access import LINK_LIFE, MINUTE, ROLES, SHORTEST_PASSWORD, end_all, hash_password, make_link
from ..errors import PrivacyError
from ..privacy import Privacy
from ..record.submissions import root_key
from ..rights import audit
from .common import actor, open_store


def add_commands(commands: Any) -> None:
    """Add them to the parser's commands."""
    login = commands.add_parser("login", help="print a link that signs you in to the owner's pages, once")
    login.add_argument("--role", choices=ROLES, default="officer", help="viewer: statistics only (default: officer)")
    login.set_defaults(command=_login)

    logout = commands.add_parser("logout", help="sign out everybody from the owner's pages")
    logout.set_defaults(command=_logout)

    password = commands.add_parser("password", help="ask for a password, and print its hash for PRIVACY_OWNER_PASSWORD_HASH")
    password.add_argument("--token", action="store_true", help="print a random token instead, for PRIVACY_METRICS_TOKEN")
    password.set_defaults(command=_password)


def _login(options: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    now = int(time.time() * 1000)
    try:
        with store.transaction():
            token = make_link(store, root_key(store, privacy.keys.vault), options.role, now=now)
            audit.note(store, now=now, actor=actor(), action=f"link to sign in as {options.role}")
    finally:
        store.close()
    settings = privacy.settings
    print(f"{settings.base_url or 'http://localhost:8000'}{settings.path}/owner/sign-in/{token}")
    place = "" if settings.base_url else "; put your site's own address in the place of http://localhost:8000, or set PRIVACY_BASE_URL"
    print(f"It works once, within {LINK_LIFE // MINUTE} minutes{place}.")
    return 0


def _logout(_: argparse.Namespace) -> int:
    privacy = Privacy.from_sources()
    store = open_store(privacy)
    try:
        with store.transaction():
            end_all(store)
            audit.note(store, now=int(time.time() * 1000), actor=actor(), action="signed out everybody")
    finally:
        store.close()
    print("nobody is signed in any more")
    return 0


def _password(options: argparse.Namespace) -> int:
    if options.token:
        print(secrets.token_urlsafe(32))
        return 0
    password = getpass.getpass("Password for the owner's pages: ")
    if len(password) < SHORTEST_PASSWORD:
        raise PrivacyError(f"the password is too short; take {SHORTEST_PASSWORD} characters or more")
    if getpass.getpass("Once more: ") != password:
        raise PrivacyError("the two are not the same; try again")
    print(f"PRIVACY_OWNER_PASSWORD_HASH='{hash_password(password)}'")
    return 0
