"""What several test modules share: a clean environment, an app to wrap, and reading what was stored."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import databases
from .databases import query

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HITS = """
SELECT hit.*, page.site, page.path, source.kind AS source_kind, source.address AS source_address, campaign.value AS campaign_value,
       agent.browser, agent.os, agent.device, agent.bot, language.value AS language_value
FROM hit JOIN page ON page.id = hit.page JOIN source ON source.id = hit.source JOIN campaign ON campaign.id = hit.campaign
JOIN agent ON agent.id = hit.agent JOIN language ON language.id = hit.language ORDER BY hit.id"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=("sqlite", "postgres"), default="sqlite", help="which database the tests use")


def pytest_sessionfinish() -> None:
    databases.current.stop()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", "ignore:.*psycopg.Connection.* was deleted while still open")  # by a test that ends itself
    databases.current.on_postgres = config.getoption("--database") == "postgres"
    config.addinivalue_line("markers", "sqlite: what holds of a SQLite file alone: damage, permissions, its journal, its locks")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--database") == "postgres":
        of_sqlite = [item for item in items if item.get_closest_marker("sqlite")]
        config.hook.pytest_deselected(items=of_sqlite)
        items[:] = [item for item in items if item not in of_sqlite]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No PRIVACY_* of the machine, and a folder and databases of its own for each test."""
    for variable in [variable for variable in os.environ if variable.startswith("PRIVACY_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    current = databases.current
    current.begin()
    if current.on_postgres:
        monkeypatch.setenv("PRIVACY_DATABASE_URL", current.url())
        monkeypatch.setenv("PRIVACY_SECRET_KEYS", databases.SECRET)
    yield
    current.end()


@pytest.fixture(autouse=True)
def close_recorders(clean_environment: None) -> Iterator[None]:
    """End the background threads that a test has started, so that none outlives its folder."""
    yield
    from privacy_middleware.record import fork

    for one in list(fork._known):
        one.close()


def hits(path: Path | str = "privacy.db") -> list[dict[str, Any]]:
    """Return the stored hits with their dictionaries joined in."""
    return query(HITS, path)
