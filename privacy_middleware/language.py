"""Writes in the language of who reads: texts by gettext catalogues; dates, numbers, lists and countries by Unicode's CLDR (Babel).

In the code a text is written in English as `_("We keep it for %(days)s days.", days=30)`, where `_` is a `Language`. The catalogues in
`translations/` hold it in the other languages; those of the owner's folder (`da.po`) go before them, and may add languages.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from datetime import date, datetime, time
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from babel.numbers import format_decimal, format_percent

from .errors import SettingsError

ENGLISH: Final = "en"
OURS: Final = (ENGLISH, "da", "de", "es", "fr")
"""The languages of the package's own catalogues; English stands in the code."""
_LOCALES: Final = {ENGLISH: "en_GB"}
NO_BREAK: Final = "\N{NO-BREAK SPACE}"


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for it
    """Mark a text for the catalogues that is translated elsewhere; returns it as it is."""
    return message


class Language:
    """One language: call it with an English text to have it written there."""

    def __init__(self, code: str, catalogue: NullTranslations) -> None:
        self.code = code
        self.catalogue = catalogue
        self.locale = Locale.parse(_LOCALES.get(code, code), sep="_" if code in _LOCALES else "-")

    def __repr__(self) -> str:
        return f"Language({self.code!r})"

    def __call__(self, message: str, /, **values: object) -> str:
        """Return a text with its values filled in; a `%` of its own is written `%%`."""
        return self.catalogue.gettext(message) % values

    def plural(self, one: str, many: str, number: int, /, **values: object) -> str:
        """Return the text for a number of things; it is filled in as `%(number)s`, unless another is given."""
        return self.catalogue.ngettext(one, many, number) % {"number": self.number(number), **values}

    def own(self, text: str) -> str:
        """Return a text of the owner's, such as a purpose: in this language if a catalogue has it, else as it is."""
        return self.catalogue.gettext(text) if text else ""

    def day(self, day: date) -> str:
        """Write a date: `4 May 2026`."""
        return format_date(day, "long", self.locale)

    def short_day(self, day: date) -> str:
        """Write a date without its year, in few letters: `4 May`."""
        return format_skeleton("MMMd", datetime.combine(day, time()), locale=self.locale)

    def short_month(self, day: date) -> str:
        """Write the month of a date in few letters: `May 2026`."""
        return format_skeleton("yMMM", datetime.combine(day, time()), locale=self.locale)

    def month(self, day: date) -> str:
        """Write the month of a date: `May 2026`."""
        return format_skeleton("yMMMM", datetime.combine(day, time()), locale=self.locale)

    def moment(self, instant: datetime) -> str:
        """Write a date with its time, in the time zone that it has: `4 May 2026, 14:03`."""
        return f"{self.day(instant.date())}, {self.hour(instant)}"

    def hour(self, instant: datetime | time) -> str:
        """Write a time of the day: `14:03`."""
        return format_time(instant.time() if isinstance(instant, datetime) else instant, "HH:mm", locale=self.locale)

    def number(self, number: float) -> str:
        """Write a number: `1,234.5`."""
        return format_decimal(number, locale=self.locale)

    def percent(self, share: float, *, decimals: int = 0) -> str:
        """Write a share: 0.25 is `25%`."""
        return format_percent(share, locale=self.locale, format=None if not decimals else _with_decimals(self.locale, decimals))

    def listed(self, words: Iterable[str], kind: Literal["and", "or"] = "and") -> str:
        """Write a list: `a, b and c`."""
        return format_list(list(words), style="or" if kind == "or" else "standard", locale=self.locale)

    def country(self, code: str) -> str:
        """Return the name of a country (ISO 3166-1 alpha-2); what is no such code stays."""
        return str(self.locale.territories.get(code.upper(), code))


def _with_decimals(locale: Locale, decimals: int) -> str:
    pattern = str(locale.percent_formats[None].pattern)
    return pattern.replace("0", "0." + "0" * decimals, 1) if "." not in pattern else pattern


@cache
def english() -> Language:
    """Return English, for what is written for programs and in the command line."""
    return Language(ENGLISH, NullTranslations())


