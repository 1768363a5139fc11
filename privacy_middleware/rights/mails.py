"""The catalogue of mails: every text that is sent, in one place. Before a person has proven who they are, none holds a word of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Final

from ..mail import Mail
from ..sources import Erased, Kept

if TYPE_CHECKING:
    from .office import Office
    from .requests import Particulars, Request

ASKED: Final = {
    "overview": "an overview of your data",
    "correction": "a correction of your data",
    "erasure": "the erasure of your data",
    "restriction": "that your data are only stored and not used",
    "objection": "that your data are not used any more",
    "complaint": "an answer to your question",
}
"""What each kind of request asks for, as it goes on after “you asked for”."""
NAMES: Final = {
    "overview": "overview",
    "correction": "correction",
    "erasure": "erasure",
    "restriction": "restriction",
    "objection": "objection",
    "complaint": "question or complaint",
}
COMPLAIN: Final = (
    "If you do not agree, you can complain to the data protection authority of your country, and you can go to court. "
    "In the European Union the authorities are listed at https://www.edpb.europa.eu/about-edpb/about-edpb/members_en"
)


TO_PERSON: Final = ("confirm", "received", "ready", "fulfilled", "receipt", "refused", "extended", "lifted")
"""The kinds of mail that go to people; the others go to the owner."""


class Link(str):
    """A paragraph that is a link."""

    __slots__ = ()


def confirm(office: Office, kind: str, who: Particulars, link: str) -> Mail:
    """Ask for the proof that an address is somebody's."""
    return _to_person(
        office,
        "confirm",
        who,
        "Please confirm your request",
        f"Somebody, we hope you, asked us for {ASKED[kind]} at {office.site}, and gave this e-mail address.",
        "If it was you, please open this page and press the button there. The link holds for 24 hours.",
        Link(link),
        "If it was not you, you need not do anything: without the button nothing happens.",
    )


def received(office: Office, request: Request, who: Particulars, link: str) -> Mail:
    """Tell that a proven request is being worked on, by when, and how to call it off."""
    by = f"You will have an answer by {_day(office, request.due)} at the latest."
    if request.kind == "erasure" and request.acts is not None:
        by = f"We erase your data on {_day(office, request.acts)}. Until then you can call it off."
    return _to_person(
        office, "received", who, "We have received your request",
        f"You asked us for {ASKED[request.kind]}, and confirmed it. Thank you.", by,
        *_linked("On this page you can see how it stands, and call it off:", link),
    )  # fmt: skip


def ready(office: Office, request: Request, who: Particulars, link: str) -> Mail:
    """Tell where an overview, or the data to correct, can be seen."""
    text = {
        "overview": "Your overview is ready. You can look at it, and download it three times.",
        "correction": "Here you can see your data and change what is wrong.",
    }[request.kind]
    return _to_person(office, "ready", who, f"Your {NAMES[request.kind]}", who.answer, f"{text} The link holds for 72 hours.", Link(link),
                      "Whoever has this link can see your data: please do not pass it on.")  # fmt: skip


def fulfilled(office: Office, request: Request, who: Particulars, *, told: Sequence[str] = ()) -> Mail:
    """Tell that a request is done; with the owner's words, if there are any."""
    text = {
        "correction": "We have corrected your data as you asked.",
        "restriction": "From now on we only store your data, and do not use them. We tell you when that ends.",
        "objection": "From now on we do not use your data any more; we only store them until their time is over, or you have them erased.",
        "complaint": "Thank you for writing to us.",
    }[request.kind]
    tell = f"We also tell those who got data from us: {', '.join(told)}." if told else ""
    subject = {
        "correction": "Your data are corrected",
        "restriction": "Your data are only stored from now on",
        "objection": "Your data are not used any more",
        "complaint": "Our answer",
    }[request.kind]
    return _to_person(office, "fulfilled", who, subject, text, who.answer, tell)


def receipt(office: Office, who: Particulars, *, submissions: int, outcomes: Mapping[str, Erased | Kept], told: Sequence[str]) -> Mail:
    """Tell that everything is erased, and what is not, with the reason."""
    amounts = {"What you sent us": submissions, **{name: one.amount for name, one in outcomes.items() if isinstance(one, Erased)}}
    gone = [f"{name}: {amount}" for name, amount in amounts.items() if amount]
    reasons = [f"{name}: {one.reason}" for name, one in outcomes.items() if isinstance(one, Kept)]
    return _to_person(
        office, "receipt", who, "Your data are erased",
        "Your data are erased, as you asked.",
        who.answer,
        f"This is gone: {'; '.join(gone)}." if gone else "We had nothing that was kept under your address.",
        *(["This must be kept, and so it was not erased:", *reasons] if reasons else []),
        f"We also tell those who got data from us: {', '.join(told)}." if told else "",
        "A coded mark remains, from which nobody can read your address. With it we erase again what an old backup might bring back.",
        "Once this mail is sent, "
        + ("your address stands only in what must be kept." if reasons else "we do not have your address any more."),
    )  # fmt: skip


def refused(office: Office, request: Request, who: Particulars, reason: str) -> Mail:
    """Refuse, with the reason and where to complain (GDPR art. 12(4))."""
    return _to_person(office, "refused", who, f"Your {NAMES[request.kind]}",
                      f"You asked us for {ASKED[request.kind]}. We cannot do it. This is why:", reason, COMPLAIN)  # fmt: skip


def extended(office: Office, request: Request, who: Particulars, reason: str) -> Mail:
    """Tell that the longer period is taken, and why."""
    return _to_person(office, "extended", who, "Your request takes longer",
                      f"You asked us for {ASKED[request.kind]}. It takes longer than we wished. This is why:", reason,
                      f"You will have our answer by {_day(office, request.due)} at the latest.", COMPLAIN)  # fmt: skip


