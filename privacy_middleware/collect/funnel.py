"""Counts the steps of each declared form (seen, sent, and what became of it), without saying by whom."""

from __future__ import annotations

from typing import Any, Final

from ..forms import Form
from .agent import read_agent
from .form import FormIndex
from .hit import CLIENT_CLOSED_REQUEST, PAGE, Exchange, kind_of

ROOT: Final = Exchange._fields.index("root")
STEPS: Final = ("view", "sent", "invalid", "failed", "accepted")


def steps(forms: FormIndex, fields: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the counters that an exchange (its bare fields) adds to, like `form.contact.view`. Bots do not count."""
    exchange = Exchange(*fields)
    form = form_of(forms, fields)
    shown = forms.shown_at(exchange.path, exchange.root) if exchange.method == "GET" else ()
    if not (form or shown) or read_agent(exchange.agent).bot:
        return ()
    if form is None:
        return tuple(f"form.{one.name}.view" for one in shown) if _is_page(exchange) else ()
    sent = f"form.{form.name}.sent"
    return (sent,) if exchange.status == CLIENT_CLOSED_REQUEST else (sent, f"form.{form.name}.{form.outcome(exchange.status)}")


def form_of(forms: FormIndex, fields: tuple[Any, ...]) -> Form | None:
    """Return the form that an exchange has sent."""
    _, _, method, path, *_ = fields
    if method not in forms.methods:
        return None
    return forms.sent_to(method, path, fields[ROOT] if len(fields) > ROOT else "")


def _is_page(exchange: Exchange) -> bool:
    kind = kind_of(exchange.method, exchange.status, "", exchange.content_type, exchange.disposition, b"", exchange.purpose, b"")
    return kind == PAGE
