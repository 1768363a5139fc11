"""The catalogue of mails: every text that is sent, in one place. Before a person has proven who they are, none holds a word of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from ..language import N_, Language
from ..mail import Mail
from ..sources import Erased, Kept

if TYPE_CHECKING:
    from .office import Office
    from .requests import Particulars, Request


class Addressee(Protocol):
    """Somebody who is written to, in a language."""

    @property
    def email(self) -> str:
        """Their address."""

    @property
    def language(self) -> str:
        """Its code."""


class Reader(NamedTuple):
    """Somebody who is written to, and has made no request."""

    email: str
    language: str

    def __repr__(self) -> str:
        """Without the address: it may end up in a log or a traceback."""
        return "Reader()"


NAMES: Final = {
    "overview": N_("overview"),
    "correction": N_("correction"),
    "erasure": N_("erasure"),
    "restriction": N_("restriction"),
    "objection": N_("objection"),
    "complaint": N_("question or complaint"),
}
_SOMEBODY_ASKED: Final = {
    "overview": N_("Somebody, we hope you, asked us for an overview of your data at %(site)s, and gave this e-mail address."),
    "correction": N_("Somebody, we hope you, asked us for a correction of your data at %(site)s, and gave this e-mail address."),
    "erasure": N_("Somebody, we hope you, asked us for the erasure of your data at %(site)s, and gave this e-mail address."),
    "restriction": N_(
        "Somebody, we hope you, asked us for that your data are only stored and not used at %(site)s, and gave this e-mail address."
    ),
    "objection": N_("Somebody, we hope you, asked us for that your data are not used any more at %(site)s, and gave this e-mail address."),
    "complaint": N_("Somebody, we hope you, asked us for an answer to your question at %(site)s, and gave this e-mail address."),
}
YOU_ASKED: Final = {
    "overview": N_("You asked us for an overview of your data."),
    "correction": N_("You asked us for a correction of your data."),
    "erasure": N_("You asked us for the erasure of your data."),
    "restriction": N_("You asked us to store your data only, and not to use them."),
    "objection": N_("You asked us not to use your data any more."),
    "complaint": N_("You asked us a question, or complained."),
}
_SUBJECTS: Final = {
    "overview": N_("Your overview"),
    "correction": N_("Your correction"),
    "erasure": N_("Your erasure"),
    "restriction": N_("Your restriction"),
    "objection": N_("Your objection"),
    "complaint": N_("Your question or complaint"),
}
COMPLAIN: Final = N_(
    "If you do not agree, you can complain to the data protection authority of your country, and you can go to court. "
    "In the European Union the authorities are listed at https://www.edpb.europa.eu/about-edpb/about-edpb/members_en"
)


NOTICES: Final = {
    "erasure": N_("their data are to be erased"),
    "correction": N_("their data were corrected"),
    "withdrawal": N_("they withdrew their consent"),
    "restriction": N_("their data may only be stored"),
    "end of restriction": N_("their data may be used again"),
}
TO_PERSON: Final = (
    N_("confirm"), N_("received"), N_("ready"), N_("fulfilled"), N_("receipt"), N_("refused"), N_("extended"), N_("lifted"),
    N_("answer"), N_("sign_up"), N_("already"),
)  # fmt: skip
"""The kinds of mail that go to people; the others go to the owner."""
ONLY_LINKS: Final = ("confirm", "sign_up", "already")
"""Those of them that nobody misses who did not ask for them: of these the owner is not told if they are lost."""


class Link(str):
    """A paragraph that is a link."""

    __slots__ = ()


def confirm(office: Office, kind: str, who: Particulars, link: str) -> Mail:
    """Ask for the proof that an address is somebody's."""
    _ = _of(office, who)
    return _to_person(
        office,
        "confirm",
        who,
        _("Please confirm your request"),
        _(_SOMEBODY_ASKED[kind], site=_.own(office.site)),
        _("If it was you, please open this page and press the button there. The link holds for 24 hours."),
        Link(link),
        _("If it was not you, you need not do anything: without the button nothing happens."),
    )


