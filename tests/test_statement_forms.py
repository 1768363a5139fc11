"""What the statement says of a form is what is kept of it."""

from typing import Any, get_args
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy_middleware import PrivacyMiddleware
from privacy_middleware.declaration import FORM_PURPOSES
from privacy_middleware.forms import Field, Form, Treatment
from privacy_middleware.language import Languages
from privacy_middleware.record import submissions
from privacy_middleware.statement.facts import Facts
from privacy_middleware.statement.forms import form_sections
from privacy_middleware.statement.section import Section

from .conftest import query
from .test_asgi import BROWSER, http_scope, run
from .test_capture import URLENCODED, answering, chunks

ENGLISH = Languages().get("en")
# What is sent under a field of each treatment, what is kept of it, and what the statement must say.
TREATMENTS: dict[str, tuple[dict[str, Any], str, Any, str]] = {
    "keep": ({}, "as it is", "as it is", "What you enter"),
    "length": ({}, "seven.", 6, "Only the number of characters"),
    "present": ({}, "x", True, "Only whether you enter anything"),
    "choice": ({"choices": ["red", "green"]}, "red", "red", "Which of these you choose: red; green"),
    "bucket": ({"edges": [18, 30]}, "21", "18 to under 30", "Only the range: under 18; 18 to under 30; 30 and over"),
    "date": ({"treatment": "bucket", "unit": "year"}, "2026-11-22", "2026", "Only the year of the date"),
    "age": ({"treatment": "bucket", "unit": "age", "edges": [18]}, "1950-01-31", "18 and over", "Only the range of your age: under 18; 18 and over"),
    "domain": ({}, "Ann@Example.org", "example.org", "Only what stands after the @"),
    "region": ({"letters": 1}, "8000", "8", "Only the first letter or digit"),
    "redact": ({}, "ask ann@example.org", "ask [e-mail]", "Your text; e-mail addresses"),
}  # fmt: skip


def declared(names: set[str], **more: Any) -> dict[str, Any]:
    fields = {name: {"treatment": name, **TREATMENTS[name][0]} for name in sorted(names)}
    form = {"name": "survey", "path": "/contact", "purpose": "answer", "retention_days": 30, "fields": fields, **more}
    if "email" in more.get("also", ()):
        del form["also"]
        fields["email"] = {"treatment": "keep", "identity": True}
    return form


def section_of(app: PrivacyMiddleware, name: str = "form-survey") -> Section:
    return next(section for section in app.privacy.sections(ENGLISH) if section.name == name)


def sent(app: PrivacyMiddleware, *headers: tuple[bytes, bytes], email: str = "") -> None:
    values = {name: text for name, (_, text, _, _) in TREATMENTS.items()} | {"undeclared": "x", "email": email}
    scope = http_scope("/contact", "POST", [*BROWSER, URLENCODED, *headers])
    run(app, scope, chunks(urlencode(values).encode(), 1000))


def opened(app: PrivacyMiddleware) -> list[tuple[int | None, dict[str, Any]]]:
    app.intake.close()
    store = app.privacy.store
    store.open()
    try:
        return [submissions.read(store, app.privacy.keys.vault, one) for one in submissions.find(store, first=0, last=2**31)]
    finally:
        store.close()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(st.sampled_from(sorted(TREATMENTS)), min_size=1))
def test_the_statement_names_exactly_the_fields_that_are_kept_and_how(names: set[str], tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("fields")
    app = PrivacyMiddleware(answering(200), forms=[declared(names)], database_url=f"sqlite:///{folder}/privacy.db", secret_keys="x" * 32)
    sent(app)
    app.recorder.close()
    [(_, values)] = opened(app)
    assert values == {name: [TREATMENTS[name][2]] for name in names}
    table = dict(section_of(app).table[1:])
    assert set(table) == names
    for name in names:
        assert table[name].startswith(TREATMENTS[name][3])


@pytest.mark.parametrize("identity", [False, True])
def test_who_it_is_of_and_when_it_came_is_kept_only_as_the_statement_says(identity: bool) -> None:
    app = PrivacyMiddleware(answering(200), forms=[declared({"keep"}, **({"also": ("email",)} if identity else {}))])
    text = repr(section_of(app))
    assert ("does not say who you are" in text) is not identity
    assert ("we keep the hour in which it came" in text) is identity
    sent(app, email="ann@example.org")
    [(time, _)] = opened(app)
    assert (time is not None) is identity
    assert (query("SELECT lookup FROM subject")[0]["lookup"] is not None) is identity


@pytest.mark.parametrize("requested", [False, True])
def test_of_those_who_refuse_that_is_kept_which_the_statement_says(requested: bool) -> None:
    app = PrivacyMiddleware(answering(200), forms=[declared({"keep"}, requested=requested)])
    assert ("kept all the same" in repr(section_of(app))) is requested
    assert ("survey" in repr(section_of(app, "refusal"))) is requested
    sent(app, (b"sec-gpc", b"1"))
    app.recorder.start()
    assert app.recorder.flush()
    assert len(opened(app)) == requested


@pytest.mark.parametrize("linked", [False, True])
def test_it_is_tied_to_the_visit_only_if_the_statement_says_so(linked: bool) -> None:
    app = PrivacyMiddleware(answering(200), forms=[declared({"keep"}, link_visit=linked)])
    assert ("together with the number" in repr(section_of(app))) is linked
    app.recorder.start()
    assert app.recorder.flush()  # now the day's salt is at hand
    sent(app)
    assert len(opened(app)) == 1
    assert (query("SELECT visitor FROM submission")[0]["visitor"] is not None) is linked


@pytest.mark.parametrize(("outcomes", "said"), [(["accepted"], False), (["accepted", "failed"], True)])
def test_what_the_app_failed_to_take_is_kept_only_if_the_statement_says_so(outcomes: list[str], said: bool) -> None:
    app = PrivacyMiddleware(answering(500), forms=[declared({"keep"}, outcomes=outcomes)])
    assert ("if our website fails to take it" in repr(section_of(app))) is said
    sent(app)
    app.recorder.start()
    assert app.recorder.flush()
    assert len(opened(app)) == said


def test_without_forms_the_statement_says_that_none_is_kept() -> None:
    assert "is not kept by this record" in repr(section_of(PrivacyMiddleware(answering(200)), "forms"))


def test_every_treatment_has_its_words() -> None:
    options: dict[str, dict[str, Any]] = {"choice": {"choices": ("a",)}, "bucket": {"edges": (1.0,)}}
    for treatment in get_args(Treatment):
        field = Field(treatment=treatment, **options.get(treatment, {}))
        form = Form(name="x", path="/", purpose="answer", retention_days=1, fields={"y": field})
        assert form_sections(ENGLISH, Facts(forms=(form,), purposes=FORM_PURPOSES))[1].table[1][1]
