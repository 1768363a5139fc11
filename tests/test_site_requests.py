"""The pages of data requests, as an app serves them: GET shows, POST acts, and the answer is the same for everybody."""

import io
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.mail import Mail
from privacy_middleware.settings import REQUEST_KINDS

from .conftest import FIREFOX, hits, query
from .test_recorder import until

SITE = "https://www.example.org"
ANN, BOB = "ann@example.org", "bob@example.org"
POLICY = """
[controller]
name = "Example"
email = "owner@example.net"
[[forms]]
name = "contact"
path = "/contact"
purpose = "answer"
retention_days = 365
requested = true
[forms.fields]
email = { treatment = "keep", identity = true }
message = { treatment = "keep", label = "Your message" }
"""


async def page(_: Request) -> Response:
    return PlainTextResponse("page")


async def take(request: Request) -> Response:
    await request.form()
    return PlainTextResponse("thanks")


class Site(TestClient):
    """A browser at a wrapped site, and the mails that the site sends."""

    def __init__(self, *, keeps_mails: bool = True, **settings: Any) -> None:
        self.mails: list[Mail] = []
        app = Starlette(routes=[Route("/", page), Route("/contact", take, methods=["POST"]), Mount("/sub", page)])
        given = {"policy": POLICY, "base_url": SITE, **({"send_mail": self.mails.append} if keeps_mails else {}), **settings}
        self.wrapped = PrivacyMiddleware(app, **given)
        super().__init__(self.wrapped, base_url=SITE, headers={"user-agent": FIREFOX, "origin": SITE}, follow_redirects=False)

    def write(self, email: str, message: str = "hello") -> None:
        assert self.post("/contact", data={"email": email, "message": message}).status_code == 200

    def ask(self, kind: str = "overview", email: str = ANN, **more: str) -> Any:
        return self.post("/privacy/requests/", data={"kind": kind, "email": email, "text": "", **more})

    def mail(self, kind: str) -> Mail:
        until(lambda: any(mail.kind == kind for mail in self.mails))
        return [mail for mail in self.mails if mail.kind == kind][-1]

    def link(self, kind: str = "confirm") -> str:
        """The path of the link in the newest mail of a kind, which is then forgotten."""
        mail = self.mail(kind)
        self.mails.remove(mail)
        found = re.search(r"https://www\.example\.org(/privacy/requests/\S+)", mail.text)
        assert found, mail.text
        return found[1]

    def proven(self, kind: str = "overview", email: str = ANN, **more: str) -> str:
        """Ask and confirm; the path at which it goes on."""
        assert self.ask(kind, email, **more).status_code == 303
        answer = self.post(self.link())
        assert answer.status_code == 303
        return str(answer.headers["location"])

    def state(self) -> list[str]:
        return [row["state"] for row in query("SELECT state FROM request ORDER BY created, id")]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


# --- asking ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"kind": ""}, "choose what you would like"),
        ({"kind": "everything"}, "choose what you would like"),
        ({"email": ""}, "write your e-mail address"),
        ({"email": "ann"}, "write your e-mail address"),
        ({"email": "ann@localhost"}, "write your e-mail address"),
        ({"email": "ann@example.org, bob@example.org"}, "write your e-mail address"),
        ({"email": "(x)ann@example.org"}, "write your e-mail address"),
        ({"email": "ann@example.org\r\nBcc: bob@example.org"}, "write your e-mail address"),
        ({"kind": "complaint"}, "write your question or complaint"),
        ({"kind": "complaint", "text": "x" * 4001}, "shorten your text"),
        ({"kind": "erasure", "text": "and my order"}, "Your text would not be read"),
    ],
)
def test_what_is_missing_or_wrong_is_named_and_what_was_written_stays(site: Site, sent: dict[str, str], says: str) -> None:
    answer = site.ask(**{"kind": "overview", "email": ANN, **sent})
    assert answer.status_code == 400
    assert says in words(answer.text)
    assert sent.get("text", "")[:4000] in answer.text
    assert query("SELECT * FROM request", "privacy.db") == []


