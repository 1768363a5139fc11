"""What the adapters share, whatever protocol their server speaks: what they are set up with, and what a process needs before it serves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import time
from typing import Final
from urllib.parse import quote

import msgspec

from .checks import warn
from .collect.choice import Choice
from .collect.form import FormIndex
from .collect.visitor import client_address
from .errors import PrivacyError
from .privacy import Privacy, VisitorPrivacy, excluded, visitor_privacy
from .record.exit import flush_at_exit, flush_on_sigterm, uwsgi_fault
from .routes import RouteTemplates

logger = logging.getLogger("privacy_middleware")

UNDECIDED: Final = Choice(None, None)
WELL_KNOWN: Final = ("/.well-known/gpc.json", "/.well-known/dnt/")


class Adapter:
    """One wrapped app: its `Privacy`, and what the hot path looks at, kept at hand."""

    def __init__(self, privacy: Privacy, *, keys_checked: bool = True) -> None:
        self.privacy = privacy
        self.recorder = privacy.recorder
        self._disabled = privacy.settings.disabled
        self._mount = privacy.settings.path
        # What our own paths begin with; slicing costs a third of `startswith`. Switched off, we have none.
        self._start = slice(1, min(4, len(self._mount)))
        self._own_starts = () if self._disabled else (self._mount[self._start], WELL_KNOWN[0][self._start])
        self._signals = privacy.settings.signals
        self._excluded = excluded(privacy.settings)
        self._forms = FormIndex(() if self._disabled else privacy.declaration.forms)
        self._form_methods = self._forms.methods
        self.intake = privacy.intake
        self.form_limit = privacy.settings.form_limit
        self.templates = RouteTemplates()
        self._views: dict[tuple[Choice, str], VisitorPrivacy] = {}
        self._view = self._view_of(UNDECIDED, "")
        self.clock: Callable[[], float] = time
        """Epoch seconds; the demo sets it to fill the past."""
        self._prepared = False
        self._keys_checked = keys_checked
        self.trusted = privacy.settings.trusted_proxies

    def _is_own(self, path: str) -> bool:
        """Is a path (below the mounts in front of us) one of our pages? The host keeps `/privacyX` and `/privacy/../x`."""
        below = path.removeprefix(self._mount)
        return below is not path and (not below or below[0] == "/") and "/.." not in path

    def _view_of(self, choice: Choice, root: str) -> VisitorPrivacy:
        key = (choice, root)
        view = self._views.get(key)
        if view is None:
            if len(self._views) > 1000:  # a client chooses no root path, but nothing grows without an end
                self._views.clear()
            view = self._views[key] = visitor_privacy(choice, quote(root, safe="/~:@!$&'()*+,=") + self._mount, self.privacy)
        return view

    def _view_with(self, choice: Choice, root: str, cookie: str) -> VisitorPrivacy:
        """Return a view that has the preferences of who sent a cookie for them, and does not refuse."""
        view = self._view_of(choice, root)
        return msgspec.structs.replace(view, cookie=cookie) if cookie and not choice.opted_out else view

    def _prepare(self) -> None:
        """Once a process that serves: see to it that what is queued at the end is committed."""
        if self._prepared:
            return
        self._prepared = True
        flush_at_exit(self.recorder)
        flush_at_exit(self.privacy.clerk)
        flush_at_exit(self.privacy.postman)
        flush_at_exit(self.privacy.mailer)
        flush_at_exit(self.privacy.messenger)
        flush_at_exit(self.privacy.bookkeeper)
        if self._forms.forms:
            flush_at_exit(self.intake)
            if not self._keys_checked:
                self._say_if_key_is_missing()
        if fault := uwsgi_fault():
            logger.error("%s", fault)
        if self.privacy.settings.profile:
            self.recorder.submit(lambda store: warn(self.privacy, store))
        flush_on_sigterm(self.recorder, self.intake)  # also with a lifespan: some servers end their workers in the middle of it

    def _say_if_key_is_missing(self) -> None:
        """Where there is no lifespan whose start could fail, say it in the log, once; submissions then wait in spool or memory."""
        try:
            self.privacy.keys.check()
        except PrivacyError as error:
            logger.error("%s", error)  # noqa: TRY400 - the text says it all

    def client_address(self, peer: str, forwarded: Sequence[bytes]) -> str:
        """Return the visitor's address behind the trusted proxies."""
        return client_address(peer, forwarded, self.trusted)
