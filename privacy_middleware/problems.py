"""Says what is wrong with the database, the keys and the data requests, each with its remedy: for `status` and the owner's page."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final

from .collect.visitor import day_of
from .errors import VaultError
from .privacy import Privacy
from .record.purge import first_kept
from .rights import erasure, outbox
from .rights.requests import Request, find_all
from .store import queries, service_queries
from .store.base import Store, near

LONGEST_UNTOLD: Final = 7 * 86_400_000
"""Milliseconds."""


def problems(privacy: Privacy, store: Store) -> list[str]:
    """Return everything that is wrong, as sentences; the store may be open to be read only, and of an older version."""
    asked = find_all(store) if store.has_table("request") else []
    mails = len(outbox.find(store)) if store.has_table("mail") else 0
    forgotten = erasure.to_replay(privacy.office, store) if store.has_table("tombstone") else erasure.tombstones(privacy.office)
    of_requests = _request_problems(privacy, asked, mails=mails, to_replay=len(forgotten))
    return [*_store_problems(privacy, store), *of_requests, *(_service_problems(privacy, store) if store.has_table("notice") else ())]


def _service_problems(privacy: Privacy, store: Store) -> list[str]:
    found = []
    waiting = store.value(service_queries.SIGN_UPS_WAITING)
    if waiting and not privacy.office.can_ask:
        found.append(
            f"{waiting} people signed up for the newsletter, and cannot be asked to confirm: set PRIVACY_BASE_URL and PRIVACY_SMTP_URL"
        )
    untold = store.value(service_queries.NOTICES_WAITING, before=int(time.time() * 1000) - LONGEST_UNTOLD)
    if untold:
        found.append(f"{untold} times a recipient has not said for a week that it knows; see `privacy-middleware recipients list`")
    return found


def _request_problems(privacy: Privacy, asked: Sequence[Request], *, mails: int, to_replay: int) -> list[str]:
    found = []
    now, office = int(time.time() * 1000), privacy.office
    waiting = sum(request.state == "received" for request in asked)
    if waiting and not office.can_ask:
        found.append(f"{waiting} data requests wait for a mail: set PRIVACY_BASE_URL and PRIVACY_SMTP_URL, or use `requests link`")
    if mails and not privacy.settings.smtp_url:
        found.append(f"{mails} mails wait; unless your code gives send_mail, set PRIVACY_SMTP_URL, or send them yourself: `mails list`")
    overdue = sum(request.is_open and request.due < now for request in asked)
    if overdue:
        found.append(f"{overdue} data requests are past their deadline; see `privacy-middleware requests list`")
    failing = sum(request.is_open and request.tries > 0 for request in asked)
    if failing:
        found.append(f"{failing} data requests could not be done yet; see `privacy-middleware requests list`, and the app's log")
    if to_replay:
        found.append(f"{to_replay} erasures are not in this database, which was restored from a backup: run `privacy-middleware replay`")
    return found


def _store_problems(privacy: Privacy, store: Store) -> list[str]:
    found = store.problems()
    now, settings = int(time.time() * 1000), privacy.settings
    salts, purged = sorted(store.live_salts()), store.mark("purged")
    first = store.rows(queries.HITS_STORED)[0]["first"]
    is_overdue = first is not None and first < first_kept(now, settings.zone, settings.retention_days) - 1
    if is_overdue and (purged or 0) < day_of(now, settings.zone) - 1:
        found.append("visits past their retention are still there; is the app running? Else run `privacy-middleware purge`")
    if salts and salts[0] < day_of(now, settings.zone) - 1:
        found.append("a salt is older than yesterday's; is the app running? Else run `privacy-middleware purge`")
    found += _vault_problems(privacy, store)
    if not privacy.declaration.controller.name:
        found.append("the statement names nobody responsible; declare [controller] in privacy.toml")
    return found


def _vault_problems(privacy: Privacy, store: Store) -> list[str]:
    found = []
    waiting = privacy.spool.waiting()
    if waiting:
        found.append(
            f"{len(waiting)} submissions wait in {near(privacy.spool.folder)} for the database; does the app run, with all its secret keys?"
        )
    hits = privacy.recorder.waiting
    if hits and not hits.is_empty():
        found.append(f"visits wait in {near(hits.path)} for the database; does the app run on this host?")
    if hits and not os.access(hits.path.parent, os.W_OK):
        found.append(f"{near(hits.path.parent)} cannot be written: nothing could wait there while the server is away; mend the permissions")
    try:
        privacy.keys.check_store(store)
    except VaultError as error:
        found.append(str(error))
    return found