def lifted(office: Office, _: Request, who: Particulars) -> Mail:
    """Tell that a restriction ends (GDPR art. 18(3))."""
    return _to_person(office, "lifted", who, "Your data are used again",
                      "You asked us to store your data only, and not to use them. That has come to an end.", COMPLAIN)  # fmt: skip


# --- to the owner ----------------------------------------------------------------------------------------------------------


def to_review(office: Office, kind: str, id_: bytes) -> Mail:
    """Tell the owner that a request waits for them."""
    return _to_owner(office, "to_review", f"A data request waits for you: {NAMES[kind]}",
                     "Somebody has confirmed a data request that is for you to decide.", *_commands(id_))  # fmt: skip


def reminder(office: Office, kind: str, id_: bytes, *, due: int) -> Mail:
    """Remind the owner of a deadline."""
    return _to_owner(office, "reminder", f"A data request must be answered by {_day(office, due)}: {NAMES[kind]}",
                     "A data request is still open, and the law gives it a deadline.", *_commands(id_))  # fmt: skip


def trouble(office: Office, kind: str, id_: bytes, *, places: Sequence[str]) -> Mail:
    """Tell the owner what stands in the way of a request."""
    return _to_owner(office, "trouble", f"A data request could not be done: {NAMES[kind]}",
                     f"It is tried again by itself. What failed: {', '.join(places)}. See the app's log.", *_commands(id_))  # fmt: skip


def mind(office: Office, kind: str, id_: bytes, *, lifted: bool = False) -> Mail:
    """Tell the owner that somebody's data must not be used (any more), also where only the owner can see to it; or that this is over."""
    if lifted:
        return _to_owner(office, "mind", f"It is over: {NAMES[kind]}", "Somebody's data may be used again.", *_commands(id_))
    return _to_owner(
        office, "mind", f"Data that must not be used: {NAMES[kind]}",
        "Somebody's data may be stored only, and not be used. What was sent with forms is left out by this software from now on. "
        "Please see to it that what you keep elsewhere, such as lists and accounts, is not used either.", *_commands(id_),
    )  # fmt: skip


def sign_in(office: Office, link: str) -> Mail:
    """Send the owner a link to sign in."""
    return _to_owner(office, "sign_in", "Sign in", "Open this page, and press the button there. The link works once, within 15 minutes.",
                     Link(link), "If you did not ask for it, you need not do anything.")  # fmt: skip


def report(office: Office, span: str, figures: Sequence[str], panels: Sequence[tuple[str, Sequence[str]]]) -> Mail:
    """Send the owner the figures of a week or month."""
    lists = [f"{title} (visitors)\n" + "\n".join(lines) for title, lines in panels]
    page = office.page("owner/")
    return _to_owner(office, "report", f"Visits from {span}", "\n".join(figures), *lists,
                     *(["All figures:", Link(page)] if page else []))  # fmt: skip


def lost(office: Office, kind: str, id_: bytes | None) -> Mail:
    """Tell the owner that a person did not get a mail."""
    return _to_owner(office, "lost", "A mail about a data request could not be delivered",
                     f"A mail to a person ({kind}) was given up: the address does not take it, or none could be sent for too long. If the "
                     "request is still open, reach the person in another way.", *(_commands(id_) if id_ else ()))  # fmt: skip


def tell_recipients(office: Office, kind: str, who: Particulars, *, names: Sequence[str]) -> Mail:
    """Ask the owner to pass on a correction or erasure to those who got data (GDPR art. 19). Without the address they could not."""
    return _to_owner(office, "tell_recipients", f"Please pass on a data request: {NAMES[kind]}",
                     f"A data request ({NAMES[kind]}) of {who.email} is done here. If these got data of that person from you, they must be "
                     f"told (GDPR art. 19): {', '.join(names)}. The person was told that you do so. "
                     "Then please delete this mail.")  # fmt: skip


def _commands(id_: bytes) -> tuple[str, ...]:
    return (f"See what it is about with: privacy-middleware requests show {id_.hex()[:10]}",)


def _to_owner(office: Office, kind: str, subject: str, *paragraphs: str) -> Mail:
    return _write(kind, office.owner, f"{subject} ({office.site})", "en", paragraphs)


def _to_person(office: Office, kind: str, who: Particulars, subject: str, *paragraphs: str) -> Mail:
    page = office.page("")
    end = [f"{office.site}, privacy statement:", Link(page)] if page else [office.site]
    return _write(kind, who.email, f"{subject} ({office.site})", who.language, [*paragraphs, *end])


def _write(kind: str, to: str, subject: str, language: str, paragraphs: Sequence[str]) -> Mail:
    there = [paragraph for paragraph in paragraphs if paragraph]
    html = "".join(f'<p><a href="{escape(p)}">{escape(p)}</a></p>' if isinstance(p, Link) else f"<p>{_lines(p)}</p>" for p in there)
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(subject)}</title><body>{html}</body></html>'
    return Mail(kind, to, " ".join(subject.split()), "\n\n".join(there) + "\n", page, language)


def _lines(text: str) -> str:
    return "<br>".join(map(escape, text.splitlines()))


def _linked(words: str, link: str) -> tuple[str, ...]:
    return (words, Link(link)) if link else ()


def _day(office: Office, instant: int) -> str:
    day = datetime.fromtimestamp(instant / 1000, office.settings.zone)
    return f"{day.day} {day:%B %Y}"
