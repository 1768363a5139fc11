"""Facts in, the privacy statement's sections out, in the language of the reader: every sentence follows from what the code does."""

from __future__ import annotations

from typing import Final

from ..collect.choice import COOKIE, LIFETIME_DAYS, PREFERENCES, SECURE_COOKIE, SECURE_PREFERENCES
from ..declaration import VISIT_ITEMS, Recipient
from ..forms import AUDIT_DAYS, PERSONALISED
from ..language import N_, Language
from ..settings import FEWEST_PUBLIC
from .authorities import ALL, AUTHORITIES
from .facts import Facts
from .forms import form_sections, protection_points, refusal_points, title
from .own_words import add_own_words
from .requests import request_section, rights_paragraphs
from .section import Section, in_days

MONTH_DAYS: Final = 30
SIGNALS: Final = {"gpc": "Global Privacy Control (Sec-GPC: 1)", "dnt": "Do Not Track (DNT: 1)"}
FULL_ADDRESS: Final = (N_("Your network address, in full"), "192.0.2.44")


def write_statement(_: Language, facts: Facts) -> tuple[Section, ...]:
    """Return the sections of the statement, in the order in which they are read."""
    sections = (
        _summary(_, facts),
        _who(_, facts),
        _collected(_, facts),
        *form_sections(_, facts),
        _identity(_, facts),
        _purposes(_, facts),
        _access(_, facts),
        _protection(_, facts),
        _cookies(_, facts),
        _refusal(_, facts),
        _your_data(_, facts),
        request_section(_, facts),
        _automated(_),
        _complaints(_, facts),
        _changes(_),
        _contact(_, facts),
    )
    return add_own_words(_, facts, sections)


def item(_: Language, facts: Facts, name: str) -> tuple[str, str]:
    """Return what a datum of a visit is called, and an example of what is kept."""
    if name == "address" and facts.address == "full":
        return _.own(FULL_ADDRESS[0]), FULL_ADDRESS[1]
    found = VISIT_ITEMS[name]
    return _.own(found.title), _.own(found.example)


def _summary(_: Language, facts: Facts) -> Section:
    points = [
        _("We count visits to improve this website. We set no cookie and run no script for it, and nobody follows you to other websites.")
        if facts.visits_purpose == "statistics"
        else _(
            "We count visits %(purpose)s. We set no cookie and run no script for it, and nobody follows you to other websites.",
            purpose=_.own(facts.purposes_by_name[facts.visits_purpose].text),
        ),
        _("Single visits are deleted after %(days)s; figures stay.", days=in_days(_, facts.retention_days)),
        _("The record of visits keeps your full network address.") if facts.address == "full" else _anonymous(_, facts),
    ]
    if facts.forms:
        points.append(_("Of what you tell us with forms, we keep what is named below, for the purpose for which you tell us."))
    points += [
        _("We sell no data."),
        _.plural("One other gets data, and is named below.", "%(number)s others get data, and are named below.", len(facts.recipients))
        if facts.recipients
        else _("Nobody else gets them."),
        _("You can refuse with one button, without giving a reason."),
    ]
    if facts.signals:
        points.append(_("We take as a refusal: %(signals)s.", signals=_.listed(SIGNALS[name] for name in facts.signals)))
    points += [
        _("You can see, correct and erase what we have of you, without an account."),
        _("This page follows the settings of the software, and says so when they change."),
    ]
    return Section("summary", _("In short"), points=tuple(points))


def _tying(_: Language, facts: Facts) -> list[str]:
    """Return the titles of the forms that tie a person's address to their visit."""
    return [title(_, form) for form in facts.forms if form.identity and form.link_visit] if "visitor" in facts.items else []


def _anonymous(_: Language, facts: Facts) -> str:
    tying = _tying(_, facts)
    if tying:
        return _("The record of visits does not say who you are, unless you send a form that is kept together with your visit: %(forms)s.",
                 forms=_.listed(tying, "or"))  # fmt: skip
    return _("The record of visits does not say who you are.")


def _who(_: Language, facts: Facts) -> Section:
    controller = facts.controller
    if not controller.name:
        text = _("Whoever runs this website is responsible for it; their contact is on the website itself.")
        return Section("who", _("Who we are"), (text,))
    paragraphs = [_("%(name)s runs this website, and is responsible for the data (controller).", name=controller.name)]
    if controller.country:
        paragraphs.append(_("Country: %(country)s", country=_.country(controller.country)))
    if controller.data_protection_officer:
        paragraphs.append(_("Data protection officer: %(contact)s", contact=controller.data_protection_officer))
    return Section("who", _("Who we are"), tuple(paragraphs))


