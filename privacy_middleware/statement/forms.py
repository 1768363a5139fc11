"""What the statement says of the declared forms: what of each field is kept, what for, how long, and whose it is."""

from __future__ import annotations

from typing import Final

from ..collect.treatment import range_names
from ..forms import ANSWER, AUDIT_DAYS, NEWSLETTER, PERSONALISED, QUESTIONNAIRE, Field, Form
from ..language import N_, Language
from .facts import Facts
from .section import Section, in_days

_TREATMENTS: Final = {
    "keep": N_("What you enter"),
    "length": N_("Only the number of characters that you enter"),
    "present": N_("Only whether you enter anything"),
    "domain": N_("Only what stands after the @"),
    "hash": N_("Only a keyed checksum: it cannot be read, but is the same if the same is entered again"),
    "redact": N_(
        "Your text; e-mail addresses and telephone, account, card and national numbers in it are replaced by their kind, as far as "
        "they are recognised"
    ),
    "file": N_("Only the kind and size of the file, neither its name nor its content"),
}
UNCONFIRMED_DAYS: Final = 7
"""`consents.UNCONFIRMED_DAYS`; a test compares them."""
DELIVERED_DAYS: Final = 30
"""`newsletter.KEPT_DAYS`; a test compares them."""
_UNITS: Final = {
    "month": N_("Only the month of the date"),
    "year": N_("Only the year of the date"),
    "decade": N_("Only the decade of the date"),
}


def form_sections(_: Language, facts: Facts) -> tuple[Section, ...]:
    """Return a section on forms as such, and one for each declared form."""
    if not facts.forms:
        text = _("What you enter in the forms of this website is not kept by this record.")
        return (Section("forms", _("What you tell us"), (text,)),)
    return (_rules(_, facts), *(_form(_, facts, form) for form in facts.forms))


def _rules(_: Language, facts: Facts) -> Section:
    asked = _.listed(title(_, form) for form in facts.forms)
    return Section(
        "forms",
        _("What you tell us"),
        (
            _(
                "Of the forms of this website, we keep what is named below, and only of: %(forms)s. Of any other field or form we keep "
                "nothing. Fields for passwords, codes, cards and accounts are never taken; if we recognise a card or account number in a "
                "text, it is left out.",
                forms=asked,
            ),
            _("We also count how often each form is seen, sent and accepted, without noting by whom."),
        ),
    )


def title(_: Language, form: Form) -> str:
    """Return what the statement calls a form."""
    return _.own(form.title) or form.name.replace("-", " ").replace("_", " ")


def basis(_: Language, facts: Facts, form: Form) -> str:
    """Return the legal basis of a form."""
    return _.own(form.legal_basis or facts.purposes_by_name[form.purpose].legal_basis)


def _form(_: Language, facts: Facts, form: Form) -> Section:
    purpose = facts.purposes_by_name[form.purpose]
    why = _("We keep this %(purpose)s. The legal basis is: %(basis)s.", purpose=_.own(purpose.text), basis=basis(_, facts, form))
    paragraphs = (
        f"{why} {kept_for(_, form)}",
        *_served(_, form),
        _whose(_, form),
        *_tied(_, form),
        *_outcomes(_, form),
        refused(_, form),
    )
    rows = (((_.own(field.label) or name), kept(_, field)) for name, field in form.fields.items())
    heading = _("What you tell us: %(form)s", form=title(_, form))
    links = ((_("What you are shown"), "/my-preferences"),) if form.purpose == PERSONALISED else ()
    return Section(f"form-{form.name}", heading, paragraphs, table=((_("Field"), _("What we keep of it")), *rows), links=links)


def kept_for(_: Language, form: Form) -> str:
    """Return for how long a form is kept, and from when on."""
    days = in_days(_, form.retention_days)
    if form.purpose == ANSWER:
        return _(
            "We keep it, with our answers, for %(days)s after our last answer or after the matter is closed, and otherwise for as long "
            "after it came, and delete it then.",
            days=days,
        )
    if form.purpose == NEWSLETTER:
        return _(
            "We keep it for as long as you get the newsletter, and delete it when you stop it. For %(days)s after that we keep the proof "
            "that you had agreed.",
            days=days,
        )
    if form.purpose == PERSONALISED:
        return _("We keep it for %(days)s after you last changed it, and delete it then, or when you say so.", days=days)
    return _("We keep it for %(days)s and delete it then.", days=days)


def _served(_: Language, form: Form) -> tuple[str, ...]:
    """Return what is done with it, where that has rules of its own."""
    if form.purpose == ANSWER:
        return (_("Our answers are encrypted like what you wrote. How long they took is counted, without noting whom we answered."),)
    if form.purpose == QUESTIONNAIRE and not form.identity:
        return (_("We read the answers question by question and as numbers, never those of one person together."),)
    if form.purpose != NEWSLETTER:
        return ()
    return (
        _(
            "So that nobody else signs you up, we write to your e-mail address first. If you do not say yes within %(days)s after that, "
            "all of it is deleted.",
            days=in_days(_, UNCONFIRMED_DAYS),
        ),
        _(
            "With your yes we keep when you gave it, to which words, in which language, and which version of this statement was in force. "
            "Every newsletter has a link that stops it with one press of a button. For %(days)s after it was sent to all, it is noted to "
            "whom, so that nobody gets it twice; and how many in a row your mailbox refused: after three you get no more.",
            days=in_days(_, DELIVERED_DAYS),
        ),
    )