def test_a_text_of_the_longest_letters_within_the_limit_is_taken(site: Site) -> None:
    assert site.ask("complaint", text="🙂" * 2000).status_code == 303


def test_what_is_far_too_long_is_refused_with_a_sentence(site: Site) -> None:
    answer = site.ask("complaint", text="x" * 100_000)
    assert (answer.status_code, "too long" in answer.text) == (413, True)


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}])
def test_another_site_cannot_ask_in_somebodys_name(site: Site, headers: dict[str, str]) -> None:
    answer = site.post("/privacy/requests/", data={"kind": "erasure", "email": ANN}, headers=headers)
    assert answer.status_code == 403


def test_asking_sends_a_link_that_names_the_configured_site_whatever_the_host_header_says(site: Site) -> None:
    site.post(
        "/privacy/requests/",
        data={"kind": "overview", "email": ANN},
        headers={"host": "evil.example", "x-forwarded-host": "evil.example", "origin": "https://evil.example"},
    )
    assert "evil" not in site.mail("confirm").text + site.mail("confirm").html


def test_the_first_mail_holds_no_word_of_whoever_asked(site: Site) -> None:
    site.ask("complaint", text="buy pills at evil.example", headers="")
    mail = site.mail("confirm")
    assert "evil" not in mail.text + mail.html + mail.subject


@pytest.mark.parametrize("kind", REQUEST_KINDS)
def test_the_answer_is_the_same_for_known_and_unknown_addresses(site: Site, kind: str) -> None:
    site.write(ANN)
    text = {"text": "a question"} if kind == "complaint" else {}
    known, unknown = site.ask(kind, ANN, **text), site.ask(kind, BOB, **text)
    for name in ("status_code", "headers", "content"):
        assert getattr(known, name) == getattr(unknown, name), name
    assert site.get(known.headers["location"]).content == site.get(unknown.headers["location"]).content


def test_the_time_of_an_answer_does_not_tell_whether_an_address_is_known() -> None:
    """The only place where time is looked at: over twice 500 tries, interleaved, by the area under the curve (Mann and Whitney)."""
    with Site(limits="address=1000000,network=1000000,all=1000000") as site:
        for number in range(20):
            site.write(ANN, f"message {number}")

        def taken(email: str) -> float:
            begun = perf_counter()
            site.ask("overview", email)
            return perf_counter() - begun

        times = [(taken(ANN), taken(BOB)) for _ in range(500)]
    known, unknown = zip(*times, strict=True)
    ranks = {time: rank for rank, time in enumerate(sorted((*known, *unknown)))}
    area = (sum(ranks[time] for time in known) - 500 * 499 / 2) / 500**2
    assert abs(area - 0.5) < 0.1, (median(known), median(unknown))


def test_too_many_requests_are_told_when_to_come_again_and_the_earlier_link_still_works(site: Site) -> None:
    answers = [site.ask() for _ in range(6)]
    assert [answer.status_code for answer in answers] == [303] * 5 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 25 * 3600
    assert "come again" in words(answers[-1].text)
    assert site.post(site.link()).status_code == 303


def test_a_database_that_is_away_is_told_and_nothing_is_acknowledged() -> None:
    with Site() as site:
        site.ask()
        lock = sqlite3.connect("privacy.db")
        try:
            lock.execute("BEGIN EXCLUSIVE")
            answer = site.ask("erasure", BOB)
        finally:
            lock.close()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert "Nothing was changed" in words(answer.text)


# --- without mail ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{"base_url": ""}, {"keeps_mails": False}])
def test_without_mail_or_base_url_a_request_waits_for_the_owner_and_the_page_says_so(settings: dict[str, Any]) -> None:
    with Site(**settings) as site:
        answer = site.post("/privacy/requests/", data={"kind": "overview", "email": ANN})
        assert "cannot send mails" in words(site.get(answer.headers["location"]).text)
        assert site.state() == ["received"]
        assert site.mails == []