def _collected(_: Language, facts: Facts) -> Section:
    days = in_days(_, facts.retention_days)
    paragraphs = [
        _(
            "When you visit this website, we note the following about each page or file that you ask for. We keep it for %(days)s and "
            "delete it then.",
            days=days,
        )
    ]
    if "page" in facts.items:
        paragraphs.append(
            _("In the addresses of pages, e-mail addresses, long numbers and long keys are replaced by their kind before they are kept.")
        )
    if facts.values:
        paragraphs.append(_("Of the addresses within this website we also keep the values of: %(names)s.", names=", ".join(facts.values)))
    if {"agent", "visitor"} & set(facts.items):
        paragraphs.append(_("Your browser's full description (user agent) is read for this and not kept."))
    paragraphs.append(_("We set no cookie and run no script for it."))
    purpose = facts.purposes_by_name[facts.visits_purpose]
    same = (_.own(purpose.name), _.own(purpose.legal_basis), days, _("Those who run this website"))
    heads = (_("What"), _("Example"), _("Why"), _("Legal basis"), _("How long"), _("Who sees it"))
    rows = ((*item(_, facts, name), *same) for name in facts.items)
    return Section("data", _("Which data we collect"), tuple(paragraphs), table=(heads, *rows), markdown=facts.text.introduction)


def _identity(_: Language, facts: Facts) -> Section:
    full = facts.address == "full"
    paragraphs = [
        _(
            "We keep your full network address for %(days)s. With it, your provider could say whose connection it was.",
            days=in_days(_, facts.retention_days),
        )
        if full
        else _anonymous(_, facts)
    ]
    asking = [title(_, form) for form in facts.forms if form.identity]
    if asking:
        paragraphs.append(_("You tell us who you are if you send your e-mail address with: %(forms)s.", forms=_.listed(asking, "or")))
    if "visitor" in facts.items:
        paragraphs.append(
            _(
                "To tell one visitor from another we calculate a number from your network address, your browser's description and our host "
                "name, with a random key that serves for one day. After the second day the key is destroyed."
            )
        )
        if not full:
            paragraphs.append(
                _(
                    "From then on nobody, ourselves included, can link what was noted to your full network address, or your visits of one "
                    "day to those of another; only what you send with such a form ties the visits of those days to you."
                )
                if _tying(_, facts)
                else _(
                    "From then on nobody, ourselves included, can link what was noted to your full network address, or your visits of one "
                    "day to those of another."
                )
            )
    return Section("identity", _("Whether you are anonymous"), tuple(paragraphs))


def _purposes(_: Language, facts: Facts) -> Section:
    visits, *others = facts.purposes
    text = _(
        "We collect data about visits %(purpose)s. The legal basis is %(basis)s.",
        purpose=_.own(visits.text),
        basis=_.own(visits.legal_basis),
    )
    points = []
    for purpose in others:
        words = {"name": _.own(purpose.name), "text": _.own(purpose.text), "basis": _.own(purpose.legal_basis)}
        named = [title(_, form) for form in facts.forms if form.purpose == purpose.name and form.legal_basis]
        if named:
            points.append(_("%(name)s: %(text)s. Legal basis: %(basis)s (of %(forms)s: as named there).", forms=_.listed(named), **words))
        else:
            points.append(_("%(name)s: %(text)s. Legal basis: %(basis)s.", **words))
    return Section("purposes", _("Why we collect them"), (text,), points=tuple(points))


def _access(_: Language, facts: Facts) -> Section:
    paragraphs = [
        _("Those who run this website see the data about visits, your data requests, and what you send with forms. We do not sell them.")
        if facts.forms
        else _("Those who run this website see the data about visits, your data requests. We do not sell them."),
        _(
            "They see visits only as figures, and nobody's alone: what fewer than %(number)s visitors have in common is not shown by "
            "itself.",
            number=_.number(facts.suppress_below),
        )
        if facts.suppress_below > 1
        else _("They see visits only as figures."),
    ]
    if facts.publish:
        paragraphs.append(
            _(
                "Anonymous figures are public: how many visitors came, and of which countries, devices, browsers and systems. "
                "No figure below %(number)s is shown, and each is changed a little by chance, so that it tells of nobody.",
                number=_.number(FEWEST_PUBLIC),
            )
            if {"agent", "country"} & set(facts.items)
            else _(
                "Anonymous figures are public: how many visitors came. "
                "No figure below %(number)s is shown, and each is changed a little by chance, so that it tells of nobody.",
                number=_.number(FEWEST_PUBLIC),
            )
        )
    if not facts.recipients:
        return Section("access", _("Who has access"), (*paragraphs, _("They are given to nobody else.")))
    paragraphs.append(_("Others who help us to serve you get data, too, and only for what you asked us for:"))
    if any(one.fields for one in facts.recipients):
        paragraphs.insert(
            -1,
            _(
                "Whose data were given to whom is noted for as long as we keep them ourselves, and for %(days)s at least; it stands in "
                "your overview. With the data goes a random number, by "
                "which we tell them later if yours are corrected or erased, or if you take your consent back, until they have said that "
                "they know.",
                days=in_days(_, AUDIT_DAYS),
            ),
        )
    return Section("access", _("Who has access"), tuple(paragraphs), points=tuple(recipient(_, facts, one) for one in facts.recipients))


