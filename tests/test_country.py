"""Countries by the owner's own MMDB file: looked up here, kept as a code, and nothing of it if it is not declared."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from starlette.applications import Starlette
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.cli import main
from privacy_middleware.collect.country import Countries
from privacy_middleware.collect.visitor import Visitors, truncate
from privacy_middleware.errors import SettingsError

from .conftest import FIREFOX, hits
from .test_hit import FIREFOX as AGENT

DANISH, SWEDISH = "192.0.2.7", "2001:db8:5::1"


def write(records: dict[str, Any], path: str = "countries.mmdb") -> str:
    writer = MMDBWriter(6, "Test-Country", ipv4_compatible=True)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(path)
    return path


@pytest.fixture
def file() -> str:
    return write({"192.0.2.0/24": {"country": {"iso_code": "DK"}}, "2001:db8::/32": {"country": {"iso_code": "SE"}}})


def test_the_country_of_an_address_of_either_kind_is_found(file: str) -> None:
    countries = Countries(file)
    assert [countries.of(address) for address in (DANISH, SWEDISH, "203.0.113.1", "::1")] == ["DK", "SE", "", ""]


@pytest.mark.parametrize("address", ["", "unix:", "not an address", "192.0.2", "fe80::1%eth0", "192.0.2.7:80", "\0", "é"])
def test_what_is_no_address_has_no_country(file: str, address: str) -> None:
    assert Countries(file).of(address) == ""


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"country": {"iso_code": "DK", "names": {"en": "Denmark"}}}, "DK"),  # MaxMind, DB-IP
        ({"registered_country": {"iso_code": "DK"}}, "DK"),
        ({"country_code": "DK", "asn": 1}, "DK"),  # IPinfo
        ({"country": "DK"}, "DK"),
        ({"country": "Denmark"}, ""),
        ({"country": {"iso_code": "dk"}}, ""),
        ({"city": {"name": "Aarhus"}}, ""),
        ({}, ""),
        ("DK", ""),
    ],
)
def test_files_of_all_usual_makers_are_read(record: Any, code: str) -> None:
    assert Countries(write({"192.0.2.0/24": record})).of(DANISH) == code


def test_a_newer_file_is_read_from_the_next_day_on(file: str) -> None:
    countries = Countries(file)
    countries.renew(1)
    assert countries.of(DANISH) == "DK"
    Path(write({"192.0.2.0/24": {"country": {"iso_code": "NO"}}}, "newer.mmdb")).replace(file)
    countries.renew(1)
    assert countries.of(DANISH) == "DK"
    countries.renew(2)
    assert countries.of(DANISH) == "NO"


@pytest.mark.parametrize("content", [None, b"", b"no such format" * 100])
def test_a_file_that_cannot_be_read_stops_the_start_and_names_the_remedy(content: bytes | None) -> None:
    if content is not None:
        Path("countries.mmdb").write_bytes(content)
    with pytest.raises(SettingsError, match=r"PRIVACY_GEOIP_DB.*name a readable one"):
        PrivacyMiddleware(Starlette(), geoip_db="countries.mmdb")


def test_a_file_that_is_damaged_later_costs_nothing_but_the_country(file: str) -> None:
    countries = Countries(file)
    countries.renew(1)
    Path(file).unlink()
    countries.renew(2)
    assert countries.of(DANISH) == ""


def test_without_the_library_the_start_is_refused_with_the_extra_to_install(file: str) -> None:
    code = "import sys; sys.modules['maxminddb'] = None; from privacy_middleware import PrivacyMiddleware; PrivacyMiddleware(None, geoip_db=sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=False)
    assert "pip install 'privacy-middleware[geoip]'" in done.stderr


def test_a_visitor_carries_the_country_and_no_more_of_the_address_than_is_kept(file: str) -> None:
    visitor = Visitors(truncate, Countries(file)).meet(0, DANISH, AGENT, b"example.org")
    assert visitor[2:] == (b"\xc0\0\2", "DK")


def ask(**settings: Any) -> list[str]:
    app = PrivacyMiddleware(Starlette(), policy=settings.pop("policy", "\n"), **settings)
    TestClient(app, client=(DANISH, 1)).get("/", headers={"user-agent": FIREFOX})
    app.recorder.flush()
    app.recorder.close()
    return [row["country"] for row in hits()]


def test_a_visit_is_kept_with_its_country(file: str) -> None:
    assert ask(geoip_db=file) == ["DK"]


def test_with_no_address_kept_the_country_is_kept_all_the_same(file: str) -> None:
    assert ask(geoip_db=file, ip="none") == ["DK"]


def test_without_the_file_no_country_is_kept() -> None:
    assert ask() == [""]


def test_a_country_that_is_not_declared_is_not_looked_up(file: str) -> None:
    assert ask(geoip_db=file, policy='[visits]\nitems = ["time", "page"]\n') == [""]


def test_the_statement_names_the_country_only_if_it_is_kept(file: str) -> None:
    with_file = TestClient(PrivacyMiddleware(Starlette(), geoip_db=file, database_url="sqlite:///a.db")).get("/privacy/").text
    without = TestClient(PrivacyMiddleware(Starlette(), database_url="sqlite:///b.db")).get("/privacy/").text
    assert "Your country" in with_file
    assert "Your country" not in without


def test_an_imported_log_has_countries_too(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIVACY_GEOIP_DB", file)
    Path("log").write_text(f'{DANISH} - - [17/May/2026:10:05:03 +0000] "GET / HTTP/1.1" 200 5 "-" "{FIREFOX}"\n')
    assert main(["import", "log"]) == 0
    assert [row["country"] for row in hits()] == ["DK"]


def test_a_newer_file_that_is_copied_over_the_old_one_does_not_end_the_host(file: str) -> None:
    code = (
        "import sys; from privacy_middleware.collect.country import Countries; countries = Countries(sys.argv[1]); print(countries.of(sys.argv[2]));"
        "open(sys.argv[1], 'wb').close(); print(countries.of(sys.argv[2]))"
    )
    done = subprocess.run([sys.executable, "-c", code, file, DANISH], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["DK", "DK"])
