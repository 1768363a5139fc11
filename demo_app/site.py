"""The website of a made-up printing company, wrapped in the privacy middleware by one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from privacy_middleware import PrivacyMiddleware

from .content import JOB_OF, JOBS, OPENING_HOURS, POST_OF, POSTS, PRICES
from .forms import FORMS, Form
from .mails import SentMails

HERE: Final = Path(__file__).parent
DOWNLOADS: Final = {"price-list.pdf": "application/pdf", "card-templates.zip": "application/zip"}
page: Final = Jinja2Templates(HERE / "templates").TemplateResponse


def make_app(folder: Path) -> Starlette:
    """Return the site as it is served; its visits are kept in `folder`."""
    app = make_site()
    app.state.mails = SentMails()
    app.add_middleware(PrivacyMiddleware, send_mail=app.state.mails.send, **privacy_settings(folder))
    return app


def privacy_settings(folder: Path) -> dict[str, Any]:
    """Return what the middleware is told, less what PRIVACY_* variables say: keywords would win over those."""
    defaults: dict[str, Any] = {"database_url": f"sqlite:///{folder / 'privacy.db'}", "policy": str(HERE / "privacy.toml")}
    return {name: value for name, value in defaults.items() if f"PRIVACY_{name.upper()}" not in os.environ}


def make_site() -> Starlette:
    """Return the site alone, as it would be without the package."""
    routes: list[BaseRoute] = [
        Route("/", home),
        Route("/work", work),
        Route("/work/{slug}", job),
        Route("/journal", journal),
        Route("/journal/feed.xml", feed),
        Route("/journal/{slug}", post),
        Route("/prices", prices),
        Route("/downloads/{file}", download),
        Route("/api/opening-hours", opening_hours),
        Route("/health", health),
        Route("/mails", mails),
        Route("/robots.txt", robots),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    for form in FORMS:
        routes += form_routes(form)
    return Starlette(routes=routes, exception_handlers={404: not_found})


async def home(request: Request) -> Response:
    """Show the start page: what the visitor chose to see comes first, if they chose and agreed."""
    privacy = request.scope.get("privacy")
    chosen = (privacy.preferences if privacy else None) or {}
    jobs = sorted(JOBS, key=lambda job: job.kind not in chosen.get("work", ()))
    return page(request, "home.html", {"jobs": jobs, "posts": POSTS, "hours": OPENING_HOURS, "chosen": chosen.get("work", [])})


async def work(request: Request) -> Response:
    """List all work."""
    return page(request, "work.html", {"jobs": JOBS})


async def job(request: Request) -> Response:
    """Show one job."""
    found = JOB_OF.get(request.path_params["slug"])
    if found is None:
        raise HTTPException(404)
    return page(request, "job.html", {"job": found, "others": [other for other in JOBS if other is not found]})


async def journal(request: Request) -> Response:
    """List all posts."""
    return page(request, "journal.html", {"posts": POSTS})


async def post(request: Request) -> Response:
    """Show one post."""
    found = POST_OF.get(request.path_params["slug"])
    if found is None:
        raise HTTPException(404)
    return page(request, "post.html", {"post": found, "others": [other for other in POSTS if other is not found]})


async def feed(request: Request) -> Response:
    """Give the journal as an Atom feed (RFC 4287)."""
    return page(request, "feed.xml", {"posts": POSTS}, media_type="application/atom+xml")


async def prices(request: Request) -> Response:
    """Show the prices."""
    return page(request, "prices.html", {"prices": PRICES})


async def download(request: Request) -> Response:
    """Send a file to be saved."""
    file = request.path_params["file"]
    if file not in DOWNLOADS:
        raise HTTPException(404)
    return FileResponse(HERE / "downloads" / file, media_type=DOWNLOADS[file], filename=file)


async def opening_hours(_: Request) -> Response:
    """Give the opening hours to other programs."""
    return JSONResponse({"timezone": "Europe/Copenhagen", "hours": OPENING_HOURS})


async def health(_: Request) -> Response:
    """Tell a monitor that the site is up."""
    return JSONResponse({"healthy": True})


async def mails(request: Request) -> Response:
    """Show the mails that a real site would have sent: privacy_middleware hands them to `send_mail`."""
    return page(request, "mails.html", {"mails": request.app.state.mails.newest_first()}, headers={"Cache-Control": "no-store"})


async def robots(_: Request) -> Response:
    """Tell search engines where to look."""
    return PlainTextResponse("User-agent: *\nDisallow: /contact\n")


async def not_found(request: Request, _: Exception) -> Response:
    """Answer for an address at which there is nothing."""
    return page(request, "not_found.html", status_code=404)


def form_routes(form: Form) -> list[Route]:
    """Return the routes of one form: show it, take it, and thank for it."""

    def show(request: Request, values: dict[str, str], faults: dict[str, str]) -> Response:
        context = {"choices": {field.name: field.choices for field in form.fields}, "values": values, "faults": faults}
        return page(request, f"{form.name}.html", context, status_code=400 if faults else 200)

    async def blank(request: Request) -> Response:
        return show(request, {}, {})

    async def take(request: Request) -> Response:
        values = form.values(await request.form())
        faults = form.faults(values)
        return show(request, values, faults) if faults else RedirectResponse(f"/{form.name}/thanks", 303)

    async def thanks(request: Request) -> Response:
        return page(request, "thanks.html", {"form": form.name})

    return [
        Route(f"/{form.name}", blank),
        Route(f"/{form.name}", take, methods=["POST"]),
        Route(f"/{form.name}/thanks", thanks),
    ]
