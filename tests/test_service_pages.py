"""The pages of the newsletter behind a link, and the owner's pages of questions, questionnaires, newsletter and recipients, over ASGI."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from privacy_middleware.mail import Mail

from .conftest import query
from .requesting import ANNA, OTTO, actions, amount
from .serving_people import POLICY, PRINTER, token_of
from .test_owner_pages import signed_in
from .test_recorder import until
from .test_request_pages import Site

SCRIPT = "<script>alert('canary')</script>"
POST = "/privacy/newsletter/"


async def take(request: Any) -> RedirectResponse:
    await request.body()
    return RedirectResponse("/thanks", 303)


def make_host() -> Starlette:
    return Starlette(routes=[Route(f"/{name}", take, methods=["POST"]) for name in ("contact", "news", "poll")])


class Served(Site):
    """A site with a form of every purpose."""

    def __init__(self, **more: Any) -> None:
        super().__init__(host=make_host, policy=POLICY + PRINTER, **more)

    def send(self, form: str, **values: Any) -> None:
        before = amount("submission") if query_is_possible() else 0
        assert self.client.post(f"/{form}", data=values).status_code == 303
        until(lambda: amount("submission") == before + 1)

    def signed_up(self, email: str = ANNA) -> str:
        """Sign up; returns the path of the link."""
        self.send("news", email=email, name="A")
        self.settle()
        return POST + token_of(self.mail("sign_up", email))


def query_is_possible() -> bool:
    try:
        query("SELECT 1 FROM submission")
    except Exception:  # there is no database yet
        return False
    return True


@pytest.fixture
def site() -> Iterator[Served]:
    site = Served()
    with site.client:
        yield site


@pytest.fixture
def owner(site: Served) -> TestClient:
    return signed_in(site)


# --- the newsletter --------------------------------------------------------------------------------------------------------


def test_to_look_at_the_link_changes_nothing(site: Served) -> None:
    link = site.signed_up()
    before = query("SELECT * FROM consent")
    for method in ("GET", "HEAD"):
        response = site.client.request(method, link)
        assert response.status_code == 200
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"
    assert query("SELECT * FROM consent") == before
    assert "Yes, send it to me" in site.client.get(link).text


def test_one_press_joins_and_one_leaves(site: Served) -> None:
    link = site.signed_up()
    assert "You will get our newsletter" in site.client.post(link, data={"action": "join"}).text
    assert amount("consent", "given IS NOT NULL") == 1
    assert "You do not get our newsletter any more" in site.client.post(link, data={"action": "leave"}).text
    assert amount("consent", "withdrawn IS NOT NULL") == 1
    assert amount("submission") == 0
    assert "You do not get our newsletter any more" in site.client.get(link).text


def test_who_was_signed_up_by_somebody_else_deletes_it_with_one_press(site: Served) -> None:
    link = site.signed_up()
    site.client.post(link, data={"action": "leave"})
    assert amount("consent") == amount("submission") == amount("subject", "lookup IS NOT NULL") == 0
    assert site.client.get(link).status_code == 404


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "application/x-www-form-urlencoded"}, b"List-Unsubscribe=One-Click"),
        (
            {"content-type": "multipart/form-data; boundary=x"},
            b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
        ),
    ],
)
def test_a_mail_program_stops_it_with_one_click(site: Served, headers: dict[str, str], body: bytes) -> None:
    """RFC 8058: no cookie, no origin, no redirect."""
    link = site.signed_up()
    site.client.post(link, data={"action": "join"})
    response = site.browser(cookies={}).post(link, content=body, headers=headers)
    assert response.status_code == 200
    assert amount("consent", "withdrawn IS NOT NULL") == 1


@pytest.mark.parametrize("token", ["0" * 64, "x", "a" * 3000, "é", "' OR 1=1 --"])
def test_a_link_that_is_none_says_what_to_do(site: Served, token: str) -> None:
    site.signed_up()
    for method in ("GET", "POST"):
        response = site.client.request(method, POST + token, data={"action": "leave"} if method == "POST" else None)
        assert response.status_code == 404
        assert response.headers["referrer-policy"] == "no-referrer"
    assert amount("consent") == 1


@pytest.mark.parametrize("action", ["", "other", "join&action=leave"])
def test_a_press_of_no_button_changes_nothing(site: Served, action: str) -> None:
    link = site.signed_up()
    assert site.client.post(link, content=f"action={action}".encode()).status_code == 400
    assert amount("consent", "given IS NULL") == 1


def test_a_body_that_is_too_long_is_refused(site: Served) -> None:
    assert site.client.post(site.signed_up(), content=b"x" * 5000).status_code == 413


def test_the_words_and_language_of_the_page_are_kept(site: Served) -> None:
    link = site.signed_up()
    page = site.client.get(f"{link}?lang=de").text
    site.client.post(f"{link}?lang=de", data={"action": "join"})
    from privacy_middleware.rights import consents

    store = site.privacy.store.another()
    store.open_to_read()
    said = consents.wording(site.privacy.office, store, consents.of_subject(store, query("SELECT subject FROM consent")[0]["subject"])[0])
    store.close()
    assert said.language == "de"
    assert said.words in page


def test_a_receipt_of_the_consent_can_be_kept(site: Served) -> None:
    link = site.signed_up()
    assert site.client.get(f"{link}/receipt").status_code == 404
    site.client.post(link, data={"action": "join"})
    assert f"{link}/receipt" in site.client.get(link).text
    receipt = site.client.get(f"{link}/receipt").json()
    record = receipt["dpv:hasRecordOfActivity"]
    assert record["dpv:hasConsentStatus"]["@type"] == "dpv:ConsentGiven"
    assert record["dpv:hasProcess"][0]["dct:title"] == "news"
    site.client.post(link, data={"action": "leave"})
    receipt = site.client.get(f"{link}/receipt").json()
    assert receipt["dpv:hasRecordOfActivity"]["dpv:hasConsentStatus"]["@type"] == "dpv:ConsentWithdrawn"
    assert ANNA not in str(receipt)


def test_a_second_sign_up_looks_the_same_to_everybody(site: Served) -> None:
    site.client.post(site.signed_up(), data={"action": "join"})

    def sign_up(email: str) -> tuple[int, bytes, list[tuple[str, str]]]:
        response = site.client.post("/news", data={"email": email, "name": "A"})
        return response.status_code, response.content, sorted(response.headers.items())

    assert sign_up(ANNA) == sign_up(OTTO)


# --- the owner -------------------------------------------------------------------------------------------------------------


def test_a_question_is_answered_on_its_page(site: Served, owner: TestClient) -> None:
    site.send("contact", email=ANNA, message=f"Can canaries fly? {SCRIPT}")
    queue = owner.get("/privacy/owner/questions").text
    assert "Can canaries fly" not in queue
    place = f"/privacy/owner/submissions/{query('SELECT lower(hex(id)) AS id FROM submission')[0]['id']}"
    assert place in queue
    page = owner.get(place).text
    assert "Can canaries fly" in page
    assert SCRIPT not in page
    done = owner.post(place, data={"action": "send and close", "text": f"Some can. {SCRIPT}"})
    assert (done.status_code, done.headers["location"]) == (303, place)
    page = owner.get(place).text
    assert "Some can." in page
    assert SCRIPT not in page
    mail: Mail = site.mail("answer")
    assert SCRIPT in mail.text
    assert SCRIPT not in mail.html
    queue = owner.get("/privacy/owner/questions").text
    assert place not in queue
    assert "within four hours" in queue
    assert [action for action in actions() if action in ("show", "answer", "close")] == ["show", "answer", "close", "show"]


@pytest.mark.parametrize(("text", "words"), [("", "the answer is empty"), ("x" * 20_001, "longer than")])
def test_an_answer_that_says_nothing_is_not_sent_and_not_lost(site: Served, owner: TestClient, text: str, words: str) -> None:
    site.send("contact", email=ANNA, message="?")
    place = f"/privacy/owner/submissions/{query('SELECT lower(hex(id)) AS id FROM submission')[0]['id']}"
    response = owner.post(place, data={"action": "send", "text": text})
    assert response.status_code == 409
    assert words in response.text
    assert text[:100] in response.text
    assert amount("reply") == 0


def test_a_form_of_another_purpose_has_no_answer(site: Served, owner: TestClient) -> None:
    site.send("news", email=ANNA, name="A")
    place = f"/privacy/owner/submissions/{query('SELECT lower(hex(id)) AS id FROM submission')[0]['id']}"
    assert 'name="text"' not in owner.get(place).text
    assert owner.post(place, data={"action": "send", "text": "Hello"}).status_code == 409


def test_answers_to_a_questionnaire_are_on_no_page_of_one_person(site: Served, owner: TestClient) -> None:
    for number in range(3):
        site.send("poll", age="25", found="friend", comment=f"comment {number} {SCRIPT}", other="")
    for row in query("SELECT lower(hex(id)) AS id FROM submission"):
        assert owner.get(f"/privacy/owner/submissions/{row['id']}").status_code == 404
        assert row["id"] not in owner.get("/privacy/owner/submissions").text
    page = owner.get("/privacy/owner/questionnaires").text
    assert "comment 2" in page
    assert SCRIPT not in page
    assert "Answers of at least 3 people" in page
    assert "show questionnaires" in actions()


def test_the_page_of_the_newsletter_counts(site: Served, owner: TestClient) -> None:
    site.client.post(site.signed_up(), data={"action": "join"})
    site.signed_up(OTTO)
    page = owner.get("/privacy/owner/newsletter").text
    assert "<dt>Get it</dt><dd>1</dd>" in page
    assert "<dt>Have not confirmed yet</dt><dd>1</dd>" in page
    assert ANNA not in page


def test_the_page_of_recipients_notes_that_they_know(site: Served, owner: TestClient) -> None:
    from privacy_middleware.rights import disclosures

    site.send("contact", email=ANNA, message="Hello")
    store = site.privacy.store.another()
    store.open()
    try:
        from datetime import UTC, datetime

        now = datetime.now(UTC)
        recipient = disclosures.recipient_of(site.privacy.office, "printer-ltd", "answer", today=now.date())
        found = disclosures.people(site.privacy.office, store, recipient, today=0)
        with store.transaction():
            disclosures.note(site.privacy.office, store, recipient, found, way="file", actor="Berta", now=int(now.timestamp() * 1000))
    finally:
        store.close()
    site.confirmed("erasure")
    site.settle()
    page = owner.get("/privacy/owner/recipients").text
    assert found[0].entry.hex() in page
    assert "their data are to be erased" in page
    id_ = query("SELECT lower(hex(id)) AS id FROM notice")[0]["id"]
    assert owner.post("/privacy/owner/recipients", data={"id": id_, "proof": f"by telephone {SCRIPT}"}).status_code == 303
    page = owner.get("/privacy/owner/recipients").text
    assert "by telephone" in page
    assert SCRIPT not in page
    assert "Note that they know" not in page
    record = owner.get("/privacy/owner/processing").text
    assert "Printer Ltd, for the purpose “answer”, from " in record


@pytest.mark.parametrize("place", ["questions", "questionnaires", "newsletter", "recipients"])
def test_an_empty_page_says_so(site: Served, owner: TestClient, place: str) -> None:
    assert owner.get(f"/privacy/owner/{place}").status_code == 200


def test_another_site_cannot_act_on_the_owners_pages(site: Served, owner: TestClient) -> None:
    site.send("contact", email=ANNA, message="?")
    place = f"/privacy/owner/submissions/{query('SELECT lower(hex(id)) AS id FROM submission')[0]['id']}"
    for target, data in ((place, {"action": "send", "text": "x"}), ("/privacy/owner/recipients", {"id": "0" * 32})):
        assert owner.post(target, data=data, headers={"origin": "https://evil.example"}).status_code == 403
    assert amount("reply") == 0
