"""The statement says what is stored, and what is stored is in the statement."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.declaration import VISIT_ITEMS, Declaration, Visits, load_declaration
from privacy_middleware.language import Languages
from privacy_middleware.privacy import rules as rules_of
from privacy_middleware.record.recorder import Recorder
from privacy_middleware.settings import load_settings
from privacy_middleware.statement.facts import facts_of
from privacy_middleware.statement.text import write_statement
from privacy_middleware.store.sqlite import SQLiteStore

from .conftest import hits
from .test_asgi import BROWSER, HOSTS, http_scope, run

TITLES = [
    "Which data we collect", "Why we collect them", "Who has access", "How the data are protected",
    "Overview and deletion of your data", "Changes of this statement", "Contact",
]  # fmt: skip
# What in a stored row shows that an item was taken: the column, and what stands there when it was not.
EVIDENCE = {
    "visitor": ("visitor", None), "address": ("address", None), "page": ("path", ""), "status": ("status", 0),
    "source": ("source_address", ""), "campaign": ("campaign_value", ""), "agent": ("browser", ""), "language": ("language_value", ""),
    "bytes": ("sent", 0), "site": ("site", ""),
}  # fmt: skip
TITLE_OF = {name: item.title for name, item in VISIT_ITEMS.items()}
POLICY = """
[settings]
retention_days = 14
[controller]
name = "Example <b>Company</b>"
address = ["1 Street\\nTown"]
email = "privacy@example.org"
telephone = "+45 12 34 56 78"
[[purposes]]
name = "delivery"
text = "to deliver what you ordered"
legal_basis = "our contract with you"
[[recipients]]
name = "Posten"
purpose = "delivery"
data = "name and address"
country = "Denmark"
[statement]
introduction = "Our *own* words <script>alert(1)</script> [link](javascript:alert(1))"
"""


def statement(**keywords: Any) -> str:
    found, document = load_settings(keywords, {})
    declaration = load_declaration(document)
    return "\n".join(
        repr(section) for section in write_statement(Languages().get("en"), facts_of(declaration, found, rules_of(found, declaration)))
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.sets(st.sampled_from(sorted(VISIT_ITEMS))), ip=st.sampled_from(["truncated", "none", "full"]), sites=st.booleans())
def test_the_statement_names_exactly_the_items_that_are_stored(items: set[str], ip: str, sites: bool, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("item")
    keywords = {
        "ip": ip,
        "sites": "example.org" if sites else "",
        "database_url": f"sqlite:///{folder}/privacy.db",
        "secret_keys": "x" * 32,
    }
    found, _ = load_settings(keywords, {})
    declaration = Declaration(visits=Visits(items=("time", *sorted(items - {"time"}))))
    rules = rules_of(found, declaration)
    text = "\n".join(repr(section) for section in write_statement(Languages().get("en"), facts_of(declaration, found, rules)))

    inline = f"{keywords!r}"
    assert "secret" not in text, inline
    policy = f"visits.items = {list(declaration.visits.items)}\n"
    app = PrivacyMiddleware(HOSTS["plain"], policy=policy, **keywords)
    headers = [*BROWSER, (b"referer", b"https://other.example/path")]
    run(app, http_scope("/page", headers=headers, query_string=b"utm_source=mail"))
    app.recorder.close()
    (hit,) = hits(folder / "privacy.db")
    for name, (column, absent) in EVIDENCE.items():
        said = (TITLE_OF[name][:20] if name != "address" else "Your network address,") in text
        assert said == (hit[column] != absent), (name, hit)


def test_all_sections_of_a_classic_policy_are_there_in_order() -> None:
    app = PrivacyMiddleware(HOSTS["plain"])
    html = TestClient(app).get("/privacy/").text
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert [title for title in titles if title in TITLES] == TITLES


def test_the_owners_facts_and_words_are_shown_and_harmless() -> None:
    html = TestClient(PrivacyMiddleware(HOSTS["plain"], policy=POLICY)).get("/privacy/").text
    for fact in (
        "Example &lt;b&gt;Company",
        "privacy@example.org",
        "+45 12 34 56 78",
        "Town",
        "Posten",
        "delivery",
        "14 days",
        "<em>own</em>",
    ):
        assert fact in html
    assert "<script" not in html
    assert 'javascript:alert(1)"' not in html


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"retention_days": 7}, "7 days"),
        ({"retention_days": 1}, "one day"),
        ({"ip": "none"}, "Your network address is not kept in it"),
        ({"ip": "full"}, "full network address"),
        ({"ip": "truncated"}, "shortened"),
        ({"signals": "gpc=ignore,dnt=ignore"}, "We do not take"),
        ({"query_params": "page"}, "page"),
        ({"base_url": "https://example.org"}, "HTTPS"),
    ],
)
def test_the_statement_follows_the_settings(change: dict[str, Any], said: str) -> None:
    assert said in statement(**change)
    assert statement(**change) != statement(retention_days=30, ip="none", signals="dnt=ignore")


def test_the_salt_lives_as_long_as_the_statement_says() -> None:
    assert "serves for one day. After the second day the key is destroyed" in statement()
    now = 1_800_000_000.0
    found, _ = load_settings({}, {})
    recorder = Recorder(
        SQLiteStore(found.database_path), rules=rules_of(found, Declaration()), zone=found.zone, retention_days=30, clock=lambda: now
    )
    lives = []
    for day in range(4):
        now = 1_800_000_000.0 + day * 86_400
        recorder.count("x")
        assert recorder.flush()
        lives.append(len(recorder.submit(lambda store: store.live_salts()).result(2)))
    assert lives == [1, 2, 2, 2]
