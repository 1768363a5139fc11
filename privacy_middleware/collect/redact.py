"""Replaces what identifies somebody in free text by its kind.

Patterns find candidates, `python-stdnum` and `phonenumbers` confirm them; both load at first use.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from itertools import accumulate
from typing import Final

COUNTRIES: Final[tuple[str, ...]] = tuple("DK DE FR ES GB US NL SE NO FI IT PL AT CH BE IE PT".split())
"""Where national telephone and identity numbers are looked for unless told otherwise (ISO 3166)."""
MOST_TELEPHONES: Final = 50
"""So many numbers of one text are looked up; further ones count as telephones unseen, so that no text takes long."""
MOST_CARDS: Final = 200
ROUNDS: Final = 4
"""A number may part from its neighbour when that is replaced, so each text is searched again until nothing more is found."""

_GONE: Final = "\0"
"""Stands in the copy for matching where something was found; no pattern runs over it."""

_LOCAL: Final = r"""[^\s@<>()\[\],;:"\\\0]"""
_DOMAIN: Final = r"""[^\s@<>()\[\]{},;:"\\/|!?*'.\0]"""
_EMAIL: Final = re.compile(
    rf"(?<!{_LOCAL}){_LOCAL}++(?:@| ?[\[(](?:at|a|æt|arroba)[\])] ?)(?=[^\s@\0]{{0,255}}[^\W\d_]{{2}})"
    rf"{_DOMAIN}++(?:(?:\.| ?[\[(](?:dot|punkt|prik|point|punto|ponto)[\])] ?){_DOMAIN}++)++",
    re.IGNORECASE,
)
_IBAN: Final = re.compile(r"(?=([A-Za-z]{2}(?:[ .-]?[0-9]){2}(?:[ .-]{0,2}[A-Za-z0-9]){11,30}))")
_CARD: Final = re.compile(r"(\+ ?)?\d(?:(?:[ -]{1,3}|[./_])?\d)+")
_TELEPHONE: Final = re.compile(
    r"(?:\((?=\+? ?\d{1,5}\)))?(\+ ?)?(?:\((?=\d{1,5}\)))?\d(?:(?: {0,2}[-/] {0,2}(?:\(0\) ?)?| ?\(|\) ?[-/]? ?|\.| {1,2})?\d)*"
)
_EXTENSION: Final = re.compile(r",? ?(?:ext(?:ension)?|x|lok(?:al)?|dw|durchwahl|poste|anexo)\.?:? ?\d{1,6}(?!\w)", re.IGNORECASE)
_WORD: Final = (
    r"(?:t[ée]l|tlf|tfno?|t[ée]l[eéè]?[fp]h?[oó]\w{0,12}|puh(?:elin\w{0,4})?|(?:smart)?phone\w{0,8}|mob|mobi[el]\w{0,10}|m[oó]vil|telem[oó]vel"
    r"|cell\w{0,8}|portable|handy\w{0,8}|natel|gsm|kom[oó]rk\w{1,3}|ring\w{0,2}|call|(?:an)?rufe?n?|bel|appele[rz]|ll[aá]m\w{1,6}|chiam\w{1,6}"
    r"|lig(?:ar|ue|a)|zadzwo[nń]|dzwo[nń]|soita|whats ?app|sms|viber|fax)"
)
_BETWEEN: Final = (
    r"(?:me|us|on|at|is|my|number|no|nummer|nr|mig|os|på|til|er|min|mich|uns|an|unter|ist|mein|mine|mij|op|au|moi|est|le|mon|num[eé]ro|n[°ºo]"
    r"|al|el|es|mi|il|mio|è|meg|mitt|pod|do|ao|meu|o|[:=])"
)
_INTRODUCED: Final = re.compile(rf"(?<![^\W\d_]){_WORD}[\s.:=#(/+-]{{0,4}}(?:{_BETWEEN}[\s.:=#(/+-]{{1,4}}){{0,4}}(?=\d)", re.IGNORECASE)
"""Words such as "tel." or "ring mig på", after which six digits are a telephone number, whatever they are."""
_YEAR: Final = r"(?:19|20)\d\d"
_DAY: Final = r"(?:[0-2]?\d|3[01])"  # or a month, whichever stands first
_DATE: Final = rf"(?:{_YEAR}[-./] ?\d\d?[-./] ?\d\d?|(?:{_DAY}\.? ?- ?)?{_DAY}[-./] ?{_DAY}[-./] ?{_YEAR}|{_DAY}[-./]{_DAY}[-./]\d\d)"
_AMOUNT: Final = r"(?:\d{1,3}(?:[ .,']\d{3})+|\d{1,9})(?:[.,]\d\d?)?"
_CURRENCY: Final = r"(?:[€$£]|EUR|USD|GBP|DKK|SEK|NOK|CHF|PLN|kr|zł|euros?)"
_FIRST: Final = r"(?<!\d)(?<!\d[ .,'/-])(?<!\d[ ./-]{2})(?<!\d[ ./-]{3})"
_LAST: Final = r"(?!,?\d|[ ./-]{0,3}\d)"
_KEPT: Final = re.compile(
    rf"(?<!\d)(?<!\d[-./])(?:{_DATE}(?:[-/]{_DATE})?|[0-2]?\d:[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?)(?![-./:]?\d)"
    rf"|{_FIRST}(?:{_YEAR} ?[-/] ?{_YEAR}{_LAST}|{_AMOUNT} ?{_CURRENCY}(?!\w))"
    rf"|{_FIRST}\d{{1,3}}(?:(?:[ .']\d{{3}})+,|(?:[ ,']\d{{3}})+\.)\d\d{_LAST}"
    rf"|{_CURRENCY}[ .]{{0,2}}{_AMOUNT}{_LAST}",
    re.IGNORECASE,
)
"""Dates, times, spans of years, prices: numbers, but nobody's."""
_DIGITS: Final = re.compile(r"\d+")
_LABEL: Final = re.compile(r"\[(?:e-mail|IBAN|card number|national number|telephone)\]")

_NATIONAL: Final[Mapping[str, Mapping[str, str]]] = {
    "DK": {"dk.cpr": r"\d{6}[ -]{0,3}\d{4}"},
    "DE": {"de.idnr": r"\d\d ?\d{3} ?\d{3} ?\d{3}"},
    "FR": {"fr.nir": r"[1-478] ?\d\d ?\d\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d"},
    "ES": {"es.dni": r"\d{8}-?[A-Z]", "es.nie": r"[XYZ]-?\d{7}-?[A-Z]"},
    "GB": {"gb.nhs": r"\d{3}[ -]?\d{3}[ -]?\d{4}", "": r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]"},
    "US": {"us.ssn": r"\d{3}-\d\d-\d{4}", "us.itin": r"9\d\d-\d\d-\d{4}"},
    "NL": {"nl.bsn": r"\d{9}|\d{4}[. ]\d\d[. ]\d{3}"},
    "SE": {"se.personnummer": r"(?:19|20)?\d{6}[-+ ]?\d{4}"},
    "NO": {"no.fodselsnummer": r"\d{6}[ -]?\d{5}"},
    "FI": {"fi.hetu": r"\d{6}[-+A-FU-Y]\d{3}[0-9A-Z]"},
    "IT": {"it.codicefiscale": r"[A-Z]{3} ?[A-Z]{3} ?[0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{2} ?[A-Z][0-9LMNP-V]{3} ?[A-Z]"},
    "PL": {"pl.pesel": r"\d{11}"},
    "AT": {"at.vnr": r"\d{4}[ -]?\d{6}"},
    "CH": {"ch.ssn": r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d\d"},
    "BE": {"be.nn": r"(?:\d\d[. ]?){3}[- ]?\d{3}[. -]?\d\d", "be.bis": r"(?:\d\d[. ]?){3}[- ]?\d{3}[. -]?\d\d"},
    "IE": {"ie.pps": r"\d{7} ?[A-W][A-ITW]?"},
    "PT": {"pt.nif": r"[1-3]\d\d ?\d{3} ?\d{3}", "pt.cc": r"\d{8} ?\d ?[0-9A-Z]{2}\d"},
}
"""How each country's identity numbers are written, by the module of `stdnum` that confirms them ("": the pattern is enough)."""
_NATIONAL_START: Final = re.compile(
    r"(?<!\w)(?<!\+)(?<!\+\d[ -])(?<!\+\d\d[ -])(?<!\+\d{3}[ -])(?=[A-Z]{0,6}(?: [A-Z]{3})? ?\d)", re.IGNORECASE
)

Span = tuple[int, int]
Finder = Callable[[str], Iterable[Span]]


def redact(text: str, *, countries: Sequence[str] = COUNTRIES) -> str:
    """Replace e-mail addresses, IBANs, card, national identity and telephone numbers by their kind, as `[e-mail]`; keep all else.

    National forms are known for `countries` (ISO 3166). Better too much than too little: a long number that could be a
    telephone is taken for one. Needs `phonenumbers` and `python-stdnum`; raises for no text.
    """
    countries = [country.upper() for country in countries]
    is_telephone = _capped(partial(_is_telephone, countries=countries), MOST_TELEPHONES)
    national, telephones = partial(_national_numbers, countries=countries), partial(_telephones, is_telephone=is_telephone)
    return _hide(text, {"[e-mail]": _emails, **_PAYMENT, "[national number]": national, "[telephone]": telephones})[0]


def hide_payment(text: str) -> tuple[str, int]:
    """Replace card numbers and IBANs by their kind; return the text, and how many there were."""
    return _hide(text, _PAYMENT)


def is_payment_number(text: str) -> bool:
    """Tell whether a whole text is a card number or an IBAN, apart from white space around it."""
    hidden, count = hide_payment(text.strip())
    return count == 1 and hidden in _PAYMENT


def _hide(text: str, finders: Mapping[str, Finder]) -> tuple[str, int]:
    plain = _LABEL.sub(_blank, _plain(text))
    kinds = bytearray(len(text))  # of each character: 0, or the place of its finder from 1 on
    for _ in range(ROUNDS):
        before = plain
        for kind, find in enumerate(finders.values(), 1):
            for start, end in find(plain):
                kinds[start:end] = bytes([kind]) * (end - start)
            plain = "".join([_GONE if kind else character for kind, character in zip(kinds, plain, strict=True)])
        if plain == before:
            break
    labels, pieces, position = list(finders), [""], 0
    found = list(re.finditer(rb"([^\0])\1*", kinds, re.DOTALL))
    for run in found:
        pieces += text[position : run.start()], labels[run[1][0] - 1]
        position = run.end()
    return "".join(pieces) + text[position:], len(found)


def _plain(text: str) -> str:
    """Copy a text for matching, character by character at the same place: any digit is 0-9, any space " ", any dash "-"."""
    text = text.replace("\t", " ")
    return text if text.isascii() else text.translate({ord(c): _plain_character(c) for c in set(text) if not c.isascii()})


def _plain_character(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if character == "\N{MINUS SIGN}" or (category := unicodedata.category(character)) == "Pd":
        return "-"
    if category in ("Zs", "Cf"):  # Cf: the direction marks that telephones put around a copied number
        return " "
    simple = unicodedata.normalize("NFKC", character)
    return simple if len(simple) == 1 and not simple.isdecimal() else character


def _blank(match: re.Match[str]) -> str:
    return _GONE * len(match[0])


def _capped(check: Callable[[str], bool], most: int) -> Callable[[str], bool]:
    """Ask `check` once for each number, and after `most` of them say yes to every new one."""
    known: dict[str, bool] = {}

    def checked(number: str) -> bool:
        if number not in known and len(known) < most:
            known[number] = check(number)
        return known.get(number, True)

    return checked


def _emails(plain: str) -> Iterator[Span]:
    return (match.span() for match in _EMAIL.finditer(plain))


def _ibans(plain: str) -> Iterator[Span]:
    from stdnum import iban, numdb

    for candidate in _IBAN.finditer(_in_one_line(plain)):
        run = candidate[1]
        structure = numdb.get("iban").info(run[:2].upper())[0][1].get("bban", "")
        ends = [place for place, character in enumerate(run, 1) if character.isalnum()]
        length = 4 + sum(map(int, re.findall(r"\d+", structure)))
        if 4 < length <= len(ends) and iban.is_valid(run[: ends[length - 1]], check_country=False):
            yield candidate.start(), candidate.start() + ends[length - 1]


def _in_one_line(plain: str) -> str:
    """A number may run over the end of a line, as a text that was copied has it."""
    return plain.replace("\r", " ").replace("\n", " ")


def _cards(plain: str) -> Iterator[Span]:
    from stdnum import luhn

    is_card = _capped(luhn.is_valid, MOST_CARDS)
    for run in _CARD.finditer(_in_one_line(_KEPT.sub(_blank, plain))):
        groups = list(_DIGITS.finditer(plain, *run.span()))
        for place, first in enumerate(groups):
            digits = ""
            for last in groups[place : place + 19] if first[0][0] in "23456" else ():
                digits += last[0]
                shortest = 16 if run[1] and not place else 13  # after a plus, up to 15 digits are a telephone number
                if shortest <= len(digits) <= 19 and is_card(digits):
                    yield first.start(), last.end()


def _national_numbers(plain: str, countries: Sequence[str]) -> Iterator[Span]:
    plain = _KEPT.sub(_blank, plain)
    forms = [form for country in countries for form in _NATIONAL.get(country, {}).items()]
    patterns = [(module, re.compile(rf"(?a:{pattern})(?!\w)", re.IGNORECASE)) for module, pattern in forms]
    for start in _NATIONAL_START.finditer(plain):
        for module, pattern in patterns:
            number = pattern.match(plain, start.start())
            if number and (not module or import_module(f"stdnum.{module}").is_valid(number[0])):
                yield number.span()


def _telephones(plain: str, is_telephone: Callable[[str], bool]) -> Iterator[Span]:
    plain = _KEPT.sub(_blank, plain)
    introduced = {word.end() for word in _INTRODUCED.finditer(plain)}
    extended = {extension.start(): extension.end() for extension in _EXTENSION.finditer(plain)}
    for run in _TELEPHONE.finditer(plain):
        groups = list(_DIGITS.finditer(plain, *run.span()))
        if groups[0].start() in introduced and sum(len(group[0]) for group in groups) >= 6:
            yield run.start(), extended.get(run.end(), run.end())
            continue
        place = 1 if not run[1] and plain[run.start() - 1 : run.start()].isalnum() else 0  # the 4 of A4 opens no number
        while place < len(groups):
            count = _telephone_groups(groups[place : place + 17], is_telephone, has_plus=bool(run[1]) and not place)
            if count:
                end = groups[place + count - 1].end()
                yield (groups[place].start() if place else run.start()), extended.get(end, end)
            place += count or 1


def _telephone_groups(groups: Sequence[re.Match[str]], is_telephone: Callable[[str], bool], *, has_plus: bool) -> int:
    """Return how many of the groups of digits, from the first on, make a telephone number: as many as can be, or 0."""
    digits = "".join(group[0] for group in groups)
    zeros = 2 if digits.startswith("00") and not has_plus else 0
    is_international = has_plus or zeros > 0
    lengths = enumerate(accumulate((len(group[0]) for group in groups), initial=-zeros))
    fitting = [(count, length) for count, length in lengths if (7 if is_international else 8) <= length <= 15]
    for count, length in reversed(fitting):
        number = digits[zeros : zeros + length]
        if is_telephone(f"+{number}" if is_international else number):
            return count
    return max((count for count, length in fitting if is_international and length >= 8), default=0)


def _is_telephone(number: str, countries: Sequence[str]) -> bool:
    import phonenumbers

    for country in [None] if number.startswith("+") else countries:
        try:
            parsed = phonenumbers.parse(number, country)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed) or (country is None and len(number) == 8 and phonenumbers.is_possible_number(parsed)):
            return True
    return False


_PAYMENT: Final[Mapping[str, Finder]] = {"[IBAN]": _ibans, "[card number]": _cards}
