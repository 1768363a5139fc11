"""What the statement says of data requests: how to ask, how long an answer takes, and what is kept of a request."""

from __future__ import annotations

from typing import Final

from ..forms import AUDIT_DAYS
from ..language import N_, Language
from ..settings import REQUEST_DAYS, Deadlines
from .facts import Facts
from .section import Section, in_days

_MONTHS: Final = N_(
    "You get an answer within one month; if it is difficult we may take up to two months more, and then tell you why within the first."
)
PERIODS: Final[dict[Deadlines, str]] = {
    "gdpr": _MONTHS,
    "uk": _MONTHS,
    "ccpa": N_(
        "You get an answer within 45 days; if it is difficult we may take up to 45 days more, and then tell you why within the first."
    ),
}
_OF_KIND: Final = {
    "overview": N_("overviews"),
    "correction": N_("corrections"),
    "erasure": N_("erasures"),
    "restriction": N_("restrictions"),
    "objection": N_("objections"),
    "complaint": N_("questions and complaints"),
}


def reviewed(_: Language, facts: Facts) -> str:
    """List the kinds of request that somebody looks at."""
    return _.listed(_.own(words) for kind, words in _OF_KIND.items() if kind in facts.review or kind == "complaint")


def rights_paragraphs(_: Language, facts: Facts) -> list[str]:
    """Return how people see, correct and erase what is held of them."""
    paragraphs = [
        _(
            "You can ask which data we have about you, and get a copy of them to read and for programs; you can have them "
            "corrected, erased, "
            "or stored only; you can object to their use, and you can ask or complain. Use the page “Your data”: you need no "
            "account and give "
            "no reason. If you are signed in to this website, that says who you are; otherwise we write to your e-mail address first, so "
            "that nobody else can ask in your name."
        )
        if facts.accounts
        else _(
            "You can ask which data we have about you, and get a copy of them to read and for programs; you can have them "
            "corrected, erased, "
            "or stored only; you can object to their use, and you can ask or complain. Use the page “Your data”: you need no "
            "account and give "
            "no reason. We write to your e-mail address first, so that nobody else can ask in your name."
        ),
        _.own(PERIODS[facts.deadlines]),
        _("One of us looks at these: %(kinds)s. The rest is done by itself.", kinds=reviewed(_, facts)),
        _(
            "If you have your data erased, everything that is kept under your address is deleted, and its key destroyed. What the "
            "law makes us "
            "keep is named to you with the reason. Those who got data from us are told."
        ),
    ]
    if facts.sources:
        paragraphs.append(_("This covers also: %(sources)s.", sources=_.listed(map(_.own, facts.sources))))
    if facts.erasure_delay:
        paragraphs.append(
            _.plural(
                "An erasure can be called off for one hour; then it is done.",
                "An erasure can be called off for %(number)s hours; then it is done.",
                facts.erasure_delay,
            )
        )
    return paragraphs


def request_section(_: Language, facts: Facts) -> Section:
    """Return what is kept of a data request."""
    exported = _("What these give us for an overview waits encrypted for 72 hours at most: %(sources)s.",
                 sources=_.listed(map(_.own, facts.sources)))  # fmt: skip
    return Section(
        "requests",
        _("What we keep of a data request"),
        (
            _(
                "Because the law makes us answer your request (GDPR art. 6(1)(c)), we keep your e-mail address, what you write, what "
                "we answer, the language of your browser, kind, state and dates of the request, and which version of this statement was in "
                "force. Address, texts and language are encrypted under a key of that request alone; a keyed checksum of the address says "
                "which requests belong together."
            ),
            _(
                "If you do not confirm a request within 24 hours after our mail, address, text and language are deleted; if we never "
                "manage to "
                "write to you, when the time for an answer is over. Otherwise they are kept for %(days)s after our answer, as a proof "
                "of it. "
                "After an erasure nothing remains of your address but that keyed checksum, from which nobody can read it: with it we erase "
                "again what an old backup might bring back.",
                days=in_days(_, REQUEST_DAYS),
            ),
            *((exported,) if facts.sources else ()),
            _("A request to store your data only, or an objection, is kept for as long as it holds."),
            _("Mails to you wait encrypted until they are sent, for a week at most."),
            _(
                "It is noted who decided, opened or changed what and when, with the checksum; that note is kept for %(days)s.",
                days=in_days(_, AUDIT_DAYS),
            ),
            _(
                "So that nobody's mailbox is flooded, we count for a day how many requests come for one address and from one network, "
                "under "
                "keyed checksums of the address and of the shortened network address."
            ),
        ),
    )