class Languages:
    """The languages there are: the package's own, and those for which the owner's folder has a catalogue.

    Args:
        default: the code of the language for who asks for none that there is.
        folder: the owner's, with catalogues such as `da.po`; None if there is none.

    Raises:
        SettingsError: if there is no such default, or a catalogue of the owner's cannot be read.
    """

    def __init__(self, default: str = ENGLISH, folder: Path | None = None) -> None:
        self._own = (
            {path.stem.lower().replace("_", "-"): path for path in sorted(folder.glob("*.po"))} if folder and folder.is_dir() else {}
        )
        self.codes: tuple[str, ...] = (*OURS, *(code for code in self._own if code not in OURS))
        self.default = default
        self._loaded: dict[str, Language] = {}
        self._lock = Lock()
        problems = [problem for code, path in self._own.items() for problem in _problems(code, path)]
        if default not in self.codes:
            problems.append(f"PRIVACY_LANGUAGE is {default!r}, and there is no catalogue of it; known are {', '.join(self.codes)}")
        if problems:
            raise SettingsError(problems)

    def get(self, code: str) -> Language:
        """Return a language, read at first use (about 0.1 s); the default, if there is no such one."""
        code = code if code in self.codes else self.default
        language = self._loaded.get(code)
        if language is None:
            with self._lock:
                if code not in self._loaded:
                    self._loaded[code] = self._read(code)
                language = self._loaded[code]
        return language

    @staticmethod
    def name_of(code: str) -> tuple[str, str]:
        """Return the code of a language with its name in itself: `("da", "Dansk")`."""
        name = Locale.parse(code, sep="-").get_display_name() or code
        return code, name[0].upper() + name[1:]

    def is_loaded(self, code: str) -> bool:
        """Tell whether a language was read already."""
        return (code if code in self.codes else self.default) in self._loaded

    def choose(self, wished: str, accepted: str) -> str:
        """Return the code of the language for a reader: what they chose (`wished`), or the best of Accept-Language (RFC 9110, 12.5.4)."""
        if wished.lower() in self.codes:
            return wished.lower()
        return next((found for one in _by_preference(accepted) if (found := self._closest(one))), self.default)

    def _closest(self, tag: str) -> str:
        """Find `de-at`, or else `de`; `*` is the default."""
        if tag == "*":
            return self.default
        return tag if tag in self.codes else next((code for code in (tag.partition("-")[0],) if code in self.codes), "")

    def _read(self, code: str) -> Language:
        catalogue = _catalogue(code) if code in OURS else NullTranslations()
        if code in self._own:
            own = _compiled(self._own[code].read_bytes(), code)
            own.add_fallback(catalogue)
            catalogue = own
        return Language(code, catalogue)


@cache
def _catalogue(code: str) -> NullTranslations:
    if code == ENGLISH:
        return NullTranslations()
    return _compiled((resources.files(__package__) / "translations" / f"{code}.po").read_bytes(), code)


def _compiled(data: bytes, code: str) -> GNUTranslations:
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(data), locale=code.replace("-", "_"), abort_invalid=True))
    compiled.seek(0)
    return GNUTranslations(compiled)


def _check_values(data: bytes, code: str) -> None:
    """Check that a translation has no other values to fill in than the English text."""
    for message in read_po(io.BytesIO(data), locale=code.replace("-", "_"), abort_invalid=True):
        ids, strings = ([one] if isinstance(one, str) else list(one or ()) for one in (message.id, message.string))
        values = dict.fromkeys(re.findall(r"%\((\w+)\)s", " ".join(ids)), "")
        if not message.id or ids[0] not in _ours():  # a text of the owner's, which is shown as it is
            continue
        for string in strings:
            try:
                string % values
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"the translation of {ids[0]!r} cannot be filled in: {type(error).__name__} {error}") from None


@cache
def _ours() -> frozenset[str]:
    """Return every message of ours in English, from a catalogue of ours."""
    data = (resources.files(__package__) / "translations" / f"{OURS[-1]}.po").read_bytes()
    ids = (message.id for message in read_po(io.BytesIO(data)))
    return frozenset(one if isinstance(one, str) else one[0] for one in ids if one)


def _check_plurals(data: bytes, code: str) -> None:
    """Check that the catalogue's plural form has an answer for every number."""
    catalogue = _compiled(data, code)
    for amount in range(200):
        try:
            catalogue.plural(amount)  # type: ignore[attr-defined]
        except (ArithmeticError, ValueError, TypeError) as error:
            raise ValueError(f"its Plural-Forms cannot be calculated for {amount}: {error}") from None


def _problems(code: str, path: Path) -> list[str]:
    try:
        Locale.parse(code, sep="-")
        _check_values(path.read_bytes(), code)
        _check_plurals(path.read_bytes(), code)
    except (UnknownLocaleError, LookupError, ValueError) as error:  # no such language, charset, or letters
        fault = str(error)
    except (PoFileError, OSError) as error:
        fault = f"{type(error).__name__}: {error}"
    else:
        return []
    return [f"{path} is no catalogue that can be used ({fault}); name it by its language, like da.po, and check it with `msgfmt -c`"]


def _by_preference(header: str) -> list[str]:
    """Return the tags of an Accept-Language header, the best first; those with `q=0` are left out."""
    found = []
    for place, part in enumerate(header.lower().split(",")[:20]):
        tag, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            quality = float(weight)
        except ValueError:
            quality = 0.0
        if tag and 0 < quality <= 1:
            found.append((-quality, place, tag))
    return [tag for _, _, tag in sorted(found)]