def test_what_waited_goes_on_once_mail_can_be_sent() -> None:
    with Site(keeps_mails=False) as before:
        before.ask()
    with Site() as after:
        after.get("/")
        assert after.mail("confirm").to == ANN


# --- links -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REQUEST_KINDS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_looking_at_a_link_changes_nothing(site: Site, kind: str, method: str) -> None:
    site.write(ANN)
    site.ask(kind, text="why?" if kind == "complaint" else "")
    before = query("SELECT state, confirmed FROM request"), query("SELECT uses FROM link")
    assert site.request(method, site.link()).status_code == (200 if method in ("GET", "HEAD") else 405)
    assert (query("SELECT state, confirmed FROM request"), query("SELECT uses FROM link")) == before


def late(site: Site) -> None:
    site.wrapped.privacy.clerk.clock = lambda: __import__("time").time() + 25 * 3600


def used(site: Site) -> None:
    assert site.post(site.first).status_code == 303


@pytest.mark.parametrize("spoil", [late, used])
def test_a_link_that_is_late_or_used_does_nothing_and_the_page_says_what_to_do(site: Site, spoil: Callable[[Any], None]) -> None:
    site.ask("erasure")
    site.first = site.link()
    spoil(site)
    states = site.state()
    for answer in (site.get(site.first), site.post(site.first)):
        assert answer.status_code == 404
        assert "Ask for a new one" in words(answer.text)
    assert site.state() == states


@pytest.mark.parametrize("token", ["x", "A" * 43, "%00", "..%2f..", "é" * 20, "x" * 8000, "' OR 1=1 --"])
@pytest.mark.parametrize("place", ["confirm", "overview", "correct", "status"])
def test_a_token_that_is_none_opens_nothing(site: Site, place: str, token: str) -> None:
    for answer in (site.get(f"/privacy/requests/{place}/{token}"), site.post(f"/privacy/requests/{place}/{token}")):
        assert answer.status_code == 404


def test_a_link_opens_nothing_but_what_it_is_for(site: Site) -> None:
    site.ask("erasure")
    token = site.link().rpartition("/")[2]
    for place in ("overview", "correct", "status"):
        assert site.post(f"/privacy/requests/{place}/{token}", data={"action": "show"}).status_code == 404
    assert site.state() == ["awaiting_confirmation"]


def test_an_overviews_link_does_not_erase_but_a_mail_for_that_can_be_had(site: Site) -> None:
    site.write(ANN)
    site.ask("overview")
    answer = site.post(site.link(), data={"kind": "erasure"})
    assert answer.headers["location"].endswith("/requests/sent")
    assert sorted(site.state()) == ["awaiting_confirmation", "withdrawn"]
    assert "erasure" in site.mail("confirm").text
    assert len(query("SELECT * FROM submission")) == 1


def test_tokens_never_stand_in_the_log_of_visits(site: Site) -> None:
    site.get("/", headers={"referer": SITE + site.proven()})
    site.wrapped.recorder.flush()
    assert [hit["path"] for hit in hits()] == ["/"]
    assert "requests" not in hits()[0]["source_address"]


@pytest.mark.parametrize("path", ["/privacy/requests/", "/privacy/requests/sent", "/privacy/my-browser"])
def test_open_pages_have_the_strict_headers(site: Site, path: str) -> None:
    headers = site.get(path).headers
    assert "unsafe" not in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "same-origin")


def test_pages_behind_a_link_are_kept_by_nobody_and_their_address_goes_nowhere(site: Site) -> None:
    site.write(ANN)
    overview = site.proven()
    for answer in (
        site.get(overview), site.post(overview, data={"action": "show"}), site.post(overview, data={"action": "download"}),
        site.get(overview + "x"), site.get(overview + "/"), site.put(overview), site.get(site.proven("correction")),
    ):  # fmt: skip
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "noindex" in answer.headers["x-robots-tag"]


# --- overview --------------------------------------------------------------------------------------------------------------


