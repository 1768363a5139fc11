"""Compares what is in the database with what the statement says, both ways: for `audit data`, and for the tests.

What is kept and not said is wrong. What is said and not kept may only not have come yet.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from .access import LONGEST as LONGEST_SESSION
from .collect.visitor import day_of
from .declaration import VISIT_ITEMS
from .forms import AUDIT_DAYS
from .language import english
from .privacy import Privacy
from .record.purge import first_kept
from .rights.newsletter import KEPT_DAYS
from .settings import REQUEST_DAYS
from .statement.text import item
from .store import truth_queries as queries
from .store.base import Store

DAY: Final = 86_400_000
WHERE_SAID: Final = {
    "data": ("hit", "page", "source", "campaign", "agent", "language", "imported"),
    "identity": ("salt", "forgotten"),
    "your-data": ("day", "rollup", "monthly", "month"),
    "access": ("published", "disclosure", "notice"),
    "forms": ("submission", "field", "subject", "counter", "reply", "consent", "issue", "delivery"),
    "requests": ("request", "link", "mail", "step", "tombstone", "attempt", "audit"),
    "cookies": ("sign_in", "session"),
    "changes": ("version",),
    "protection": ("vault",),
}
"""In which section of the statement stands what a table holds."""
OF_THE_SOFTWARE: Final = ("lease", "mark", "migration")
"""Tables that hold nothing of people."""
COLUMNS_OF_HITS: Final = {
    "id": "", "day": "time", "time": "time", "visitor": "visitor", "address": "address", "method": "page", "page": "page", "kind": "page",
    "status": "status", "source": "source", "campaign": "campaign", "agent": "agent", "language": "language", "country": "country",
    "sent": "bytes", "aborted": "status", "duration": "duration",
}  # fmt: skip
"""Which declared datum each column holds."""
_SLACK_DAYS: Final = 2
"""What is over is purged within a day; clocks and time zones take the other."""

Verdict = Literal["as said", "not yet", "UNDECLARED"]


class Finding(NamedTuple):
    """One thing that was compared."""

    verdict: Verdict
    what: str
    words: str


def compare(privacy: Privacy, store: Store, *, now: int | None = None) -> list[Finding]:
    """Compare the database with the statement in force; `now` in epoch milliseconds.

    The store may be open to be read only. What was recorded under an earlier statement counts as undeclared, until it is purged.
    """
    now = int(time.time() * 1000) if now is None else now
    return [*_tables(store), *_visits(privacy, store, now), *_forms(privacy, store, now), *_periods(store, now)]


def wrong(findings: list[Finding]) -> list[Finding]:
    """Return what is kept and not said."""
    return [one for one in findings if one.verdict == "UNDECLARED"]


def _tables(store: Store) -> Iterator[Finding]:
    known = {table for tables in WHERE_SAID.values() for table in tables} | set(OF_THE_SOFTWARE)
    columns = store.columns()
    unknown = [table for table in columns if table not in known]
    unknown += [f"hit.{column}" for column in columns["hit"] if column not in COLUMNS_OF_HITS]
    for name in unknown:
        yield Finding("UNDECLARED", f"table {name}", "the statement does not know it")
    if not unknown:
        yield Finding("as said", "tables", "each belongs to a section of the statement")


def _visits(privacy: Privacy, store: Store, now: int) -> Iterator[Finding]:
    if not store.has_table("hit"):
        return
    kept, facts = store.rows(queries.ITEMS_KEPT)[0], privacy.facts
    for name in VISIT_ITEMS:
        amount = kept["hits"] if name == "time" else kept[name] or 0
        words = f"in {amount} of {kept['hits']} visits: {item(english(), facts, name)[0]}"
        yield Finding(_verdict(is_said=name in facts.items, amount=amount), f"visits, {name}", words)
    if facts.address != "full":
        full = kept["full_addresses"] or 0
        yield Finding("UNDECLARED" if full else "as said", "visits, full addresses", f"in {full} visits")
    for row in store.rows(queries.CAMPAIGNS_KEPT):
        name = row["value"].partition("=")[0]
        if not name.startswith("utm_") and name != "ref" and name not in facts.values:
            yield Finding("UNDECLARED", "visits, campaign", f"the parameter {name!r} is kept")
    days = facts.retention_days
    late = kept["first"] is not None and kept["first"] < first_kept(now, privacy.settings.zone, days) - _SLACK_DAYS
    yield Finding(
        "UNDECLARED" if late else "as said",
        "visits, retention",
        f"{'older ones are there than' if late else 'none is older than'} {days} days",
    )


def _forms(privacy: Privacy, store: Store, now: int) -> Iterator[Finding]:
    if not store.has_table("submission"):
        return
    declared = {form.name: form for form in privacy.facts.forms}
    found = {row["form"]: row for row in store.rows(queries.FORMS_KEPT)}
    for name in dict.fromkeys((*declared, *found)):
        form, row = declared.get(name), found.get(name)
        amount = row["amount"] if row else 0
        yield Finding(_verdict(is_said=form is not None, amount=amount), f"form {name}", f"{amount} submissions")
        if form is None or row is None:
            continue
        if row["visitors"] and not form.link_visit:
            yield Finding("UNDECLARED", f"form {name}", f"{row['visitors']} are tied to visits")
        if row["longest"] > form.retention_days + 1:
            yield Finding("UNDECLARED", f"form {name}, retention", f"{row['longest']} days, the statement says {form.retention_days}")
        for outcome in ("accepted", "invalid", "failed"):
            if row[outcome] and outcome not in form.outcomes:
                yield Finding("UNDECLARED", f"form {name}, {outcome}", f"{row[outcome]} submissions")
    fields = {(row["form"], row["name"]): row["amount"] for row in store.rows(queries.FIELDS_KEPT)}
    said = {(form.name, field) for form in declared.values() for field in form.fields}
    for form_name, field in dict.fromkeys((*sorted(said), *fields)):
        amount = fields.get((form_name, field), 0)
        yield Finding(_verdict(is_said=(form_name, field) in said, amount=amount), f"form {form_name}, field {field}", f"{amount} values")
    late = store.rows(queries.EXPIRED_KEPT, day=day_of(now, privacy.settings.zone) - _SLACK_DAYS)[0]["amount"]
    yield Finding("UNDECLARED" if late else "as said", "forms, retention", f"{late} submissions are past their time")


def _periods(store: Store, now: int) -> Iterator[Finding]:
    limits: dict[str, tuple[str, int, str]] = {
        "salts": ("salt", now // DAY - 2 - _SLACK_DAYS, "keys of days are destroyed after the second day"),
        "requests": (
            "request",
            now - (REQUEST_DAYS + _SLACK_DAYS) * DAY,
            f"data requests are kept for {REQUEST_DAYS} days after the answer",
        ),
        "audit": ("audit", now - (AUDIT_DAYS + _SLACK_DAYS) * DAY, f"the audit log is kept for {AUDIT_DAYS} days"),
        "attempts": ("attempt", (now - (1 + _SLACK_DAYS) * DAY) // 3_600_000, "counts of requests are kept for a day"),
        "mails": ("mail", now - _SLACK_DAYS * DAY, "mails wait for a week at most"),
        "consents": ("consent", now - _SLACK_DAYS * DAY, "what is not confirmed, or was withdrawn, goes in time"),
        "deliveries": ("delivery", now - (KEPT_DAYS + _SLACK_DAYS) * DAY, f"who was sent a newsletter is noted for {KEPT_DAYS} days"),
        "disclosures": (
            "disclosure",
            now - (AUDIT_DAYS + _SLACK_DAYS) * DAY,
            f"whose data were given is noted for {AUDIT_DAYS} days after we last kept them",
        ),
        "sessions": ("session", now - LONGEST_SESSION - _SLACK_DAYS * DAY, "nobody stays signed in for longer than a day"),
    }
    for name, (table, limit, words) in limits.items():
        if not store.has_table(table):
            continue
        values = {"before": limit} if name == "disclosures" else {}
        oldest: Any = store.rows(queries.OLDEST[name], **values)[0]["oldest"]
        yield Finding("UNDECLARED" if oldest is not None and oldest < limit else "as said", name, words)


def _verdict(*, is_said: bool, amount: int) -> Verdict:
    if amount and not is_said:
        return "UNDECLARED"
    return "as said" if amount or not is_said else "not yet"
