"""Each framework under real servers: it logs its visits, honours a refusal, serves the privacy pages, and stops cleanly."""

import signal
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path

import pytest

from .conftest import FIREFOX, hits
from .serving import Server
from .test_frameworks import ASGI, WSGI

ANY = """
import privacy_middleware
from tests import test_frameworks

app = privacy_middleware.init(test_frameworks.NAME())
app = getattr(app, "server", app)
"""
DJANGO = """
from django.conf import settings

settings.configure(
    SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF="served", USE_I18N=False,
    MIDDLEWARE=["privacy_middleware.django.PrivacyMiddleware", "django.middleware.common.CommonMiddleware"],
)

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path


def order(request, id):
    return HttpResponse("order", content_type="text/plain")


urlpatterns = [path("orders/<str:id>", order)]
app = get_PROTOCOL_application()
"""
COMMANDS = {
    "uvicorn": ["uvicorn", "served:app", "--port", "PORT", "--no-access-log"],
    "uvicorn, 2 workers": ["uvicorn", "served:app", "--port", "PORT", "--no-access-log", "--workers", "2"],
    "hypercorn": ["hypercorn", "served:app", "--bind", "127.0.0.1:PORT"],
    "granian": ["granian", "--interface", "asgi", "--port", "PORT", "served:app"],
    "gunicorn": ["gunicorn", "served:app", "--bind", "127.0.0.1:PORT", "--threads", "4"],
    "gunicorn, 2 workers, preload": ["gunicorn", "served:app", "--bind", "127.0.0.1:PORT", "--threads", "4", "--workers", "2", "--preload"],
    "granian, wsgi": ["granian", "--interface", "wsgi", "--port", "PORT", "served:app"],
}
PAIRS = [
    *[(make.__name__, ANY, page, server) for (make, page), server in zip(ASGI.items(), cycle(("uvicorn", "hypercorn")), strict=False)],
    *[(make.__name__, ANY, page, server) for (make, page), server in zip(WSGI.items(), cycle(("gunicorn", "granian, wsgi")), strict=False)],
    *[("wsgi", DJANGO, "/orders/{id}", server) for server in ("gunicorn, 2 workers, preload", "granian, wsgi")],
    *[("asgi", DJANGO, "/orders/{id}", server) for server in ("uvicorn, 2 workers", "hypercorn", "granian")],
]


@pytest.mark.parametrize(
    ("name", "code", "page", "server"),
    PAIRS,
    ids=[f"{'django ' if code == DJANGO else ''}{name}, {server}" for name, code, _, server in PAIRS],
)
def test_a_framework_under_a_server_does_all_that_is_promised(name: str, code: str, page: str, server: str, tmp_path: Path) -> None:
    text = code.replace("NAME", name).replace("PROTOCOL", name)
    served = Server(COMMANDS[server], tmp_path, text)
    try:
        served.wait_for_port()
        assert get(served, "/orders/seventeen") == (200, b"order"), served.output.read_text()
        assert get(served, "/orders/eighteen", gpc=True) == (200, b"order")
        status, statement = get(served, "/privacy/")
        assert (status, b"Privacy statement" in statement) == (200, True)
        assert served.stop(signal.SIGTERM) in (0, -signal.SIGTERM), served.output.read_text()
    finally:
        served.kill()
    assert [(hit["path"], hit["status"], hit["sent"]) for hit in hits()] == [(page, 200, 5)], served.output.read_text()
    assert "Traceback" not in served.output.read_text()


def get(server: Server, path: str, *, gpc: bool = False) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("GET", path, headers={"user-agent": FIREFOX, **({"sec-gpc": "1"} if gpc else {})})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