def test_an_overview_shows_ones_own_data_and_nobody_elses(site: Site) -> None:
    site.write(ANN, "mine <script>alert(1)</script> {{ 7 * 7 }}")
    site.write(BOB, "somebody else's")
    shown = site.post(site.proven(), data={"action": "show"}).text
    assert "mine &lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }}" in shown
    assert "somebody else" not in shown


@pytest.mark.parametrize("email", ["ANN@EXAMPLE.ORG", " ann@example.org ", "Ann@example.org."])
def test_spellings_of_one_address_are_one_person(site: Site, email: str) -> None:
    site.write(ANN, "mine")
    assert "mine" in site.post(site.proven(email=email), data={"action": "show"}).text


@pytest.mark.parametrize(
    "email", ["\u0430nn@example.org", "ann@ex\u0430mple.org", "ánn@example.org", "ann+1@example.org", "ann@example.org.uk"]
)
def test_look_alikes_are_not(site: Site, email: str) -> None:
    site.write(ANN, "not theirs")
    site.ask(email=email)
    mail = site.mail("confirm")
    assert mail.to != ANN
    answer = site.post(site.link())
    assert "not theirs" not in site.post(answer.headers["location"], data={"action": "show"}).text


def test_an_overview_can_be_downloaded_three_times_over_all_of_its_links(site: Site) -> None:
    site.write(ANN, "mine")
    one = site.proven()
    two = site.link("ready")
    answers = [site.post(path, data={"action": "download"}) for path in (one, two, one, two)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 410]
    with zipfile.ZipFile(io.BytesIO(answers[0].content)) as archive:
        assert archive.testzip() is None
        assert b"mine" in archive.read("submissions.csv")
    assert site.post(one, data={"action": "show"}).status_code == 200


# --- the other kinds -------------------------------------------------------------------------------------------------------


def test_an_erasure_shows_the_counts_first_and_then_erases(site: Site) -> None:
    site.write(ANN)
    site.write(ANN)
    site.ask("erasure")
    link = site.link()
    assert "2 \u00d7 what you sent with “contact”" in words(site.get(link).text)
    status = site.post(link).headers["location"]
    until(lambda: query("SELECT * FROM submission") == [])
    assert "Your data are erased" in words(site.get(status).text)
    assert site.mail("receipt").to == ANN


def test_a_delayed_erasure_can_be_called_off() -> None:
    with Site(erasure_delay="3d") as site:
        site.write(ANN)
        status = site.proven("erasure")
        assert "Until then you can call it off" in words(site.get(status).text)
        assert "called off" in words(site.post(status, data={"action": "withdraw"}).text)
        assert site.state() == ["withdrawn"]


def test_a_correction_that_needs_no_review_is_done() -> None:
    with Site(review="") as site:
        site.write(ANN, "helo")
        edit = site.proven("correction")
        shown = site.post(edit, data={"action": "show"}).text
        name = re.search(r'name="([0-9a-f]{32}\.0\.message)"', shown)
        assert name
        assert site.post(edit, data={"action": "send", name[1]: "hello"}).status_code == 303
        assert site.mail("fulfilled").to == ANN
        assert "hello" in site.post(site.proven(), data={"action": "show"}).text


def test_an_unchanged_correction_says_that_nothing_is_changed(site: Site) -> None:
    site.write(ANN)
    edit = site.proven("correction")
    answer = site.post(edit, data={"action": "send"})
    assert (answer.status_code, "Nothing is changed yet" in answer.text) == (400, True)


def test_an_objection_refuses_for_this_browser_too(site: Site) -> None:
    site.get("/")
    site.wrapped.recorder.flush()
    site.ask("objection")
    answer = site.post(site.link())
    assert "__Host-privacy-choice=refuse" in answer.headers["set-cookie"]
    assert hits() == []


def test_a_restriction_can_be_ended_by_the_person(site: Site) -> None:
    site.write(ANN)
    status = site.proven("restriction")
    assert query("SELECT restricted IS NULL AS free FROM subject WHERE lookup IS NOT NULL") == [{"free": 0}]
    assert "Use my data again" in site.get(status).text
    site.post(status, data={"action": "lift"})
    assert query("SELECT restricted IS NULL AS free FROM subject WHERE lookup IS NOT NULL") == [{"free": 1}]