def received(office: Office, request: Request, who: Particulars, link: str) -> Mail:
    """Tell that a proven request is being worked on, by when, and how to call it off."""
    _ = _of(office, who)
    by = _("You will have an answer by %(day)s at the latest.", day=_day(office, _, request.due))
    if request.kind == "erasure" and request.acts is not None:
        by = _("We erase your data on %(day)s. Until then you can call it off.", day=_day(office, _, request.acts))
    return _to_person(
        office, "received", who, _("We have received your request"),
        _(YOU_ASKED[request.kind]), _("You confirmed it. Thank you."), by,
        *_linked(_("On this page you can see how it stands, and call it off:"), link),
    )  # fmt: skip


def ready(office: Office, request: Request, who: Particulars, link: str) -> Mail:
    """Tell where an overview, or the data to correct, can be seen."""
    _ = _of(office, who)
    text = {
        "overview": _("Your overview is ready. You can look at it, and download it three times. The link holds for 72 hours."),
        "correction": _("Here you can see your data and change what is wrong. The link holds for 72 hours."),
    }[request.kind]
    return _to_person(office, "ready", who, _(_SUBJECTS[request.kind]), who.answer, text, Link(link),
                      _("Whoever has this link can see your data: please do not pass it on."))  # fmt: skip


def fulfilled(office: Office, request: Request, who: Particulars, *, told: Sequence[str] = ()) -> Mail:
    """Tell that a request is done; with the owner's words, if there are any."""
    _ = _of(office, who)
    text = {
        "correction": _("We have corrected your data as you asked."),
        "restriction": _("From now on we only store your data, and do not use them. We tell you when that ends."),
        "objection": _(
            "From now on we do not use your data any more; we only store them until their time is over, or you have them erased."
        ),
        "complaint": _("Thank you for writing to us."),
    }[request.kind]
    subject = {
        "correction": _("Your data are corrected"),
        "restriction": _("Your data are only stored from now on"),
        "objection": _("Your data are not used any more"),
        "complaint": _("Our answer"),
    }[request.kind]
    return _to_person(office, "fulfilled", who, subject, text, who.answer, _told(_, told))


def receipt(office: Office, who: Particulars, *, submissions: int, outcomes: Mapping[str, Erased | Kept], told: Sequence[str]) -> Mail:
    """Tell that everything is erased, and what is not, with the reason."""
    _ = _of(office, who)
    amounts = {_("What you sent us"): submissions}
    amounts |= {_.own(name): one.amount for name, one in outcomes.items() if isinstance(one, Erased)}
    gone = "; ".join(f"{name}: {amount}" for name, amount in amounts.items() if amount)
    reasons = [f"{_.own(name)}: {_.own(one.reason)}" for name, one in outcomes.items() if isinstance(one, Kept)]
    return _to_person(
        office, "receipt", who, _("Your data are erased"),
        _("Your data are erased, as you asked."),
        who.answer,
        _("This is gone: %(list)s.", list=gone) if gone else _("We had nothing that was kept under your address."),
        *([_("This must be kept, and so it was not erased:"), *reasons] if reasons else []),
        _told(_, told),
        _("A coded mark remains, from which nobody can read your address. With it we erase again what an old backup might bring back."),
        _("Once this mail is sent, your address stands only in what must be kept.")
        if reasons else _("Once this mail is sent, we do not have your address any more."),
    )  # fmt: skip


def refused(office: Office, request: Request, who: Particulars, reason: str) -> Mail:
    """Refuse, with the reason and where to complain (GDPR art. 12(4))."""
    _ = _of(office, who)
    return _to_person(office, "refused", who, _(_SUBJECTS[request.kind]),
                      _(YOU_ASKED[request.kind]), _("We cannot do it. This is why:"), reason, _(COMPLAIN))  # fmt: skip


