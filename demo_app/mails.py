"""Keeps the mails that the demo would have sent, for its own page: only in memory, and only the newest."""

from __future__ import annotations

import re
from collections import deque
from datetime import datetime
from typing import Final, NamedTuple

from markupsafe import Markup, escape

from privacy_middleware.mail import Mail

MOST: Final = 50
_LINK: Final = re.compile(r"https?://\S+")


class SentMail(NamedTuple):
    """A mail, and when it would have been sent."""

    time: datetime
    mail: Mail

    @property
    def text(self) -> Markup:
        """Its text, with links that can be followed."""
        return Markup(_LINK.sub(lambda link: f'<a href="{link[0]}">{link[0]}</a>', str(escape(self.mail.text))))  # noqa: S704 - escaped


class SentMails:
    """What was handed over to be sent."""

    def __init__(self) -> None:
        self._mails: deque[SentMail] = deque(maxlen=MOST)

    def send(self, mail: Mail) -> None:
        """Take a mail; this is what a site gives to the middleware as `send_mail`."""
        self._mails.append(SentMail(datetime.now().astimezone(), mail))

    def newest_first(self) -> list[SentMail]:
        """Return the mails for the page."""
        return list(reversed(self._mails))
