"""Declaration and settings in, the privacy statement's sections out: every sentence follows from what the code does."""

from __future__ import annotations

from typing import Final

from ..collect.choice import COOKIE, LIFETIME_DAYS, SECURE_COOKIE
from ..collect.hit import Rules
from ..declaration import VISIT_ITEMS, Declaration, Item, Purpose
from ..settings import FEWEST_PUBLIC, Settings
from .forms import form_sections, protection_points, refusal_points, title
from .requests import request_section, rights_paragraphs
from .section import Section, in_days, listed

MONTH_DAYS: Final = 30
_SIGNAL_NAMES: Final = {"gpc": "Global Privacy Control (Sec-GPC: 1)", "dnt": "Do Not Track (DNT: 1)"}
_ADDRESS: Final = {
    "truncated": Item("address", "Your network address, shortened before it is kept (the last part is cut off)", "192.0.2.0"),
    "full": Item("address", "Your network address, in full", "192.0.2.44"),
}


def write_statement(declaration: Declaration, settings: Settings, rules: Rules) -> tuple[Section, ...]:
    """Return the sections of the statement, in the order in which they are read."""
    return (
        _collected(declaration, settings, rules),
        *form_sections(declaration),
        _identity(declaration, settings, rules),
        _purposes(declaration),
        _access(declaration, settings),
        _protection(declaration, settings, rules),
        _cookies(),
        _refusal(declaration, settings),
        _your_data(declaration, settings, rules),
        request_section(),
        _changes(),
        _contact(declaration),
    )


def _collected(declaration: Declaration, settings: Settings, rules: Rules) -> Section:
    items = [_ADDRESS[settings.ip] if name == "address" else item for name, item in VISIT_ITEMS.items() if name in rules.items]
    kept_for = f"We keep it for {in_days(settings.retention_days)} and delete it then."
    paragraphs = [f"When you visit this website, we note the following about each page or file that you ask for. {kept_for}"]
    if "page" in rules.items:
        paragraphs.append(
            "In the addresses of pages, e-mail addresses, long numbers and long keys are replaced by their kind before they are kept."
        )
    values = rules.query_params if "campaign" in rules.items else frozenset[str]()
    values |= rules.path_params if "page" in rules.items else frozenset()
    if values:
        kept = ", ".join(sorted(values))
        paragraphs.append(f"Of the addresses within this website we also keep the values of: {kept}.")
    if {"agent", "visitor"} & rules.items:
        paragraphs.append("Your browser's full description (user agent) is read for this and not kept.")
    paragraphs.append("We set no cookie and run no script for it.")
    table = (("What", "Example"), *((item.title, item.example) for item in items))
    return Section("data", "Which data we collect", tuple(paragraphs), table=table, markdown=declaration.statement.introduction)


def _identity(declaration: Declaration, settings: Settings, rules: Rules) -> Section:
    kept = in_days(settings.retention_days)
    paragraphs = ["The record of visits does not say who you are."]
    if settings.ip == "full" and "address" in rules.items:
        paragraphs = [f"We keep your full network address for {kept}. With it, your provider could say whose connection it was."]
    asking = [title(form) for form in declaration.forms if form.identity]
    if asking:
        paragraphs.append(f"You tell us who you are if you send your e-mail address with: {listed(asking, 'or')}.")
    if "visitor" in rules.items:
        paragraphs.append(
            "To tell one visitor from another we calculate a number from your network address, your browser's description and our host "
            "name, with a random key that serves for one day. After the second day the key is destroyed."
        )
        if settings.ip != "full" or "address" not in rules.items:
            paragraphs.append(
                "From then on nobody, ourselves included, can link what was noted to your full network address, or your visits of one "
                "day to those of another."
            )
    return Section("identity", "Whether you are anonymous", tuple(paragraphs))


def _purposes(declaration: Declaration) -> Section:
    purpose = declaration.purpose(declaration.visits.purpose)
    of_forms = [declaration.purpose(form.purpose) for form in declaration.forms]
    others = [p for p in dict.fromkeys((*declaration.purposes, *of_forms)) if p.name != purpose.name]
    return Section(
        "purposes",
        "Why we collect them",
        (f"We collect data about visits {purpose.text}. The legal basis is {purpose.legal_basis}.",),
        points=tuple(f"{p.name}: {p.text}. Legal basis: {p.legal_basis}{_or_another(declaration, p)}." for p in others),
    )


def _or_another(declaration: Declaration, purpose: Purpose) -> str:
    named = [title(form) for form in declaration.forms if form.purpose == purpose.name and form.legal_basis]
    return f" (of {listed(named)}: as named there)" if named else ""