def extended(office: Office, request: Request, who: Particulars, reason: str) -> Mail:
    """Tell that the longer period is taken, and why."""
    _ = _of(office, who)
    return _to_person(
        office, "extended", who, _("Your request takes longer"),
        _(YOU_ASKED[request.kind]), _("It takes longer than we wished. This is why:"), reason,
        _("You will have our answer by %(day)s at the latest.", day=_day(office, _, request.due)), _(COMPLAIN),
    )  # fmt: skip


def lifted(office: Office, __: Request, who: Particulars) -> Mail:
    """Tell that a restriction ends (GDPR art. 18(3))."""
    _ = _of(office, who)
    return _to_person(office, "lifted", who, _("Your data are used again"),
                      _("You asked us to store your data only, and not to use them. That has come to an end."), _(COMPLAIN))  # fmt: skip


def answer(office: Office, who: Addressee, text: str) -> Mail:
    """Send the owner's answer to a question."""
    _ = _of(office, who)
    on = _("If you would like to go on with this, reply to this mail.") if office.owner else ""
    mail = _to_person(office, "answer", who, _("Our answer"), text, on)
    return msgspec.structs.replace(mail, headers={"Reply-To": office.owner} if office.owner else {}, automatic=False)


def sign_up(office: Office, who: Addressee, link: str) -> Mail:
    """Ask somebody whether it was them who asked for the newsletter."""
    _ = _of(office, who)
    return _to_person(
        office,
        "sign_up",
        who,
        _("Please confirm: our newsletter"),
        _("Somebody, we hope you, asked for our newsletter at %(site)s, and gave this e-mail address.", site=_.own(office.site)),
        _("If it was you, please open this page and press the button there. The link holds for seven days."),
        Link(link),
        _("If it was not you, you need not do anything: without the button you get no newsletter, and we delete your address."),
    )


def already(office: Office, who: Addressee, link: str) -> Mail:
    """Tell somebody who asks for the newsletter again that they get it already."""
    _ = _of(office, who)
    return _to_person(
        office,
        "already",
        who,
        _("You get our newsletter already"),
        _("Somebody, we hope you, asked for our newsletter at %(site)s, and gave this e-mail address.", site=_.own(office.site)),
        _("You get it already, and need not do anything. On this page you can stop it:"),
        Link(link),
    )


def issue(office: Office, who: Addressee, link: str, *, subject: str, text: str, html: str) -> Mail:
    """Write a newsletter to one person; `text` is Markdown, `html` the same rendered. The link stops it (RFC 2369, RFC 8058)."""
    _ = _of(office, who)
    why = _("You get this because you asked for the newsletter of %(site)s. On this page you can stop it:", site=_.own(office.site))
    end = [why, Link(link), *_about_data(office, _)]
    plain = "\n\n".join((text.strip(), "-- ", *end)) + "\n"
    page = _page(_.code, subject, f"{html}<hr>{_html(end)}")
    headers = {"List-Unsubscribe": f"<{link}>", "Precedence": "bulk"}
    if link.startswith("https:"):
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return Mail("issue", who.email, " ".join(subject.split()), plain, page, _.code, headers=headers)


def _told(_: Language, names: Sequence[str]) -> str:
    return _("We also tell those who got data from us: %(names)s.", names=", ".join(map(_.own, names))) if names else ""


# --- to the owner ----------------------------------------------------------------------------------------------------------


def to_review(office: Office, kind: str, id_: bytes) -> Mail:
    """Tell the owner that a request waits for them."""
    _ = _of_owner(office)
    return _to_owner(
        office,
        "to_review",
        _("A data request waits for you: %(kind)s", kind=_(NAMES[kind])),
        _("Somebody has confirmed a data request that is for you to decide."),
        *_commands(_, id_),
    )


