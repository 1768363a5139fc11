"""A small Django site for gunicorn: bare, under our middleware, or under that of a peer; the environment names which."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import django
from common import settings as our_settings
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from throughput import OURS

PEERS: Final = {
    "django-request": ("request", "request.middleware.RequestMiddleware"),
    "django-sitepulse": ("sitepulse", "sitepulse.middleware.AnalyticsMiddleware"),
}


def article(_: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse(f"<!doctype html><title>{slug}</title><p>{'word ' * 200}")


urlpatterns = [path("articles/<str:slug>", article)]


def make() -> Any:
    """Return the app, with its database made ready."""
    name, folder = os.environ["BENCHMARK_APP"], Path(os.environ["BENCHMARK_FOLDER"])
    apps, middleware = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sites"], []
    if name in PEERS:
        apps.append(PEERS[name][0])
        middleware.append(PEERS[name][1])
    if name == OURS:
        middleware.append("privacy_middleware.django.PrivacyMiddleware")
    settings.configure(
        SECRET_KEY="0" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, INSTALLED_APPS=apps, MIDDLEWARE=middleware, SITE_ID=1,
        USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", PRIVACY=our_settings(folder),
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "site.db", "CONN_MAX_AGE": None}},
    )  # fmt: skip
    django.setup()
    if name in PEERS:
        call_command("migrate", verbosity=0)
    return get_wsgi_application()
