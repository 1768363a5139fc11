"""Rules of data protection law that settings, declaration and database can be held against: for `check`, the start, and the owner's page.

Each rule names its source and the remedy. They cannot say that a site is lawful; they say what surely is not in order.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final, Literal, NamedTuple

from .collect.choice import LIFETIME_DAYS
from .language import Language, english
from .privacy import Privacy
from .rights.outbox import LIFE
from .settings import FEWEST_PUBLIC
from .statement.authorities import ADEQUATE, AUTHORITIES, EEA
from .statement.section import in_days
from .store import queries
from .store.base import Store

logger = logging.getLogger("privacy_middleware")

Profile = Literal["gdpr", "cnil", "uk", "ccpa"]
PROFILES: Final[tuple[Profile, ...]] = ("gdpr", "cnil", "uk", "ccpa")
EUROPEAN: Final = ("gdpr", "cnil", "uk")
LONGEST_VISITS_DAYS: Final = 760
"""25 months."""
LONGEST_COOKIE_DAYS: Final = 395
"""13 months."""
CNIL: Final = "CNIL, deliberation 2020-091, art. 5"
HTTPS_SEEN: Final = "https"
LINKED: Final = "linked"
"""Marks of the day on which one of our pages was last asked for by https, and by a link on the website's own pages."""
LATE_MAIL: Final = 86_400_000


class Check(NamedTuple):
    """What one rule says of this website."""

    name: str
    source: str
    passed: bool
    found: str
    remedy: str


Rule = Callable[[Language, Privacy, Store | None, Profile], Iterator[Check]]


def check(_: Language, privacy: Privacy, store: Store | None, profile: Profile) -> list[Check]:
    """Hold everything against the rules of a profile; without a store, only what settings and declaration say."""
    return [found for rule in RULES for found in rule(_, privacy, store, profile)]


def failures(_: Language, privacy: Privacy, store: Store | None, profile: Profile) -> list[str]:
    """Return what fails, as sentences with the remedy."""
    return [f"{one.name}: {one.found}; {one.remedy} ({one.source})" for one in check(_, privacy, store, profile) if not one.passed]


def warn(privacy: Privacy, store: Store) -> None:
    """Say in the log, in one line for each, which rules of PRIVACY_PROFILE are not kept."""
    profile = next((one for one in PROFILES if one == privacy.settings.profile), None)
    for failure in failures(english(), privacy, store, profile) if profile else ():
        logger.warning("not in order: %s", failure)


def _address(_: Language, privacy: Privacy, __: Store | None, profile: Profile) -> Iterator[Check]:
    kept = privacy.facts.address
    words = {"none": _("not kept"), "truncated": _("shortened (3 of 4 bytes, 6 of 16 of IPv6)"), "full": _("kept in full")}
    source = CNIL if profile == "cnil" else "GDPR art. 5(1)(c)" if profile in EUROPEAN else "CCPA § 1798.100(c)"
    passed = kept == "none" if profile == "cnil" else kept != "full"
    yield Check(_("Network address"), source, passed, words[kept], _("set PRIVACY_IP=none"))


def _retention(_: Language, privacy: Privacy, __: Store | None, profile: Profile) -> Iterator[Check]:
    days = privacy.settings.retention_days
    source = CNIL if profile == "cnil" else "GDPR art. 5(1)(e)" if profile in EUROPEAN else "CCPA § 1798.100(a)(3)"
    remedy = _("set PRIVACY_RETENTION_DAYS to %(days)s or less (25 months)", days=LONGEST_VISITS_DAYS)
    yield Check(_("Retention of visits"), source, days <= LONGEST_VISITS_DAYS, in_days(_, days), remedy)


def _cookie(_: Language, __: Privacy, ___: Store | None, profile: Profile) -> Iterator[Check]:
    if profile in EUROPEAN:
        found = _("%(days)s, not renewed", days=in_days(_, LIFETIME_DAYS))
        yield Check(_("Life of the choice's cookie"), CNIL, LIFETIME_DAYS <= LONGEST_COOKIE_DAYS, found, _("nothing to do"))