def reminder(office: Office, kind: str, id_: bytes, *, due: int) -> Mail:
    """Remind the owner of a deadline."""
    _ = _of_owner(office)
    return _to_owner(
        office,
        "reminder",
        _("A data request must be answered by %(day)s: %(kind)s", day=_day(office, _, due), kind=_(NAMES[kind])),
        _("A data request is still open, and the law gives it a deadline."),
        *_commands(_, id_),
    )


def trouble(office: Office, kind: str, id_: bytes, *, places: Sequence[str]) -> Mail:
    """Tell the owner what stands in the way of a request."""
    _ = _of_owner(office)
    return _to_owner(
        office,
        "trouble",
        _("A data request could not be done: %(kind)s", kind=_(NAMES[kind])),
        _("It is tried again by itself. What failed: %(places)s. See the app's log.", places=", ".join(places)),
        *_commands(_, id_),
    )


def mind(office: Office, kind: str, id_: bytes, *, lifted: bool = False) -> Mail:
    """Tell the owner that somebody's data must not be used (any more), also where only the owner can see to it; or that this is over."""
    _ = _of_owner(office)
    if lifted:
        return _to_owner(
            office, "mind", _("It is over: %(kind)s", kind=_(NAMES[kind])), _("Somebody's data may be used again."), *_commands(_, id_)
        )
    return _to_owner(
        office,
        "mind",
        _("Data that must not be used: %(kind)s", kind=_(NAMES[kind])),
        _(
            "Somebody's data may be stored only, and not be used. What was sent with forms is left out by this software from now on. "
            "Please see to it that what you keep elsewhere, such as lists and accounts, is not used either."
        ),
        *_commands(_, id_),
    )


def sign_in(office: Office, link: str) -> Mail:
    """Send the owner a link to sign in."""
    _ = _of_owner(office)
    return _to_owner(
        office,
        "sign_in",
        _("Sign in"),
        _("Open this page, and press the button there. The link works once, within 15 minutes."),
        Link(link),
        _("If you did not ask for it, you need not do anything."),
    )


def report(office: Office, span: str, figures: Sequence[str], panels: Sequence[tuple[str, Sequence[str]]]) -> Mail:
    """Send the owner the figures of a week or month."""
    _ = _of_owner(office)
    lists = [_("%(title)s (visitors)", title=title) + "\n" + "\n".join(lines) for title, lines in panels]
    page = office.page("owner/")
    return _to_owner(
        office,
        "report",
        _("Visits from %(span)s", span=span),
        "\n".join(figures),
        *lists,
        *([_("All figures:"), Link(page)] if page else []),
    )


def lost(office: Office, kind: str, id_: bytes | None) -> Mail:
    """Tell the owner that a person did not get a mail."""
    _ = _of_owner(office)
    return _to_owner(
        office,
        "lost",
        _("A mail about a data request could not be delivered"),
        _(
            "A mail to a person (%(kind)s) was given up: the address does not take it, or none could be sent for too long. If the "
            "request is still open, reach the person in another way.",
            kind=_.own(kind),
        ),
        *(_commands(_, id_) if id_ else ()),
    )


def pass_on(office: Office, recipient: str, kind: str, id_: bytes, *, entry: str) -> Mail:
    """Ask the owner to tell a recipient without a webhook (GDPR art. 19); the mail names the entry, and nobody."""
    _ = _of_owner(office)
    return _to_owner(
        office,
        "pass_on",
        _("Please tell %(name)s: %(kind)s", name=_.own(recipient), kind=_(NOTICES[kind])),
        _(
            "%(name)s got data of somebody from you, under the entry %(entry)s. It must be told now: %(kind)s (GDPR art. 19).",
            name=_.own(recipient),
            entry=entry,
            kind=_(NOTICES[kind]),
        ),
        *_notice_commands(_, id_),
    )


