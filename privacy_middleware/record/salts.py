"""Keeps the salts of today and yesterday for one process: fetched, shared with other workers, and let go in time."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import tzinfo
from hashlib import blake2b

from ..collect.visitor import SALT_BYTES, Salt, Visitors, day_of
from ..store.base import Store


class DaySalts:
    """The salts at hand. `visitors` is what the hot path sees of them: today's.

    `pepper` gives a secret kept apart from the database: no salt in a copy of the database gives a pseudonym without it.
    """

    def __init__(self, visitors: Visitors, *, zone: tzinfo, pepper: Callable[[], bytes]) -> None:
        self.visitors = visitors
        self.zone = zone
        self._pepper = pepper
        self.clear()

    def clear(self) -> None:
        """Begin anew, as in a forked child, or with another database."""
        self._by_day: dict[int, Salt] = {}
        self._proposals: dict[int, bytes] = {}
        self.visitors.serve(None)

    def serve(self, now: int) -> bool:
        """Tell whether today's salt is at hand and shared with the other workers."""
        return self._is_todays(now) and not self._proposals

    def fetch(self, store: Store, now: int) -> None:
        """Have today's salt at hand, and destroy all but those of today and yesterday."""
        today = day_of(now, self.zone)
        store.destroy_salts(before=today - 1, after=today + 1)
        for day in {today, *self._proposals}:
            if day >= today - 1:
                self._fetch_day(store, day)
        self._proposals.clear()
        self._by_day = {day: salt for day, salt in self._by_day.items() if day >= today - 1}
        self.visitors.serve(self._by_day[today])

    def fetch_provisionally(self, now: int) -> None:
        """While the database is away, let today's salt live in memory; it becomes the shared one if no other worker has one."""
        if self._is_todays(now):
            return
        today = day_of(now, self.zone)
        self._proposals = {today: secrets.token_bytes(SALT_BYTES)}
        salt = self._peppered(self._proposals[today], today)
        self._by_day = {day: old for day, old in self._by_day.items() if day == today - 1} | {today: salt}
        self.visitors.serve(salt)

    def of(self, instant: float, store: Store) -> tuple[int, Salt | None]:
        """Return the owner's day of an instant (epoch milliseconds), and its salt if that still lives.

        The salt of a neighbouring day is fetched: requests at midnight need it, and those of a worker that starts just then.

        Raises:
            StoreError: if it must be fetched, and cannot be at the moment.
        """
        salt = self.visitors.salt
        if salt is not None and salt.starts <= instant < salt.ends:
            return salt.day, salt
        day = day_of(int(instant), self.zone)
        if day not in self._by_day and salt is not None and abs(day - salt.day) == 1:
            self._fetch_day(store, day)
        return day, self._by_day.get(day)

    def living(self, store: Store) -> list[Salt]:
        """Return every salt that is not destroyed, those that other workers fetched included."""
        return [self._peppered(key, day) for day, key in store.live_salts().items()]

    def _fetch_day(self, store: Store, day: int) -> None:
        key = store.salt(day, self._proposals.get(day) or secrets.token_bytes(SALT_BYTES))
        self._by_day[day] = self._peppered(key, day)

    def _peppered(self, key: bytes, day: int) -> Salt:
        return Salt(blake2b(key, key=self._pepper()[:64], digest_size=SALT_BYTES).digest(), day=day, zone=self.zone)

    def _is_todays(self, now: int) -> bool:
        salt = self.visitors.salt
        return salt is not None and salt.starts <= now < salt.ends