def _campaign(_: Language, privacy: Privacy, __: Store | None, profile: Profile) -> Iterator[Check]:
    if profile == "cnil":
        kept = "campaign" in privacy.facts.items
        found = _("names of campaigns are kept") if kept else _("not kept")
        yield Check(_("Campaigns"), CNIL, not kept, found, _("set PRIVACY_PROFILE=cnil, or leave 'campaign' out of visits.items"))


def _refusal(_: Language, privacy: Privacy, store: Store | None, profile: Profile) -> Iterator[Check]:
    source = {"ccpa": "CCPA Regulations § 7025", "cnil": CNIL}.get(profile, "GDPR art. 21(5)")
    honoured = privacy.settings.signals["gpc"]
    found = _("taken as a refusal") if honoured else _("ignored")
    yield Check(_("Global Privacy Control"), source, honoured, found, _("take gpc=ignore out of PRIVACY_SIGNALS"))
    if store is not None:
        seen = store.mark(LINKED) is not None
        found = _("people come to it by a link on your pages") if seen else _("nobody came to it by a link on your pages yet")
        remedy = _("put the links of request.scope['privacy'].footer on your pages, and follow one")
        yield Check(_("Refusal offered and linked"), "GDPR art. 12(1), 21(4)", seen, found, remedy)


def _reachable(_: Language, privacy: Privacy, store: Store | None, __: Profile) -> Iterator[Check]:
    base = privacy.settings.base_url
    found = base or _("not set")
    yield Check(_("Public address"), "GDPR art. 12(2)", bool(base), found, _("set PRIVACY_BASE_URL: links in mails are made of it"))
    can_send = privacy.office.send is not None
    found = _("a mail server is set") if can_send else _("no mail can be sent")
    yield Check(
        _("Mail"),
        "GDPR art. 12(3)",
        can_send,
        found,
        _("unless your code gives send_mail, set PRIVACY_SMTP_URL, so that data requests can be confirmed"),
    )
    if store is not None and store.has_table("mail"):
        late = store.rows(queries.LATE_MAILS, expires=int(time.time() * 1000) + LIFE - LATE_MAIL)[0]["late"]
        found = (
            _.plural("%(number)s mail waits for more than a day", "%(number)s mails wait for more than a day", late)
            if late
            else _("none waits")
        )
        yield Check(_("Mails that wait"), "GDPR art. 12(3)", not late, found, _("see the app's log, and `privacy-middleware mails list`"))


def _https(_: Language, privacy: Privacy, store: Store | None, __: Profile) -> Iterator[Check]:
    base = privacy.settings.base_url
    remedy = _("serve the website by https, and write PRIVACY_BASE_URL so")
    yield Check(_("HTTPS declared"), "GDPR art. 32(1)(a)", base.startswith("https://"), base or _("not set"), remedy)
    if store is not None:
        seen = store.mark(HTTPS_SEEN) is not None
        found = _("seen") if seen else _("no browser came by https to the privacy pages yet")
        remedy = _("open the privacy pages by https; if this stays, your proxy does not say so")
        yield Check(_("HTTPS seen"), "GDPR art. 32(1)(a)", seen, found, remedy)


def _contact(_: Language, privacy: Privacy, __: Store | None, profile: Profile) -> Iterator[Check]:
    who = privacy.facts.controller
    lacking = [name for name in ("name", "address", "email") if not getattr(who, name)]
    source = "CCPA § 1798.130" if profile == "ccpa" else "GDPR art. 13(1)(a)"
    found = _("lacks: %(names)s", names=", ".join(lacking)) if lacking else _("complete")
    yield Check(_("Contact"), source, not lacking, found, _("fill in [controller] in privacy.toml"))
    if profile in EUROPEAN:
        known = who.country in AUTHORITIES
        found = AUTHORITIES[who.country].name if known else _("not known")
        remedy = _("set controller.country in privacy.toml to its code, like DK")
        yield Check(_("Where to complain"), "GDPR art. 13(2)(d)", known, found, remedy)