def not_told(office: Office, recipient: str, kind: str, id_: bytes, *, fault: str) -> Mail:
    """Tell the owner that a recipient's webhook does not take a notice."""
    _ = _of_owner(office)
    return _to_owner(
        office,
        "not_told",
        _("%(name)s could not be told: %(kind)s", name=_.own(recipient), kind=_(NOTICES[kind])),
        _("It is tried again by itself. What failed: %(places)s. See the app's log.", places=fault),
        *_notice_commands(_, id_),
    )


def _notice_commands(_: Language, id_: bytes) -> tuple[str, ...]:
    number = id_.hex()[:10]
    return (
        _("See what it is about with: %(command)s", command=f"privacy-middleware recipients show {number}"),
        _("When they know, note it with: %(command)s", command=f'privacy-middleware recipients received {number} --proof "…"'),
    )


def tell_recipients(office: Office, kind: str, who: Particulars, *, names: Sequence[str]) -> Mail:
    """Ask the owner to pass on a correction or erasure to those who got data (GDPR art. 19). Without the address they could not."""
    _ = _of_owner(office)
    return _to_owner(
        office,
        "tell_recipients",
        _("Please pass on a data request: %(kind)s", kind=_(NAMES[kind])),
        _(
            "A data request (%(kind)s) of %(email)s is done here. If these got data of that person from you, they must be "
            "told (GDPR art. 19): %(names)s. The person was told that you do so. Then please delete this mail.",
            kind=_(NAMES[kind]),
            email=who.email,
            names=", ".join(map(_.own, names)),
        ),
    )


def _commands(_: Language, id_: bytes) -> tuple[str, ...]:
    return (_("See what it is about with: %(command)s", command=f"privacy-middleware requests show {id_.hex()[:10]}"),)


def _to_owner(office: Office, kind: str, subject: str, *paragraphs: str) -> Mail:
    _ = _of_owner(office)
    return _write(kind, office.owner, f"{subject} ({_.own(office.site)})", _.code, paragraphs)


def _to_person(office: Office, kind: str, who: Addressee, subject: str, *paragraphs: str) -> Mail:
    _ = _of(office, who)
    return _write(kind, who.email, f"{subject} ({_.own(office.site)})", _.code, [*paragraphs, *_about_data(office, _)])


def _about_data(office: Office, _: Language) -> list[str]:
    """The end of every mail to a person: whose it is, and where to see what is held of them."""
    page = office.page("requests/")
    return (
        [_("%(site)s. See, correct or erase what we have of you:", site=_.own(office.site)), Link(page)] if page else [_.own(office.site)]
    )


def _of(office: Office, who: Addressee) -> Language:
    """The language of a person is that of their request."""
    return office.languages.get(who.language)


def _of_owner(office: Office) -> Language:
    return office.languages.get(office.settings.language)


def _write(kind: str, to: str, subject: str, language: str, paragraphs: Sequence[str]) -> Mail:
    there = [paragraph for paragraph in paragraphs if paragraph]
    return Mail(kind, to, " ".join(subject.split()), "\n\n".join(there) + "\n", _page(language, subject, _html(there)), language)


def _html(paragraphs: Sequence[str]) -> str:
    return "".join(f'<p><a href="{escape(p)}">{escape(p)}</a></p>' if isinstance(p, Link) else f"<p>{_lines(p)}</p>" for p in paragraphs)


def _page(language: str, subject: str, html: str) -> str:
    return (
        f'<!doctype html><html lang="{escape(language)}"><meta charset="utf-8"><title>{escape(subject)}</title><body>{html}</body></html>'
    )


def _lines(text: str) -> str:
    return "<br>".join(map(escape, text.splitlines()))


def _linked(words: str, link: str) -> tuple[str, ...]:
    return (words, Link(link)) if link else ()


def _day(office: Office, _: Language, instant: int) -> str:
    return _.day(datetime.fromtimestamp(instant / 1000, office.settings.zone).date())
