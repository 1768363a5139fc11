"""The secret keys of one database: given, or kept beside it; whether they open what it holds; and what is derived from them."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Final

from ..errors import KeyMissing, PrivacyError
from ..secret import lasting_secret, random_secret, secret_path
from ..settings import Settings
from ..store.base import Store
from ..vault import Vault
from .submissions import check, masters

logger = logging.getLogger("privacy_middleware")

_LOST: Final = "If it is lost for ever, `privacy-middleware keys abandon` lets you go on without what cannot be read any more"


class Keys:
    """What is derived from the secret keys. Files are read at first use."""

    def __init__(self, settings: Settings, store: Store, *, needed: bool) -> None:
        """`needed` says that forms are declared: then there must be a key that lasts."""
        self._given = settings.secret_keys
        self._database = settings.database_path
        self._store = store
        self._needed = needed
        self._own_pepper: str | None = None

    def __repr__(self) -> str:
        """Without keys: it may end up in a log or a traceback."""
        return f"Keys({self._store.place})"

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """The secret keys, newest first: those given, else the one kept beside the database, which is made if there is none.

        Raises:
            KeyMissing: if none can be kept there; if it is gone, and the database holds what is sealed under it.
        """
        if self._given:
            return self._given
        path = secret_path(self._database)
        if not path.exists() and self._holds_sealed():
            raise KeyMissing(f"{self._store.place} holds submissions sealed under a secret key that is gone: put {path} back. {_LOST}")
        return (lasting_secret(self._database),)

    @cached_property
    def vault(self) -> Vault:
        """The master keys.

        Raises:
            KeyMissing: as `secrets`.
        """
        return Vault(self.secrets)

    def new_vault(self) -> Vault:
        """Return the master keys also where the secret is gone that they were derived from; then a new one is made.

        Raises:
            KeyMissing: if none can be kept.
        """
        return Vault(self._given or (lasting_secret(self._database),))

    def pepper(self) -> bytes:
        """Return the secret that is part of the pseudonyms; without one that lasts, one of this process alone."""
        try:
            return self.secrets[0].encode()
        except KeyMissing as error:
            if self._own_pepper is None:
                logger.warning("%s", error)
                self._own_pepper = random_secret()
            return self._own_pepper.encode()

    def check(self) -> None:
        """Check that there is a key that lasts, if one is needed, and that it opens what the database holds sealed.

        A database that cannot be read is no reason not to serve: the recorder says what is wrong with it.

        Raises:
            KeyMissing: if not.
        """
        if self._needed:
            _ = self.vault
        store = self._store.another()
        if not store.exists():
            return
        try:
            store.open_to_read()
            self.check_store(store)
        except KeyMissing:
            raise
        except PrivacyError as error:
            logger.warning("it could not be checked whether the secret keys open what is in %s: %s", store.place, error)
        finally:
            store.close()

    def check_store(self, store: Store) -> None:
        """Check that the keys open what an open database holds sealed.

        Raises:
            KeyMissing, VaultError: if they do not.
        """
        if not _is_sealed(store):
            return
        vault = self.vault
        try:
            check(store, vault)
        except KeyMissing:
            given = "PRIVACY_SECRET_KEYS" if self._given else str(secret_path(self._database))
            text = f"{store.place} holds submissions sealed under a secret key that {given} does not hold: add it at the end. {_LOST}"
            raise KeyMissing(text) from None

    def _holds_sealed(self) -> bool:
        """Look with a connection of its own; what cannot be read is not known to hold anything."""
        store = self._store.another()
        if not store.exists():
            return False
        try:
            store.open_to_read()
            return _is_sealed(store)
        except PrivacyError:
            return False
        finally:
            store.close()


def _is_sealed(store: Store) -> bool:
    """Tell whether a database, perhaps of an older version, holds anything sealed."""
    return store.has_table("vault") and bool(masters(store))
