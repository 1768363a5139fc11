"""What the statement says of the declared forms: what of each field is kept, what for, how long, and whose it is."""

from __future__ import annotations

from ..collect.treatment import range_names
from ..declaration import Declaration
from ..forms import AUDIT_DAYS, Field, Form
from .section import Section, in_days, listed

_TREATMENTS = {
    "keep": "What you enter",
    "length": "Only the number of characters that you enter",
    "present": "Only whether you enter anything",
    "domain": "Only what stands after the @",
    "hash": "Only a keyed checksum: it cannot be read, but is the same if the same is entered again",
    "redact": "Your text; e-mail addresses and telephone, account, card and national numbers in it are replaced by their kind, as far as "
    "they are recognised",
    "file": "Only the kind and size of the file, neither its name nor its content",
}
_UNITS = {"month": "the month", "year": "the year", "decade": "the decade"}


def form_sections(declaration: Declaration) -> tuple[Section, ...]:
    """Return a section on forms as such, and one for each declared form."""
    if not declaration.forms:
        return (Section("forms", "What you tell us", ("What you enter in the forms of this website is not kept by this record.",)),)
    return (_rules(declaration), *(_form(declaration, form) for form in declaration.forms))


def _rules(declaration: Declaration) -> Section:
    asked = listed(title(form) for form in declaration.forms)
    return Section(
        "forms",
        "What you tell us",
        (
            f"Of the forms of this website, we keep what is named below, and only of: {asked}. Of any other field or form we keep nothing. "
            "Fields for passwords, codes, cards and accounts are never taken; if we recognise a card or account number in a text, it is "
            "left out.",
            "We also count how often each form is seen, sent and accepted, without noting by whom.",
        ),
    )


def title(form: Form) -> str:
    """Return what the statement calls a form."""
    return form.title or form.name.replace("-", " ").replace("_", " ")


def _form(declaration: Declaration, form: Form) -> Section:
    purpose = declaration.purpose(form.purpose)
    paragraphs = (
        f"We keep this {purpose.text}. The legal basis is: {form.legal_basis or purpose.legal_basis}. "
        f"We keep it for {in_days(form.retention_days)} and delete it then.",
        _whose(form),
        "It is kept together with the number that stands for you that day, so that we see how your visit led to it."
        if form.link_visit
        else "We do not tie it to your visit: there, we note only that the form was sent, in which hour, and not by whom. On a quiet day "
        "the order and times of what else was noted could still hint at it; we do not look.",
        *_outcomes(form),
        _refused(form),
    )
    rows = (((field.label or name), _kept(field)) for name, field in form.fields.items())
    return Section(f"form-{form.name}", f"What you tell us: {title(form)}", paragraphs, table=(("Field", "What we keep of it"), *rows))


def _whose(form: Form) -> str:
    if not form.identity:
        time = (
            "With the number of your visit one can tell when it came"
            if form.link_visit
            else "We keep the day on which it came, not the time"
        )
        return f"It does not say who you are, unless you write it yourself. {time}. It is encrypted under a key of its own."
    label = form.fields[form.identity].label or form.identity
    return (
        f"By “{label}” we know whose it is, if it is one e-mail address. It is encrypted under a key of yours alone, and found "
        f"again by a keyed checksum of your "
        f"e-mail address. With it we keep {'when' if form.link_visit else 'the hour in which'} it came."
    )


def _outcomes(form: Form) -> tuple[str, ...]:
    also = [words for outcome, words in (("invalid", "if our website finds a mistake in it"), ("failed", "if our website fails to take it"))
            if outcome in form.outcomes]  # fmt: skip
    return (f"It is kept also {listed(also, 'and')}.",) if also else ()


def _refused(form: Form) -> str:
    if form.requested:
        return (
            "If you have refused to be recorded, it is kept all the same once our website has accepted it: you ask us for something that "
            "cannot be done without it."
        )
    return "If you have refused to be recorded, nothing of it is kept."


def _kept(field: Field) -> str:
    if field.treatment == "choice":
        return f"Which of these you choose: {'; '.join(field.choices)}"
    if field.treatment == "region":
        return (
            f"Only the first {field.letters} letters or digits of the postcode" if field.letters > 1 else "Only its first letter or digit"
        )
    if field.treatment == "bucket" and field.edges:
        ranges = "; ".join(range_names(field.edges))
        return f"Only the range of your age: {ranges}" if field.unit == "age" else f"Only the range: {ranges}"
    if field.treatment == "bucket":
        return f"Only {_UNITS[field.unit]} of the date"
    return _TREATMENTS[field.treatment]


def protection_points(declaration: Declaration) -> list[str]:
    """Return how what is sent with forms is protected."""
    if not declaration.forms:
        return []
    return [
        "What you enter in forms is encrypted (AES-256-GCM), each person's under a key of their own. Whoever gets a copy of the database "
        "can read none of what you entered without our secret key, which is not in it.",
        "While the database cannot be reached, it waits in an encrypted file.",
        f"Whenever one of us opens what you sent, it is noted who did so and when; that note is kept for {AUDIT_DAYS} days.",
    ]


def refusal_points(declaration: Declaration) -> list[str]:
    """Return which forms are kept of those who refuse."""
    requested = [title(form) for form in declaration.forms if form.requested]
    if not requested:
        return []
    return [f"What you ask us for is kept also then, since it cannot be done without it: {listed(requested)}."]
