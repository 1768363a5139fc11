"""Counts the steps of each declared form (seen, sent, and what became of it), without saying by whom."""

from __future__ import annotations

from typing import Any, Final

from .form import FormIndex
from .hit import CLIENT_CLOSED_REQUEST, PAGE, Hit

STEPS: Final = ("view", "sent", "invalid", "failed", "accepted")


def steps(forms: FormIndex, fields: tuple[Any, ...], hit: Hit) -> tuple[str, ...]:
    """Return the counters that an exchange (its fields, and the hit made of it) adds to: `form.contact.view`. Bots do not count."""
    _, _, method, path, *_ = fields
    if hit.agent.bot:
        return ()
    if method == "GET":
        form = forms.shown_at(path)
        return (f"form.{form.name}.view",) if form and hit.kind == PAGE else ()
    form = forms.sent_to(method, path) if method in forms.methods else None
    if form is None:
        return ()
    status = fields[12]
    if status == CLIENT_CLOSED_REQUEST:
        return (f"form.{form.name}.sent",)
    return (f"form.{form.name}.sent", f"form.{form.name}.{form.outcome(status)}")
