"""What handling a data request depends on: fixed when the app starts, and the same for every request."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..declaration import Declaration, Recipient
from ..errors import PrivacyError
from ..language import N_, Language, Languages
from ..mail import Send, ascii_address
from ..record.spool import Spool
from ..settings import Settings
from ..sources import DataSource
from ..statement.facts import Facts
from ..statement.section import Section
from ..vault import Vault
from ..webhook import Hook


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """The settings and parts that the functions of this package share."""

    settings: Settings
    declaration: Declaration
    vault: Callable[[], Vault]
    """May read a file at first use."""
    spool: Spool
    send: Send | None
    sources: tuple[DataSource, ...]
    languages: Languages
    statement: Callable[[Language], tuple[Section, ...]]
    """The statement in force in a language."""
    facts: Facts
    digest: Callable[[], bytes]
    """The digest of the statement in force."""

    def __repr__(self) -> str:
        """Without settings: it may end up in a log or a traceback."""
        return "Office()"

    @property
    def site(self) -> str:
        """What the site is called in mails; where nothing names it, an English text that the catalogues have."""
        return self.declaration.controller.name or urlsplit(self.settings.base_url).hostname or N_("this website")

    @property
    def owner(self) -> str:
        """Whom the owner's mails go to; "" if nobody is named."""
        return self.settings.owner_email or self.declaration.controller.email

    @property
    def can_ask(self) -> bool:
        """True if a link can be mailed, by which a person proves that an address is theirs."""
        return self.send is not None and bool(self.settings.base_url)

    @property
    def graves(self) -> Path:
        """The file with the tombstones: apart from the database, so that restoring that does not take them along."""
        return self.settings.database_path.with_suffix(".erased")

    def link(self, place: str, token: str) -> str:
        """Return the address of a page for a mail, by the configured base URL only; "" without one."""
        base = self.settings.base_url
        return f"{base}{self.settings.path}/requests/{place}/{token}" if base else ""

    def page(self, place: str) -> str:
        """Return the address of a page without a token, as `link`."""
        return f"{self.settings.base_url}{self.settings.path}/{place}" if self.settings.base_url else ""

    def hook(self, recipient: Recipient) -> Hook:
        """Return the webhook of a recipient.

        Raises:
            PrivacyError: if it has none, or the secret to sign with is not set.
        """
        secret = self.settings.webhook_secrets.get(recipient.slug)
        if not recipient.webhook or secret is None:
            raise PrivacyError(
                f"{recipient.name} needs a webhook in privacy.toml, and its secret: PRIVACY_WEBHOOK_SECRETS={recipient.slug}=whsec_…"
            )
        return Hook(recipient.webhook, secret, self.settings.webhook_inside)

    def message_id(self, id_: bytes) -> str:
        """Return what identifies a mail, on the domain that it is from."""
        sender = ascii_address(self.settings.mail_from or self.declaration.controller.email)
        return f"{id_.hex()}@{sender.rpartition('@')[2] or 'localhost'}"


def call(method: Callable[..., Any], *arguments: Any) -> Any:
    """Call what the host gave us, and wait for it if it is async: on an event loop of its own."""
    import asyncio

    try:
        result = method(*arguments)
        return asyncio.run(_wait(result)) if inspect.isawaitable(result) else result
    except (asyncio.CancelledError, SystemExit) as error:  # these would end our thread
        raise RuntimeError(type(error).__name__) from None


def place_of(error: BaseException) -> str:
    """Say of an error of the host's code what it is and where it happened. Its text, and its frames, may hold an address."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].filename}, line {frames[-1].lineno}" if frames else type(error).__name__


async def _wait(awaitable: Any) -> Any:
    return await awaitable
