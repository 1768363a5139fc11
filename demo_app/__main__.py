"""Starts the demo: `python -m demo_app`, and says in the terminal where to look."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvicorn

from privacy_middleware.errors import PrivacyError
from privacy_middleware.privacy import Privacy
from privacy_middleware.settings import Settings

from .site import HERE, make_app, privacy_settings
from .traffic import fill

LETTER: Final = HERE / "letters" / "autumn.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the site until Ctrl-C; returns 1 if it cannot be started."""
    options = _parser().parse_args(arguments)
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        origin = f"http://{options.host}:{options.port}"
        os.environ.setdefault("PRIVACY_BASE_URL", origin)  # links in mails are made from it alone
        settings = Privacy.from_sources(privacy_settings(options.folder)).settings
        if options.with_traffic:
            print("Inventing 30 days of visits, and sending them through the middleware …", flush=True)
            print(fill(options.folder, until=time.time()), flush=True)
    except (PrivacyError, OSError) as error:
        print(f"demo_app: {error}", file=sys.stderr)
        return 1
    print(_where_to_look(settings, origin), flush=True)
    # No access log: it would hold the addresses that the middleware takes care not to keep.
    # Forwarded addresses are the middleware's business, see PRIVACY_TRUSTED_PROXIES.
    app = make_app(options.folder)
    uvicorn.run(app, host=options.host, port=options.port, lifespan="on", log_level="warning", access_log=False, proxy_headers=False)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo_app", description="A small website that shows what privacy_middleware does.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=Path("demo-data"), help="where visits are kept (default: %(default)s)")
    parser.add_argument("--with-traffic", action="store_true", help="first fill 30 days with invented visits")
    return parser


def _where_to_look(settings: Settings, origin: str) -> str:
    return f"""
The website              {origin}/
Its privacy statement    {origin}{settings.path}/
A visitor's choice       {origin}{settings.path}/opt-out
Ask for one's data       {origin}{settings.path}/requests/
What one is shown first  {origin}{settings.path}/my-preferences
The mails it "sends"     {origin}/mails
The owner's pages        {origin}{settings.path}/owner/

In another terminal, a link to sign in to the owner's pages:
  {_command(settings, "login")}

And the figures, the forms' funnels, and what was sent with them:
  {_command(settings, "stats --by page")}
  {_command(settings, "forms")}
  {_command(settings, "questionnaires")}
  {_command(settings, "requests list --all")}

To send a newsletter to who has signed up and confirmed; to answer what was asked (the owner's page "Questions" does it, too);
and to pass on what was asked to the made-up company Fjord Offset, which people then see in their overview:
  {_command(settings, f"newsletter send {shlex.quote(str(LETTER))}")}
  {_command(settings, "submissions queue")}
  {_command(settings, "disclose fjord-offset --purpose answer --output for-fjord-offset.csv")}

Ctrl-C stops it.
"""


def _command(settings: Settings, arguments: str) -> str:
    """Return a command that works in another terminal."""
    database = f"sqlite:///{settings.database_path.absolute()}"
    variables = {"PRIVACY_DATABASE_URL": database, "PRIVACY_POLICY": settings.policy, "PRIVACY_BASE_URL": settings.base_url}
    program = "privacy-middleware" if shutil.which("privacy-middleware") else f"{shlex.quote(sys.executable)} -m privacy_middleware"
    return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), program, arguments])


if __name__ == "__main__":
    raise SystemExit(main())