def recipient(_: Language, facts: Facts, one: Recipient) -> str:
    """Return a sentence on a recipient: who, where, which data, what for."""
    fields = {name: field for form in facts.forms if form.purpose == one.purpose for name, field in form.fields.items()}
    labels = [_.own(fields[name].label) or name if name in fields else name for name in one.fields]
    words = [
        _(
            "%(name)s (%(country)s): %(data)s, for the purpose “%(purpose)s”.",
            name=one.name,
            country=_.country(one.country) if len(one.country) == 2 else _.own(one.country),
            data=_.own(one.data) or ", ".join(labels),
            purpose=_.own(one.purpose),
        )
    ]
    if one.undertaking and one.undertaking.expires:
        text = _("undertaking of %(day)s, until %(end)s", day=_.day(one.undertaking.date), end=_.day(one.undertaking.expires))
        words.append(_("Confidentiality: %(text)s.", text=text))
    elif one.undertaking:
        words.append(_("Confidentiality: %(text)s.", text=_("undertaking of %(day)s", day=_.day(one.undertaking.date))))
    if one.confidentiality:
        words.append(_("Confidentiality: %(text)s.", text=_.own(one.confidentiality)))
    if one.safeguard:
        words.append(_("Protection abroad: %(text)s.", text=_.own(one.safeguard)))
    return " ".join(words)


def _protection(_: Language, facts: Facts) -> Section:
    points = [_("Visits are kept in a database of our own, in a file made for the website's own account only.")]
    if facts.address == "truncated":
        points.append(_("Network addresses are shortened before they are written to it (to their first 24 bits, or 48 of IPv6)."))
    if facts.address == "none":
        points.append(_("Your network address is not kept in it."))
    points += protection_points(_, facts)
    points += [
        _(
            "Those who only look at figures cannot open requests or what you send. Who signed in, looked or decided is noted in a log that "
            "shows if something in it was changed."
        ),
        _("What is deleted is also overwritten in the database's file, and its journal is emptied."),
    ]
    if facts.https:
        points.append(_("Between your browser and us, data travel encrypted (HTTPS)."))
    intro = _("No transmission over the internet is entirely safe. This is what we do:")
    return Section("protection", _("How the data are protected"), (intro,), points=tuple(points), markdown=facts.text.protection)