def _access(declaration: Declaration, settings: Settings) -> Section:
    seen = "the data about visits, your data requests" + (", and what you send with forms" if declaration.forms else "")
    paragraphs = [f"Those who run this website see {seen}. We do not sell them."]
    if settings.publish:
        paragraphs.append(
            f"Anonymous figures are public: how many visitors came, and of which countries, devices, browsers and systems. "
            f"No figure below {FEWEST_PUBLIC} is shown, and each is changed a little by chance, so that it tells of nobody."
        )
    if not declaration.recipients:
        return Section("access", "Who has access", (*paragraphs, "They are given to nobody else."))
    paragraphs.append("Others who help us to serve you get data, too:")
    points = tuple(
        f"{r.name} ({r.country}): {r.data}, for the purpose “{r.purpose}”."
        + (f" Confidentiality: {r.confidentiality}." if r.confidentiality else "")
        for r in declaration.recipients
    )
    return Section("access", "Who has access", tuple(paragraphs), points=points)


def _protection(declaration: Declaration, settings: Settings, rules: Rules) -> Section:
    points = ["Visits are kept in a database of our own, in a file made for the website's own account only."]
    if "address" in rules.items and settings.ip == "truncated":
        points.append("Network addresses are shortened before they are written to it (to their first 24 bits, or 48 of IPv6).")
    if "address" not in rules.items:
        points.append("Your network address is not kept in it.")
    points += protection_points(declaration)
    points.append("What is deleted is also overwritten in the database's file, and its journal is emptied.")
    if settings.base_url.startswith("https://"):
        points.append("Between your browser and us, data travel encrypted (HTTPS).")
    return Section(
        "protection",
        "How the data are protected",
        ("No transmission over the internet is entirely safe. This is what we do:",),
        points=tuple(points),
        markdown=declaration.statement.protection,
    )


def _cookies() -> Section:
    months = -(-LIFETIME_DAYS // MONTH_DAYS)
    return Section(
        "cookies",
        "Cookies",
        (
            "We set no cookie for your visits. "
            f"Only if you decide on the page “Your choice” do we keep that decision, in a cookie named {SECURE_COOKIE} "
            f"({COOKIE} without HTTPS), for at most {months} months. It is the same for everybody and identifies nobody. "
            "Those who run this website get another one while they are signed in to its statistics.",
        ),
    )


def _refusal(declaration: Declaration, settings: Settings) -> Section:
    honoured = [_SIGNAL_NAMES[name] for name, on in settings.signals.items() if on]
    ignored = [_SIGNAL_NAMES[name] for name, on in settings.signals.items() if not on]
    paragraphs = ["You can refuse: on the page “Your choice”, with one button and without giving a reason. From then on nothing is noted."]
    if honoured:
        paragraphs.append(f"If your browser sends {' or '.join(honoured)}, we take it as a refusal, and you need not do anything.")
    if ignored:
        paragraphs.append(f"We do not take {' or '.join(ignored)} as a refusal.")
    paragraphs += refusal_points(declaration)
    return Section("refusal", "How to refuse", tuple(paragraphs))


def _your_data(declaration: Declaration, settings: Settings, rules: Rules) -> Section:
    together = (
        ""
        if settings.suppress_below == 1
        else (
            f" What fewer than {settings.suppress_below} visitors of a day have in common is not kept by itself any "
            "longer than that: it is put together with other things."
        )
    )
    paragraphs = [
        f"Data about visits are deleted after {in_days(settings.retention_days)} in any case. What stays are figures: how "
        f"many visitors a page, a source or a kind of browser had on a day and in a month.{together}"
    ]
    if "visitor" in rules.items:
        paragraphs.append(
            "If you refuse on the page “Your choice”, what was noted today and yesterday under this browser's number is deleted at once; "
            "until the day's key is destroyed its number is remembered, so that nothing late comes back. "
            "Older data cannot be linked to you any more, so we can neither show nor delete them one by one."
        )
    if declaration.forms:
        paragraphs.append(
            "What you send with forms is deleted after the time that is named with each form, unless you ask us to go on storing it."
        )
    paragraphs += rights_paragraphs(settings)
    return Section("your-data", "Overview and deletion of your data", tuple(paragraphs))


def _changes() -> Section:
    return Section(
        "changes",
        "Changes of this statement",
        ("This statement follows the settings of the software that records visits. It changes when they do, and so does this date.",),
    )


def _contact(declaration: Declaration) -> Section:
    controller = declaration.controller
    paragraphs = [controller.name] if controller.name else []
    paragraphs += controller.address
    if controller.telephone:
        paragraphs.append(f"Telephone: {controller.telephone}")
    if controller.email:
        paragraphs.append(f"E-mail: {controller.email}")
    if not paragraphs:
        paragraphs.append("Whoever runs this website is responsible for it; their contact is on the website itself.")
    return Section("contact", "Contact", tuple(paragraphs), markdown=declaration.statement.more)
