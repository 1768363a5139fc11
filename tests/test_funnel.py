"""The funnel of a form: how many saw it, sent it, and what became of that, without anybody in it."""

from typing import Any

import pytest

from privacy_middleware.collect.form import FormIndex
from privacy_middleware.collect.funnel import STEPS, steps
from privacy_middleware.collect.hit import CLIENT_CLOSED_REQUEST, Exchange
from privacy_middleware.forms import Field, Form

FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GOOGLEBOT = b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def a_form(name: str = "contact", path: str = "/contact", **more: Any) -> Form:
    return Form(**{"name": name, "path": path, "purpose": "answer", "retention_days": 1, "fields": {"x": Field(treatment="keep")}} | more)


CONTACT = a_form()
LETTER = a_form("letter", "/letter/{id}", shown_at="/about/{page}")
CHANGE = a_form("change", "/me", method="PUT")
STRICT = a_form("strict", "/strict", accepted=("303",))
FORMS = FormIndex([CONTACT, LETTER, CHANGE, STRICT])


def exchange(method: str, path: str, status: int = 200, **more: Any) -> Exchange:
    fields = {
        "time": 1_700_000_000.0, "visitor": (1, None, b""), "method": method, "path": path, "template": None, "query": b"",
        "host": b"www.example.org", "referrer": b"", "agent": FIREFOX, "language": b"", "purpose": b"", "request_type": b"",
        "status": status, "content_type": b"text/html", "disposition": b"", "content_range": b"", "sent": 1, "completed": 1, "duration": 0.1,
    } | more  # fmt: skip
    return Exchange(**fields)


def counted(method: str, path: str, status: int = 200, forms: FormIndex = FORMS, **more: Any) -> tuple[str, ...]:
    return steps(forms, tuple(exchange(method, path, status, **more)))


def test_a_page_view_of_a_form_counts_as_view():
    assert counted("GET", "/contact") == ("form.contact.view",)


def test_a_page_that_the_browser_had_counts_as_view():
    assert counted("GET", "/contact", 304, content_type=b"") == ("form.contact.view",)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "accepted"),
        (201, "accepted"),
        (204, "accepted"),
        (302, "accepted"),
        (303, "accepted"),
        (400, "invalid"),
        (422, "invalid"),
        (500, "failed"),
        (503, "failed"),
    ],
)
def test_what_was_sent_counts_as_sent_and_by_its_outcome(status: int, outcome: str):
    assert counted("POST", "/contact", status) == ("form.contact.sent", f"form.contact.{outcome}")


@pytest.mark.parametrize(("status", "outcome"), [(303, "accepted"), (200, "invalid"), (302, "invalid"), (500, "failed")])
def test_the_owner_says_with_which_statuses_the_app_accepts(status: int, outcome: str):
    assert counted("POST", "/strict", status) == ("form.strict.sent", f"form.strict.{outcome}")


def test_a_visitor_who_left_before_the_answer_has_sent_and_no_outcome():
    assert counted("POST", "/contact", CLIENT_CLOSED_REQUEST) == ("form.contact.sent",)


def test_every_step_that_is_counted_has_its_name():
    found = [counted("GET", "/contact"), *(counted("POST", "/contact", status) for status in (200, 400, 500))]
    assert {counter.rpartition(".")[2] for counters in found for counter in counters} == set(STEPS)


@pytest.mark.parametrize(("method", "path"), [("GET", "/contact"), ("POST", "/contact"), ("PUT", "/me")])
def test_bots_do_not_count(method: str, path: str):
    assert counted(method, path) != ()
    assert counted(method, path, agent=GOOGLEBOT) == ()


@pytest.mark.parametrize("path", ["/about/us", "/about/you"])
def test_a_form_that_is_shown_elsewhere_is_viewed_there(path: str):
    assert counted("GET", path) == ("form.letter.view",)


def test_the_path_that_it_is_sent_to_is_then_no_view():
    assert counted("GET", "/letter/17") == ()


def test_a_form_with_a_template_is_one_form_whatever_stands_in_it():
    assert counted("POST", "/letter/17", 303) == counted("POST", "/letter/18", 303) == ("form.letter.sent", "form.letter.accepted")
    assert counted("POST", "/letter/17/x", 303) == ()


def test_only_the_declared_method_sends():
    assert counted("PUT", "/me") == ("form.change.sent", "form.change.accepted")
    assert counted("POST", "/me") == counted("PUT", "/contact") == counted("DELETE", "/me") == ()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE", "TRACE"])
def test_methods_that_neither_show_nor_send_do_not_count(method: str):
    assert counted(method, "/contact") == ()


@pytest.mark.parametrize(
    ("status", "facts"),
    [
        (404, {}),
        (500, {}),
        (302, {}),
        (204, {}),
        (200, {"content_type": b"application/json"}),
        (200, {"content_type": b"image/png"}),
        (200, {"purpose": b"prefetch"}),
        (200, {"purpose": b"prefetch;prerender"}),
        (200, {"disposition": b"attachment"}),
    ],
)
def test_what_nobody_looked_at_is_no_view(status: int, facts: dict[str, Any]):
    assert counted("GET", "/contact", status, **facts) == ()


@pytest.mark.parametrize("path", ["/", "/contact/", "/Contact", "/contact2", "/letter", ""])
def test_another_page_is_of_no_form(path: str):
    assert counted("GET", path) == counted("POST", path) == ()


def test_what_the_app_shows_again_after_a_mistake_is_no_new_view():
    assert counted("POST", "/contact", 422, content_type=b"text/html") == ("form.contact.sent", "form.contact.invalid")


def test_without_forms_nothing_counts():
    assert counted("POST", "/contact", forms=FormIndex([])) == counted("GET", "/contact", forms=FormIndex([])) == ()


def test_two_forms_on_one_page_are_both_viewed():
    both = FormIndex([a_form(), a_form("letter", "/letter", shown_at="/contact")])
    assert sorted(counted("GET", "/contact", forms=both)) == ["form.contact.view", "form.letter.view"]


def test_a_page_that_fits_a_plain_path_and_a_template_shows_both_forms():
    both = FormIndex([a_form("one", "/one", shown_at="/about/us"), a_form("any", "/any", shown_at="/about/{page}")])
    assert sorted(counted("GET", "/about/us", forms=both)) == ["form.any.view", "form.one.view"]


def test_no_counter_tells_what_stood_in_the_path_or_who_it_was():
    found = counted("POST", "/letter/ann@example.org", 303) + counted("GET", "/about/ann@example.org")
    assert all("ann" not in counter for counter in found)
    assert len(found) == 3
