"""Makes any web app keep the promises of its privacy statement. See README.md."""

from .asgi import PrivacyMiddleware
from .errors import DeclarationError, PrivacyError, SettingsError
from .frameworks import init
from .privacy import VisitorPrivacy
from .wsgi import PrivacyWSGIMiddleware

__all__ = ["DeclarationError", "PrivacyError", "PrivacyMiddleware", "PrivacyWSGIMiddleware", "SettingsError", "VisitorPrivacy", "init"]
__version__ = "0.1.0"
