"""What several test modules share: a clean environment, an app to wrap, and reading what was stored."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HITS = """
SELECT hit.*, page.site, page.path, source.kind AS source_kind, source.address AS source_address, campaign.value AS campaign_value,
       agent.browser, agent.os, agent.device, agent.bot, language.value AS language_value
FROM hit JOIN page ON page.id = hit.page JOIN source ON source.id = hit.source JOIN campaign ON campaign.id = hit.campaign
JOIN agent ON agent.id = hit.agent JOIN language ON language.id = hit.language ORDER BY hit.id"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No PRIVACY_* of the machine, and a folder of its own for each test, where the default database goes."""
    for variable in [variable for variable in os.environ if variable.startswith("PRIVACY_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def close_recorders() -> Iterator[None]:
    """End the background threads that a test has started, so that none outlives its folder."""
    yield
    from privacy_middleware.record import fork

    for one in list(fork._known):
        one.close()


def query(sql: str, path: Path | str = "privacy.db", **values: Any) -> list[dict[str, Any]]:
    """Read the database with a connection of one's own."""
    connection = sqlite3.connect(path)
    try:
        cursor = connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]
    finally:
        connection.close()


def hits(path: Path | str = "privacy.db") -> list[dict[str, Any]]:
    """Return the stored hits with their dictionaries joined in."""
    return query(HITS, path)
