"""The statement says what is stored, and what is stored is in the statement."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware, access
from privacy_middleware.declaration import VISIT_ITEMS, Declaration, Visits, load_declaration
from privacy_middleware.errors import DeclarationError
from privacy_middleware.language import Languages, english
from privacy_middleware.privacy import Host, Privacy
from privacy_middleware.privacy import rules as rules_of
from privacy_middleware.record.recorder import Recorder
from privacy_middleware.settings import load_settings
from privacy_middleware.statement.facts import facts_of
from privacy_middleware.statement.section import plain_text
from privacy_middleware.statement.text import OWNER_COOKIE_HOURS, write_statement

from .conftest import hits
from .databases import make_store
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
elsewhere = true
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
        make_store(found.database_path), rules=rules_of(found, Declaration()), zone=found.zone, retention_days=30, clock=lambda: now
    )
    lives = []
    for day in range(4):
        now = 1_800_000_000.0 + day * 86_400
        recorder.count("x")
        assert recorder.flush()
        lives.append(len(recorder.submit(lambda store: store.live_salts()).result(2)))
    assert lives == [1, 2, 2, 2]


# --- sentences that depend on what is done ---------------------------------------------------------------------------------

FORM = """
[[forms]]
name = "order"
path = "/order"
purpose = "answer"
retention_days = 90
link_visit = true
[forms.fields]
email = { treatment = "keep", identity = true }
"""


def told(**keywords: Any) -> str:
    return plain_text(Privacy.from_sources({"secret_keys": "s" * 40, **keywords}, {}).sections(english()))


def test_who_ties_a_visit_to_an_address_is_not_told_that_nobody_can() -> None:
    assert "The record of visits does not say who you are." in told(policy=FORM.replace("link_visit = true", ""))
    text = told(policy=FORM)
    assert "The record of visits does not say who you are." not in text
    assert text.count("unless you send a form that is kept together with your visit: order.") == 2
    assert "only what you send with such a form ties the visits of those days to you." in text


def test_another_purpose_of_visits_is_said_at_once() -> None:
    policy = '[visits]\npurpose = "ads"\n[[purposes]]\nname = "ads"\ntext = "to sell ads"\nlegal_basis = "art. 6(1)(f)"\n'
    assert "We count visits to sell ads." in told(policy=policy)
    assert "to improve this website" not in told(policy=policy)


def test_figures_are_said_only_of_what_is_noted() -> None:
    text = told(policy='[visits]\nitems = ["time", "page"]\n', publish=True)
    assert "browsers and systems" not in text
    assert "a source or a kind of browser" not in text
    assert "a source or a kind of browser" in told()


def test_the_owners_cookie_lives_as_long_as_the_statement_says() -> None:
    assert OWNER_COOKIE_HOURS * 3_600_000 == access.LONGEST
    assert "12 hours" in told()


def test_a_website_with_accounts_says_that_they_prove_who_asks() -> None:
    privacy = Privacy.from_sources({}, {}, host=Host(current_subject=lambda _: "anna@example.org"))
    assert "If you are signed in to this website" in plain_text(privacy.sections(english()))
    assert "If you are signed in" not in told()


def test_what_sources_export_is_said_to_wait() -> None:
    class Source:
        name = "crm"

        def export(self, _: str) -> list[Any]:
            return []

        def correct(self, _: str, __: Any) -> None: ...

        def erase(self, _: str) -> Any: ...

    privacy = Privacy.from_sources({}, {}, host=Host(sources=(Source(),)))
    assert "waits encrypted for 72 hours at most: crm." in plain_text(privacy.sections(english()))


def test_a_control_character_in_the_declaration_is_told() -> None:
    with pytest.raises(DeclarationError, match="control character"):
        Privacy.from_sources({"policy": '[controller]\nname = "A\\u0008B"\n'}, {})
