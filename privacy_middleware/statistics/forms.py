"""How far visitors come with each declared form, from counters that say nothing of whom."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..collect.funnel import STEPS
from ..store import queries
from ..store.base import Store


class FormReport(msgspec.Struct, frozen=True, kw_only=True):
    """The funnel of one form in a period; bots, and visitors who refuse, are not counted."""

    form: str
    view: int
    """How often the page with the form was seen."""
    sent: int
    invalid: int
    """Sent, and shown again as wrong."""
    failed: int
    """Sent, and lost by an error of the app."""
    accepted: int
    remarks: dict[str, int]
    """What else was counted: `lost.REASON` submissions, `dropped.REASON.FIELD` values, `cut.FIELD`, `empty`, `late`."""

    @property
    def abandoned(self) -> int:
        """Views that no accepted submission followed, at the least: who loads the page twice counts twice."""
        return max(0, self.view - self.accepted)


def form_reports(store: Store, forms: Iterable[str], *, first: int, last: int, step: int = 1) -> list[FormReport]:
    """Return a report of each form for the owner's days `first` to `last`, each number of a day rounded down to multiples of `step`."""
    counts = {
        row["name"].removeprefix("form."): row["amount"] for row in store.rows(queries.FORM_COUNTS, first=first, last=last, step=step)
    }
    counted = {name.partition(".")[0] for name in counts}
    return [_report(form, counts) for form in [*forms, *sorted(counted - set(forms))]]


def _report(form: str, counts: dict[str, int]) -> FormReport:
    own = {name.removeprefix(form + "."): amount for name, amount in counts.items() if name.startswith(form + ".")}
    return FormReport(
        form=form,
        **{step: own.get(step, 0) for step in STEPS},
        remarks={name: amount for name, amount in own.items() if name not in STEPS},
    )