def test_a_question_waits_for_the_owner_who_is_told_without_its_text(site: Site) -> None:
    site.proven("complaint", text="a secret question")
    mail = site.mail("to_review")
    assert (mail.to, "secret" in mail.text, ANN in mail.text) == ("owner@example.net", False, False)
    assert site.state() == ["in_review"]


def test_the_same_asked_twice_is_done_once() -> None:
    with Site(review="erasure") as site:
        site.proven("erasure")
        status = site.proven("erasure")
        assert sorted(site.state()) == ["in_review", "withdrawn"]
        assert "asked for twice" in words(site.get(status).text)


# --- the host's accounts ---------------------------------------------------------------------------------------------------


async def ann(_: Request) -> str:
    return "Ann@Example.org"


def nobody(_: Request) -> None:
    return None


def broken(_: Request) -> str:
    raise RuntimeError("a canary")


def test_who_is_signed_in_needs_no_mail() -> None:
    with Site(current_subject=ann, base_url="", keeps_mails=False) as site:
        site.write(ANN, "mine")
        assert "signed in as" in words(site.get("/privacy/requests/").text)
        overview = site.post("/privacy/requests/", data={"kind": "overview"}).headers["location"]
        assert "mine" in site.post(overview, data={"action": "show"}).text


def test_who_is_signed_in_sees_what_an_erasure_takes_before_it_is_done() -> None:
    with Site(current_subject=ann) as site:
        site.write(ANN)
        confirm = site.post("/privacy/requests/", data={"kind": "erasure"}).headers["location"]
        assert "1 \u00d7 what you sent" in words(site.get(confirm).text)
        assert len(query("SELECT * FROM submission")) == 1
        site.post(confirm)
        until(lambda: query("SELECT * FROM submission") == [])


def test_who_is_signed_in_cannot_ask_for_somebody_else() -> None:
    with Site(current_subject=ann) as site:
        assert site.ask("overview", BOB).status_code == 400


@pytest.mark.parametrize("current_subject", [nobody, broken, lambda _: 7, lambda _: "no address"])
def test_where_nobody_is_signed_in_a_mail_is_the_proof(current_subject: Any) -> None:
    with Site(current_subject=current_subject) as site:
        assert site.ask().headers["location"].endswith("/sent")
        assert site.mail("confirm").to == ANN


# --- this browser ----------------------------------------------------------------------------------------------------------


def test_what_is_recorded_of_a_browser_is_shown_as_kinds_and_counts_never_pages(site: Site) -> None:
    for path in ("/", "/", "/nowhere-special"):
        site.get(path)
    shown = words(site.get("/privacy/my-browser").text)
    assert "Other requests 2" in shown or "Pages 2" in shown or "Data for programs 2" in shown
    assert "nowhere-special" not in shown


def test_it_can_be_erased_and_refused(site: Site) -> None:
    site.get("/")
    erased = site.post("/privacy/my-browser", data={"action": "erase"})
    assert ("1 request was erased" in words(erased.text), "set-cookie" in erased.headers) == (True, False)
    refused = site.post("/privacy/my-browser", data={"action": "refuse"})
    assert "refuse" in refused.headers["set-cookie"]
    assert site.post("/privacy/my-browser", data={"action": "x"}).status_code == 400
    assert site.post("/privacy/my-browser", data={"action": "erase"}, headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_somebody_else_sees_nothing_of_it(site: Site) -> None:
    site.get("/")
    assert "Nothing is recorded under this browser" in words(
        site.get("/privacy/my-browser", headers={"user-agent": FIREFOX + " else"}).text
    )


def test_where_visitors_are_not_told_apart_the_page_says_so() -> None:
    with Site(policy='[visits]\nitems = ["time", "page"]\n[controller]\nemail = "o@example.net"') as site:
        assert "nobody can say which are yours" in words(site.get("/privacy/my-browser").text)
