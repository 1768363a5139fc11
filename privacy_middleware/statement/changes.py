"""What changed between two versions of the statement, in words: "Retention of visits: 30 days, before 90 days"."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from ..forms import Form, Treatment
from ..language import N_, Language
from .facts import Facts
from .forms import basis, kept, refused, title
from .requests import PERIODS, reviewed
from .section import in_days
from .text import SIGNALS, item, recipient

ADDRESS: Final = {"none": N_("not kept"), "truncated": N_("shortened"), "full": N_("in full")}
MATERIAL_WHEN_NEW: Final = ("purpose", "item", "recipient", "form", "field", "values", "cookie")
"""Kinds of point that people are told of when one is added."""
_STRICTNESS: Final = {"address": ("none", "truncated", "full")}
_MUCH: Final[dict[Treatment, int]] = {
    "present": 1, "length": 1, "hash": 2, "choice": 2, "bucket": 2, "domain": 2, "region": 2, "file": 2, "redact": 3, "keep": 4,
}  # fmt: skip
"""How much of a field a treatment keeps; of two that keep about as much, any change counts as more."""
_OFTEN_MATERIAL: Final = ("recipient", "purpose", "purpose-of")


class Point(NamedTuple):
    """One thing that the statement says: what it is about, and what it says of it."""

    label: str
    value: str
    """"" if only that it changed can be said."""
    weight: float = 0.0
    """A larger weight than before is material: more is kept, or for longer."""
    mark: str = ""
    """What is compared besides the value."""


class Change(NamedTuple):
    """One change in words; material if more is collected, for more, for longer, or given to more."""

    kind: Literal["new", "gone", "changed"]
    words: str
    is_material: bool


def changes(_: Language, before: Facts, after: Facts) -> list[Change]:
    """Return what changed, in the order of the statement."""
    old, new = dict(_points(_, before)), dict(_points(_, after))
    found = [_changed(_, key, old.get(key), new.get(key)) for key in dict.fromkeys((*new, *old)) if old.get(key) != new.get(key)]
    told = list(dict.fromkeys(change for change in found if change is not None))
    if before != after and not told:  # such as the title of a form, in a language in which it reads as before
        return [Change("changed", _("Only words, nothing of what is done"), is_material=False)]
    return told


def _changed(_: Language, key: str, old: Point | None, new: Point | None) -> Change | None:
    kind = key.partition(" ")[0]
    if old is None and new is not None:
        words = _("New: %(label)s: %(value)s", label=new.label, value=new.value) if new.value else _("New: %(label)s", label=new.label)
        return Change("new", words, kind in MATERIAL_WHEN_NEW)
    if new is None and old is not None:
        words = (
            _("No longer: %(label)s: %(value)s", label=old.label, value=old.value)
            if old.value
            else _("No longer: %(label)s", label=old.label)
        )
        return Change("gone", words, kind == "signal")
    if old is None or new is None or (old.value, old.mark) == (new.value, new.mark):
        return None
    is_material = new.weight > old.weight or kind in _OFTEN_MATERIAL or (kind == "field" and new.weight == old.weight)
    if old.value == new.value:
        return Change("changed", _("%(label)s has changed", label=new.label), is_material)
    words = _("%(label)s: %(value)s, before: %(before)s", label=new.label, value=new.value or _("none"), before=old.value or _("none"))
    return Change("changed", words, is_material)


def _points(_: Language, facts: Facts) -> Iterator[tuple[str, Point]]:
    yield from _of_controller(_, facts)
    yield from _of_visits(_, facts)
    for form in facts.forms:
        yield from _of_form(_, facts, form)
    for purpose in facts.purposes:
        name = _.own(purpose.name)
        yield f"purpose {purpose.name}", Point(_("Purpose “%(name)s”", name=name), _.own(purpose.text))
        yield f"basis {purpose.name}", Point(_("Legal basis of “%(name)s”", name=name), _.own(purpose.legal_basis))
    seen: Counter[tuple[str, str]] = Counter()
    for one in facts.recipients:
        key = (one.name, one.purpose)
        seen[key] += 1
        yield f"recipient {key} {seen[key]}", Point(_("Recipient"), recipient(_, facts, one))
    for source in facts.sources:
        yield f"source {source}", Point(_("Covered by data requests"), _.own(source))
    for cookie in facts.cookies:
        life = in_days(_, cookie.days) if cookie.days else _("until the browser is closed")
        yield f"cookie {cookie.name}", Point(_("Cookie %(name)s", name=cookie.name), f"{_.own(cookie.purpose)}; {life}", cookie.days)
    yield from _of_rights(_, facts)
    yield from _of_words(_, facts)


def _of_controller(_: Language, facts: Facts) -> Iterator[tuple[str, Point]]:
    controller = facts.controller
    yield "controller", Point(_("Who is responsible"), controller.name)
    yield "address of controller", Point(_("Our address"), "; ".join(" ".join(line.split()) for line in controller.address))
    yield "email", Point(_("Our e-mail address"), controller.email)
    yield "telephone", Point(_("Our telephone number"), controller.telephone)
    yield "country", Point(_("Our country"), _.country(controller.country) if controller.country else "")
    yield "officer", Point(_("Data protection officer"), controller.data_protection_officer)


def _of_visits(_: Language, facts: Facts) -> Iterator[tuple[str, Point]]:
    for name in facts.items:
        if name != "address":
            yield f"item {name}", Point(_("Noted of visits"), item(_, facts, name)[0])
    yield (
        "address",
        Point(_("Network address"), _.own(ADDRESS[facts.address]), weight=_STRICTNESS["address"].index(facts.address)),
    )
    for value in facts.values:
        yield f"values {value}", Point(_("Value in addresses that is kept"), value)
    yield "retention", Point(_("Retention of visits"), in_days(_, facts.retention_days), weight=facts.retention_days)
    yield "purpose of visits", Point(_("Purpose of visits"), _.own(facts.visits_purpose))
    number = _.number(facts.suppress_below)
    yield "suppress", Point(_("Fewest visitors that a figure shows"), number, weight=-facts.suppress_below)
    yield "publish", Point(_("Anonymous figures"), _("public") if facts.publish else _("not public"), weight=facts.publish)


def _of_form(_: Language, facts: Facts, form: Form) -> Iterator[tuple[str, Point]]:
    name = title(_, form)
    yield f"form {form.name}", Point(_("Form"), name)
    for field_name, field in form.fields.items():
        label = _("Form “%(form)s”, “%(field)s”", form=name, field=_.own(field.label) or field_name)
        yield f"field {form.name} {field_name}", Point(label, kept(_, field), weight=_MUCH[field.treatment])
    yield (
        f"form's retention {form.name}",
        Point(_("Retention of form “%(form)s”", form=name), in_days(_, form.retention_days), weight=form.retention_days),
    )
    yield f"purpose-of {form.name}", Point(_("Purpose of form “%(form)s”", form=name), _.own(form.purpose))
    yield f"form's basis {form.name}", Point(_("Legal basis of form “%(form)s”", form=name), basis(_, facts, form))
    yield f"form's refusal {form.name}", Point(_("Form “%(form)s”, refusal", form=name), refused(_, form), weight=form.requested)
    rest = {"identity": bool(form.identity), "visit": form.link_visit, "outcomes": len(form.outcomes)}
    marks = {"identity": form.identity, "visit": str(form.link_visit), "outcomes": str(sorted(form.outcomes))}
    for what, weight in rest.items():
        label = _("Form “%(form)s”: whose it is, or when it is kept", form=name)
        yield f"form's {what} {form.name}", Point(label, "", weight=weight, mark=marks[what])


def _of_rights(_: Language, facts: Facts) -> Iterator[tuple[str, Point]]:
    for signal in facts.signals:
        yield f"signal {signal}", Point(_("Taken as a refusal"), SIGNALS[signal])
    yield "deadlines", Point(_("Time for an answer"), _.own(PERIODS[facts.deadlines]), mark=facts.deadlines)
    yield (
        "accounts",
        Point(_("Proof of who asks"), _("your account, or your e-mail address") if facts.accounts else _("your e-mail address")),
    )
    yield "review", Point(_("Data requests that one of us looks at"), reviewed(_, facts))
    hours = _.plural("one hour", "%(number)s hours", facts.erasure_delay) if facts.erasure_delay else ""
    yield "erasure delay", Point(_("Time to call an erasure off"), hours)
    yield "https", Point(_("Transmission"), _("encrypted (HTTPS)") if facts.https else _("not encrypted"))


def _of_words(_: Language, facts: Facts) -> Iterator[tuple[str, Point]]:
    own = {"introduction": facts.text.introduction, "protection": facts.text.protection, "more": facts.text.more}
    own |= {f"{name}.md": repr(sorted(texts.items())) for name, texts in facts.own.items()}
    for name, text in own.items():
        if text:
            mark = hashlib.sha256(text.encode()).hexdigest()
            yield f"words {name}", Point(_("Our own words (%(name)s)", name=name), "", mark=mark)
    for code, mark in facts.catalogues.items():
        yield f"catalogue {code}", Point(_("Our own translation (%(language)s)", language=code), "", mark=mark)
    yield "wording", Point(_("The wording of the software, not what it does"), "", mark=str(facts.wording))