def _recipients(_: Language, privacy: Privacy, __: Store | None, profile: Profile) -> Iterator[Check]:
    for one in privacy.facts.recipients:
        name = _("Recipient %(name)s", name=one.name)
        source = "CCPA § 1798.100(d)" if profile == "ccpa" else "GDPR art. 28(3)(b)"
        if one.undertaking is None:
            found = one.confidentiality or _("no undertaking of confidentiality is declared")
            yield Check(name, source, bool(one.confidentiality), found, _("declare recipients.undertaking: its reference, and its date"))
        else:
            ends, today = one.undertaking.expires, datetime.now(privacy.settings.zone).date()
            found = one.undertaking.reference
            if ends is not None:
                found = _("%(reference)s, until %(day)s", reference=found, day=_.day(ends))
            yield Check(name, source, ends is None or ends >= today, found, _("renew the undertaking of confidentiality"))
        if profile in EUROPEAN:
            is_code = bool(re.fullmatch("[A-Z]{2}", one.country))
            safe = is_code and (one.country in EEA or one.country in ADEQUATE or bool(one.safeguard))
            found = one.safeguard or (_.country(one.country) if is_code else one.country)
            remedy = (
                _("declare recipients.safeguard: what protects the data in that country")
                if is_code
                else _("write recipients.country as a code, like US")
            )
            yield Check(_("Recipient %(name)s, country", name=one.name), "GDPR art. 44 to 49", safe, found, remedy)


def _purposes(_: Language, privacy: Privacy, __: Store | None, profile: Profile) -> Iterator[Check]:
    if profile not in EUROPEAN:
        return
    for purpose in privacy.facts.purposes:
        named = bool(re.search(r"art(icle|\.)?\s*6", purpose.legal_basis, re.IGNORECASE))
        name = _("Legal basis of “%(name)s”", name=_.own(purpose.name))
        yield Check(name, "GDPR art. 13(1)(c)", named, _.own(purpose.legal_basis), _("name the article, like GDPR art. 6(1)(f)"))
    for form in privacy.facts.forms:
        if form.purpose in ("newsletter", "personalised content"):
            basis = form.legal_basis or privacy.facts.purposes_by_name[form.purpose].legal_basis
            remedy = _("such mails and contents need a consent: name it as the legal basis")
            name = _("Form “%(form)s”", form=form.title or form.name)
            yield Check(name, "ePrivacy Directive art. 13(1)", "consent" in basis.lower() or "6(1)(a)" in basis, _.own(basis), remedy)


def _deadlines(_: Language, privacy: Privacy, __: Store | None, profile: Profile) -> Iterator[Check]:
    law = privacy.settings.deadlines
    wanted = ("ccpa",) if profile == "ccpa" else ("uk",) if profile == "uk" else ("gdpr",)
    source = {"ccpa": "CCPA § 1798.130(a)(2)", "uk": "UK GDPR art. 12(3)"}.get(profile, "GDPR art. 12(3)")
    passed = law in wanted or (profile != "ccpa" and law in ("gdpr", "uk"))
    yield Check(_("Deadlines"), source, passed, law, _("set PRIVACY_DEADLINES=%(law)s", law=wanted[0]))


def _figures(_: Language, privacy: Privacy, __: Store | None, profile: Profile) -> Iterator[Check]:
    fewest = privacy.settings.suppress_below
    source = CNIL if profile == "cnil" else "GDPR recital 26" if profile in EUROPEAN else "CCPA § 1798.140(m)"
    yield Check(
        _("Fewest visitors that a figure shows"), source, fewest >= 3, _.number(fewest), _("set PRIVACY_SUPPRESS_BELOW to 3 or more")
    )
    if privacy.settings.publish:
        found = _.number(FEWEST_PUBLIC)
        yield Check(_("Fewest visitors in public figures"), source, FEWEST_PUBLIC >= 10, found, _("nothing to do"))


def _keys(_: Language, privacy: Privacy, __: Store | None, ___: Profile) -> Iterator[Check]:
    if privacy.facts.forms:
        given = bool(privacy.settings.secret_keys)
        found = _("given by you") if given else _("made by the software, in a file beside the database")
        remedy = _("set PRIVACY_SECRET_KEYS or PRIVACY_SECRET_KEYS_FILE, and keep it apart from backups of the database")
        yield Check(_("Secret key"), "GDPR art. 32(1)(a)", given, found, remedy)


RULES: Final[tuple[Rule, ...]] = (
    _address, _retention, _cookie, _campaign, _refusal, _reachable, _https, _contact, _recipients, _purposes, _deadlines, _figures, _keys,
)  # fmt: skip
