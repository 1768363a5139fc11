"""Factories for shared/tools/transparency: our middleware round the apps of other projects' test suites, on a real database."""

import os
import tempfile

from privacy_middleware import PrivacyMiddleware

FOLDER = os.environ.get("PRIVACY_TRANSPARENCY_FOLDER") or tempfile.mkdtemp()


def asgi(app):
    return PrivacyMiddleware(app, database_url=f"sqlite:///{FOLDER}/privacy.db", secret_keys="transparency" * 3)
