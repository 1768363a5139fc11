"""The metrics for operations: OpenMetrics, behind a token, and nothing of visitors."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.testclient import TestClient

from privacy_middleware import PrivacyMiddleware

from .requesting import ANNA, at_desk

TOKEN = "token-of-the-tests-" * 3


def site(**settings: Any) -> TestClient:
    return TestClient(PrivacyMiddleware(Starlette(), secret_keys="secret-of-the-tests-" * 2, **{"policy": "\n", **settings}))


def metrics(client: TestClient) -> dict[tuple[str, tuple[Any, ...]], float]:
    response = client.get("/privacy/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = list(text_string_to_metric_families(response.text))
    return {(sample.name, tuple(sample.labels.items())): sample.value for family in families for sample in family.samples}


def test_without_a_token_set_there_is_no_such_page() -> None:
    assert site().get("/privacy/metrics", headers={"authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é"])
def test_who_does_not_send_the_token_gets_nothing(given: str | None) -> None:
    headers = {} if given is None else {"authorization": given.encode("utf-8")}
    response = site(metrics_token=TOKEN).get("/privacy/metrics", headers=headers)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert "privacy_" not in response.text


def test_the_text_is_what_a_public_parser_reads() -> None:
    found = metrics(site(metrics_token=TOKEN))
    assert found[("privacy_database_up", ())] == 1
    assert found[("privacy_queue_length", ())] == 0
    assert found[("privacy_requests_open", ())] == 0


def test_what_was_dropped_is_counted_by_reason() -> None:
    client = site(metrics_token=TOKEN)
    recorder = client.app.recorder  # type: ignore[attr-defined]
    recorder.drop("queue_full", 7)
    recorder.count('fault.Odd"name\\')
    recorder.flush()
    found = metrics(client)
    assert found[("privacy_dropped_total", (("reason", "queue_full"),))] == 7
    assert found[("privacy_faults_total", (("kind", 'Odd"name\\'),))] == 1


def test_a_batch_that_was_written_leaves_its_time() -> None:
    client = site(metrics_token=TOKEN)
    client.get("/")
    client.app.recorder.flush()  # type: ignore[attr-defined]
    found = metrics(client)
    assert found[("privacy_hits_stored", ())] == 1
    assert found[("privacy_batch_seconds", ())] > 0


def test_the_next_deadline_stands_there_and_nothing_of_the_person() -> None:
    with at_desk() as desk:
        desk.submit(ANNA)
        request = desk.confirmed("complaint")  # of the others some lapse by the clock of the real site
        client = site(metrics_token=TOKEN, policy="\n")
        found = metrics(client)
        assert found[("privacy_requests_open", ())] >= 1
        assert found[("privacy_request_deadline_seconds", ())] == request.due / 1000
        assert ANNA not in client.get("/privacy/metrics", headers={"authorization": f"Bearer {TOKEN}"}).text


def test_while_the_database_is_away_it_says_so() -> None:
    client = site(metrics_token=TOKEN, database_url="sqlite:////proc/nowhere/privacy.db")
    assert metrics(client)[("privacy_database_up", ())] == 0


def test_a_weak_token_is_refused() -> None:
    with pytest.raises(Exception, match="PRIVACY_METRICS_TOKEN"):
        site(metrics_token="short")


def test_no_metric_names_a_time_of_a_visit() -> None:
    client = site(metrics_token=TOKEN)
    client.get("/canary-page")
    client.app.recorder.flush()  # type: ignore[attr-defined]
    text = client.get("/privacy/metrics", headers={"authorization": f"Bearer {TOKEN}"}).text
    assert "canary" not in text
    assert str(int(time.time()))[:6] not in text
    assert datetime.now(UTC).date().isoformat() not in text