def _tied(_: Language, form: Form) -> tuple[str, ...]:
    if form.purpose == PERSONALISED:  # it is sent to our own page, which is in no record of visits
        return ()
    if form.link_visit:
        return (_("It is kept together with the number that stands for you that day, so that we see how your visit led to it."),)
    return (
        _(
            "We do not tie it to your visit: there, we note only that the form was sent, in which hour, and not by whom. On a quiet day "
            "the order and times of what else was noted could still hint at it; we do not look."
        ),
    )


def _whose(_: Language, form: Form) -> str:
    if form.purpose == PERSONALISED:
        return _(
            "It does not say who you are. It is encrypted under a key of its own, and found by a random number in a cookie of your "
            "browser, of which we keep a keyed checksum only. We note the day of your choice, its language, and which version of this "
            "statement was in force. On the page “What you are shown” you see it, change it, and take it back."
        )
    if not form.identity:
        return (
            _(
                "It does not say who you are, unless you write it yourself. With the number of your visit one can tell when it came. "
                "It is encrypted under a key of its own."
            )
            if form.link_visit
            else _(
                "It does not say who you are, unless you write it yourself. We keep the day on which it came, not the time. "
                "It is encrypted under a key of its own."
            )
        )
    label = _.own(form.fields[form.identity].label) or form.identity
    if form.link_visit:
        return _(
            "By “%(field)s” we know whose it is, if it is one e-mail address. It is encrypted under a key of yours alone, and found "
            "again by a keyed checksum of your e-mail address. With it we keep when it came.",
            field=label,
        )
    return _(
        "By “%(field)s” we know whose it is, if it is one e-mail address. It is encrypted under a key of yours alone, and found "
        "again by a keyed checksum of your e-mail address. With it we keep the hour in which it came.",
        field=label,
    )


def _outcomes(_: Language, form: Form) -> tuple[str, ...]:
    invalid, failed = "invalid" in form.outcomes, "failed" in form.outcomes
    if invalid and failed:
        return (_("It is kept also if our website finds a mistake in it and if our website fails to take it."),)
    if invalid:
        return (_("It is kept also if our website finds a mistake in it."),)
    return (_("It is kept also if our website fails to take it."),) if failed else ()


def refused(_: Language, form: Form) -> str:
    """Return what becomes of a form that is sent by who refuses to be recorded."""
    if form.purpose == PERSONALISED:
        return _("If you refuse to be recorded, nothing of it is kept, and what was kept is deleted at once.")
    if form.requested:
        return _(
            "If you have refused to be recorded, it is kept all the same once our website has accepted it: you ask us for something that "
            "cannot be done without it."
        )
    return _("If you have refused to be recorded, nothing of it is kept.")


def kept(_: Language, field: Field) -> str:
    """Return what is kept of a field."""
    if field.treatment == "choice":
        return _("Which of these you choose: %(choices)s", choices="; ".join(map(_.own, field.choices)))
    if field.treatment == "region":
        return _.plural(
            "Only the first letter or digit of the postcode", "Only the first %(number)s letters or digits of the postcode", field.letters
        )
    if field.treatment == "bucket" and field.edges:
        ranges = "; ".join(range_names(field.edges))
        return (
            _("Only the range of your age: %(ranges)s", ranges=ranges)
            if field.unit == "age"
            else _("Only the range: %(ranges)s", ranges=ranges)
        )
    return _.own(_UNITS[field.unit] if field.treatment == "bucket" else _TREATMENTS[field.treatment])


def protection_points(_: Language, facts: Facts) -> list[str]:
    """Return how what is sent with forms is protected."""
    if not facts.forms:
        return []
    return [
        _(
            "What you enter in forms is encrypted (AES-256-GCM), each person's under a key of their own. Whoever gets a copy of "
            "the database "
            "can read none of what you entered without our secret key, which is not in it. That key can be exchanged for a new one at any "
            "time."
        ),
        _("While the database cannot be reached, it waits in an encrypted file."),
        _(
            "Whenever one of us opens what you sent, it is noted who did so and when; that note is kept for %(days)s.",
            days=in_days(_, AUDIT_DAYS),
        ),
    ]


def refusal_points(_: Language, facts: Facts) -> list[str]:
    """Return which forms are kept of those who refuse."""
    requested = [title(_, form) for form in facts.forms if form.requested]
    if not requested:
        return []
    return [_("What you ask us for is kept also then, since it cannot be done without it: %(forms)s.", forms=_.listed(requested))]
