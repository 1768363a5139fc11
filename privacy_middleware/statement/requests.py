"""What the statement says of data requests: how to ask, how long an answer takes, and what is kept of a request."""

from __future__ import annotations

from typing import Final

from ..forms import AUDIT_DAYS
from ..settings import REQUEST_DAYS, Deadlines, Settings
from .section import Section, listed

_MONTHS: Final = "within one month; if it is difficult we may take up to two months more, and then tell you why within the first"
PERIODS: Final[dict[Deadlines, str]] = {
    "gdpr": _MONTHS,
    "uk": _MONTHS,
    "ccpa": "within 45 days; if it is difficult we may take up to 45 days more, and then tell you why within the first",
}
_OF_KIND: Final = {
    "overview": "overviews",
    "correction": "corrections",
    "erasure": "erasures",
    "restriction": "restrictions",
    "objection": "objections",
    "complaint": "questions and complaints",
}


def rights_paragraphs(settings: Settings) -> list[str]:
    """Return how people see, correct and erase what is held of them."""
    reviewed = [words for kind, words in _OF_KIND.items() if kind in settings.review or kind == "complaint"]
    paragraphs = [
        "You can ask which data we have about you, and get a copy of them to read and for programs; you can have them corrected, erased, "
        "or stored only; you can object to their use, and you can ask or complain. Use the page “Your data”: you need no account and give "
        "no reason. We write to your e-mail address first, so that nobody else can ask in your name.",
        f"You get an answer {PERIODS[settings.deadlines]}. {listed(reviewed).capitalize()} are looked at by one of us; the rest is done "
        "by itself.",
        "If you have your data erased, everything that is kept under your address is deleted, and its key destroyed. What the law makes us "
        "keep is named to you with the reason. Those who got data from us are told.",
    ]
    if settings.erasure_delay:
        paragraphs.append(f"An erasure can be called off for {settings.erasure_delay} hours; then it is done.")
    paragraphs.append("You can also complain to the data protection authority of your country, and go to court.")
    return paragraphs


def request_section() -> Section:
    """Return what is kept of a data request."""
    return Section(
        "requests",
        "What we keep of a data request",
        (
            "Because the law makes us answer your request (GDPR art. 6(1)(c)), we keep your e-mail address, what you write, the language "
            "of your browser, kind, state and dates of the request, and which version of this statement was in force. Address, text and "
            "language are encrypted under a key of that request alone; a keyed checksum of the address says which requests belong "
            "together.",
            "If you do not confirm a request within 24 hours after our mail, address, text and language are deleted; if we never manage to "
            "write to you, when the time for an answer is over. Otherwise they are kept for "
            f"{REQUEST_DAYS} days after our answer, as a proof of it. After an erasure nothing remains of your address but that keyed "
            "checksum, from which nobody can read it: with it we erase again what an old backup might bring back.",
            "A request to store your data only, or an objection, is kept for as long as it holds.",
            "Mails to you wait encrypted until they are sent, for a week at most.",
            f"It is noted who decided, opened or changed what and when, with the checksum; that note is kept for {AUDIT_DAYS} days.",
            "So that nobody's mailbox is flooded, we count for a day how many requests come for one address and from one network, under "
            "keyed checksums of the address and of the shortened network address.",
        ),
    )
