"""The README says what is so: its table, its lines and its examples are run as printed."""

import gc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from privacy_middleware.cli import main
from privacy_middleware.forms import Treatment
from privacy_middleware.record import submissions
from privacy_middleware.settings import SETTINGS, settings_table
from privacy_middleware.statistics.reports import DIMENSIONS

from .conftest import hits
from .test_truth import close_all

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
LINES = dict(re.findall(r"^\| ([^|]+) \| `([^`]*Privacy(?:WSGI)?Middleware[^`]*)` \|$", README, re.MULTILINE))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_settings_table_is_the_codes_own() -> None:
    assert settings_table() in README


def test_every_setting_named_in_the_text_exists() -> None:
    known = {setting.variable for setting in SETTINGS} | {"PRIVACY_SECRET_KEYS_FILE"}
    assert set(re.findall(r"PRIVACY_[A-Z_]*[A-Z]", README)) <= known


def test_every_dimension_is_named() -> None:
    assert all(f"`{dimension}`" in README for dimension in DIMENSIONS)


def test_the_first_two_commands_name_scripts_that_are_there() -> None:
    assert blocks("sh")[:2] == ["sh demo_app/run --with-traffic\n", "sh tests/run\n"]
    for script in ("demo_app/run", "tests/run"):
        assert subprocess.run(["sh", "-n", str(ROOT / script)], check=False).returncode == 0


def starlette_app() -> object:
    from starlette.applications import Starlette

    return Starlette()


def fastapi_app() -> object:
    return pytest.importorskip("fastapi").FastAPI()


def plain_app() -> object:
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})

    return app


@pytest.mark.parametrize(
    ("row", "make"),
    [("Starlette", starlette_app), ("FastAPI", fastapi_app), ("Litestar, Quart, any other ASGI app", plain_app)],
)
def test_the_one_line_works_as_printed(row: str, make) -> None:
    from privacy_middleware import PrivacyMiddleware

    names = {"app": make(), "PrivacyMiddleware": PrivacyMiddleware}
    exec(LINES[row], names)
    client = TestClient(names["app"])
    client.get("/page")
    assert "Privacy statement" in client.get("/privacy/").text
    assert [hit["path"] for hit in hits()] == ["/page"]


def flask_app() -> Any:
    from flask import Flask

    return Flask(__name__)


def wsgi_app() -> Any:
    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [("Content-Type", "text/html")])
        return [b"nothing"]

    return application


def django_app() -> Any:
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF="django.conf.urls.i18n", SECRET_KEY="x" * 50, USE_I18N=False)
        django.setup()
    return WSGIHandler()


@pytest.mark.parametrize(
    ("row", "make"),
    [
        ("Flask", flask_app),
        ("any other WSGI app", wsgi_app),
        ("any other WSGI app", django_app),
    ],
)
def test_the_one_line_for_wsgi_works_as_printed(row: str, make: Any) -> None:
    from werkzeug.test import Client

    from privacy_middleware import PrivacyWSGIMiddleware

    names = {"app": make(), "application": make(), "PrivacyWSGIMiddleware": PrivacyWSGIMiddleware}
    exec(LINES[row], names)
    client = Client(names["app"] if "app." in LINES[row] else names["application"])
    assert client.get("/page").status_code == 404
    assert b"Privacy statement" in client.get("/privacy/").data
    gc.collect()
    wrapped = getattr(names["app"], "wsgi_app", names["application"])
    wrapped.recorder.flush()
    assert [hit["path"] for hit in hits()] == ["/page"]


def test_the_example_declaration_is_valid_and_shown() -> None:
    Path("privacy.toml").write_text(blocks("toml")[0])
    from privacy_middleware import PrivacyMiddleware

    html = TestClient(PrivacyMiddleware(plain_app())).get("/privacy/").text
    assert "Example Company" in html
    assert "Example Hosting" in html


def test_the_example_of_a_form_is_valid_and_captured() -> None:
    from privacy_middleware import PrivacyMiddleware

    async def contact(request):
        await request.body()
        return RedirectResponse("/thanks", 303)

    Path("privacy.toml").write_text(blocks("toml")[1])
    app = PrivacyMiddleware(Starlette(routes=[Route("/contact", contact, methods=["POST"])]))
    client = TestClient(app, follow_redirects=False)
    sent = {"email": "ann@example.org", "name": "Ann", "message": "call +45 32 12 34 56", "age": "44", "other": "x"}
    assert client.post("/contact", data=sent).status_code == 303
    store = app.privacy.store
    store.open()
    [one] = submissions.find(store, first=0, last=2**31)
    _, values = submissions.read(store, app.privacy.keys.vault, one)
    store.close()
    assert values == {"email": ["ann@example.org"], "name": ["Ann"], "message": ["call [telephone]"], "age": ["30 to under 60"]}


def test_the_treatments_of_the_readme_are_those_there_are() -> None:
    table = README[README.index("| treatment | keeps |") :].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(get_args(Treatment))


@pytest.mark.parametrize("command", re.findall(r"^privacy-middleware (\S+)", README, re.MULTILINE))
def test_every_command_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0


def test_the_package_also_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "privacy_middleware", "config"], capture_output=True, text=True, check=True)
    assert "PRIVACY_DATABASE_URL" in done.stdout


def test_every_module_stands_in_the_map() -> None:
    package = ROOT / "privacy_middleware"
    parts = [path.name + ("/" if path.is_dir() else "") for path in package.iterdir() if not path.name.startswith(("_", "."))]
    expected = [part for part in parts if part.endswith((".py", "/")) and part != "errors.py"]
    assert [part for part in expected if f"`{part}`" not in README] == []


def test_the_line_for_django_works_as_printed() -> None:
    from django.test import Client as DjangoClient
    from django.test import override_settings

    django_app()
    line = re.search(r"^\| Django \| `([^`]+)` \|$", README, re.MULTILINE)
    assert line is not None
    names: dict[str, Any] = {"MIDDLEWARE": []}
    exec(line[1], names)
    with override_settings(MIDDLEWARE=names["MIDDLEWARE"]):
        client = DjangoClient()
        assert client.get("/page").status_code == 404
        assert b"Privacy statement" in b"".join(client.get("/privacy/").streaming_content)
    close_all()
    assert [hit["path"] for hit in hits()] == ["/page"]
