"""Looks up the country of a network address in the owner's own MMDB file (MaxMind DB format 2.0); nothing is asked of anybody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

_CODE: Final = re.compile("[A-Z]{2}")
Lookup = Callable[[str], str]
"""Returns the code of an address's country (ISO 3166), or "" if it is not known."""


def no_country(_: str) -> str:
    """Know no country."""
    return ""


class Countries:
    """The file, opened at first use in each process, and again each day: owners replace it by a newer one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._reader: Any = None
        self._day: object = None

    def check(self) -> str:
        """Return what is wrong with the file, or "" if it can be used."""
        try:
            self._open()
        except ImportError:
            return "PRIVACY_GEOIP_DB is set, and maxminddb is not installed; `pip install 'privacy-middleware[geoip]'`"
        except (OSError, ValueError, RuntimeError) as error:  # its own errors are RuntimeErrors
            return f"PRIVACY_GEOIP_DB: {self.path!r} cannot be read as an MMDB file ({type(error).__name__}); name a readable one"
        return ""

    def renew(self, day: object) -> None:
        """Open the file anew on another day."""
        if day != self._day:
            self._day, self._reader = day, None

    def of(self, address: str) -> str:
        """Return the code of the country, or "" if it is not known, or the file cannot be read."""
        try:
            reader = self._reader or self._open()
            found = reader.get(address)
        except (OSError, ValueError, TypeError, RuntimeError, ImportError):  # no address, or a damaged file
            return ""
        return _code(found) if isinstance(found, dict) else ""

    def _open(self) -> Any:
        import maxminddb

        # Read as a whole: were it mapped into memory, a newer file copied over it would end the host's process (SIGBUS).
        self._reader = maxminddb.open_database(self.path, maxminddb.MODE_MEMORY)
        return self._reader


def _code(found: dict[str, Any]) -> str:
    """Read what the makers of such files write: MaxMind and DB-IP a `country` with its `iso_code`, IPinfo `country_code`."""
    country = found.get("country") or found.get("registered_country")
    code = country.get("iso_code") if isinstance(country, dict) else found.get("country_code") or country
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""
