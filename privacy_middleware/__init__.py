"""Makes any web app keep the promises of its privacy statement. See README.md."""

from .asgi import PrivacyMiddleware
from .errors import DeclarationError, PrivacyError, SettingsError
from .privacy import VisitorPrivacy

__all__ = ["DeclarationError", "PrivacyError", "PrivacyMiddleware", "SettingsError", "VisitorPrivacy"]
__version__ = "0.1.0"