def _cookies(_: Language, facts: Facts) -> Section:
    months = -(-LIFETIME_DAYS // MONTH_DAYS)
    lasts = _.plural("one month at most", "%(number)s months at most", months)
    rows = [
        (_("%(name)s (%(other)s without HTTPS)", name=SECURE_COOKIE, other=COOKIE),
         _("Your choice whether visits are recorded; set only if you choose on the page “Your choice”"), lasts),
        (_("%(name)s (%(other)s without HTTPS)", name=f"__Host-{OWNER_COOKIE}", other=OWNER_COOKIE),
         _("Only for those who run this website, while they are signed in to its statistics"),
         _.plural("one hour", "%(number)s hours", OWNER_COOKIE_HOURS)),
    ]  # fmt: skip
    preferences = next((form for form in facts.forms if form.purpose == PERSONALISED), None)
    if preferences is not None:
        rows.append((
            _("%(name)s (%(other)s without HTTPS)", name=SECURE_PREFERENCES, other=PREFERENCES),
            _("A random number by which what you chose to be shown is found; set only if you agree, and removed when you take it back"),
            in_days(_, min(preferences.retention_days, LIFETIME_DAYS)),
        ))  # fmt: skip
    for cookie in facts.cookies:
        life = in_days(_, cookie.days) if cookie.days else _("until the browser is closed")
        rows.append((cookie.name, _.own(cookie.purpose), life))
    paragraphs = (
        _("We set no cookie for your visits."),
        _(
            "Your choice is kept in a cookie, with the version of this statement. It is the same for everybody who chooses the same, "
            "identifies nobody, and is not renewed."
        ),
    )
    return Section("cookies", _("Cookies"), paragraphs, table=((_("Name"), _("What for"), _("How long")), *rows))


OWNER_COOKIE: Final = "privacy-owner"
OWNER_COOKIE_HOURS: Final = 12
"""`access.LONGEST`; a test compares them."""


def _refusal(_: Language, facts: Facts) -> Section:
    ignored = [words for name, words in SIGNALS.items() if name not in facts.signals]
    paragraphs = [
        _("You can refuse: on the page “Your choice”, with one button and without giving a reason. From then on nothing is noted.")
    ]
    if facts.signals:
        paragraphs.append(
            _(
                "If your browser sends %(signals)s, we take it as a refusal, and you need not do anything.",
                signals=_.listed((SIGNALS[name] for name in facts.signals), "or"),
            )
        )
    if ignored:
        paragraphs.append(_("We do not take %(signals)s as a refusal.", signals=_.listed(ignored, "or")))
    paragraphs += refusal_points(_, facts)
    return Section("refusal", _("How to refuse"), tuple(paragraphs), links=((_("Your choice"), "/opt-out"),))


def _your_data(_: Language, facts: Facts) -> Section:
    days = in_days(_, facts.retention_days)
    paragraphs = [
        _(
            "Data about visits are deleted after %(days)s in any case. What stays are figures: how many visitors a page, a source "
            "or a kind "
            "of browser had on a day and in a month.",
            days=days,
        )
        if {"page", "source", "agent"} <= set(facts.items)
        else _(
            "Data about visits are deleted after %(days)s in any case. What stays are figures: how many visitors came on a day and in a "
            "month, and what of the above they had in common.",
            days=days,
        )
    ]
    if facts.suppress_below > 1:
        paragraphs.append(
            _(
                "What fewer than %(number)s visitors of a day have in common is not kept by itself any longer than that: it is put "
                "together "
                "with other things.",
                number=_.number(facts.suppress_below),
            )
        )
    if "visitor" in facts.items:
        paragraphs.append(
            _(
                "If you refuse on the page “Your choice”, what was noted today and yesterday under this browser's number is deleted at "
                "once; "
                "until the day's key is destroyed its number is remembered, so that nothing late comes back. "
                "Older data cannot be linked to you any more, so we can neither show nor delete them one by one."
            )
        )
    if facts.forms:
        paragraphs.append(
            _("What you send with forms is deleted after the time that is named with each form, unless you ask us to go on storing it.")
        )
    paragraphs += rights_paragraphs(_, facts)
    links = ((_("Ask for your data"), "/requests/"), (_("What is recorded of this browser"), "/my-browser"))
    return Section("your-data", _("Overview and deletion of your data"), tuple(paragraphs), links=links)


def _automated(_: Language) -> Section:
    text = _("No decision that could harm you is left to software alone, and we make no profile of you (GDPR art. 22).")
    return Section("automated", _("Automated decisions"), (text,))


def _complaints(_: Language, facts: Facts) -> Section:
    authority = AUTHORITIES.get(facts.controller.country)
    paragraphs = [
        _(
            "Please tell us first, if you like: we want to mend it. You can also complain to the data protection authority of your "
            "country, and go to court."
        )
    ]
    if authority is None:
        return Section("complaints", _("Where to complain"), tuple(paragraphs), links=((_("Authorities in Europe"), ALL),))
    if facts.controller.country == "DE":
        paragraphs.append(
            _("In Germany the authority of the federal state in which we are takes complaints; this one shows the way to it.")
        )
    return Section("complaints", _("Where to complain"), tuple(paragraphs), links=((authority.name, authority.url),))


def _changes(_: Language) -> Section:
    paragraphs = (
        _("This statement follows the settings of the software that records visits. It changes when they do, and so does this date."),
        _("What was noted or sent under an earlier version is kept as that version says, until its time is over."),
    )
    return Section(
        "changes", _("Changes of this statement"), paragraphs, links=((_("What has changed, and earlier versions"), "/statement/changes"),)
    )


def _contact(_: Language, facts: Facts) -> Section:
    controller = facts.controller
    paragraphs = [controller.name] if controller.name else []
    paragraphs += controller.address
    if controller.telephone:
        paragraphs.append(_("Telephone: %(number)s", number=controller.telephone))
    if controller.email:
        paragraphs.append(_("E-mail: %(address)s", address=controller.email))
    if not paragraphs:
        paragraphs.append(_("Whoever runs this website is responsible for it; their contact is on the website itself."))
    return Section("contact", _("Contact"), tuple(paragraphs), markdown=facts.text.more)
