"""The errors that this package raises on purpose, each naming a cause and a remedy.

    PrivacyError
    ├── SettingsError      a PRIVACY_* variable or keyword is wrong: the start stops
    ├── DeclarationError   privacy.toml is wrong: the start stops
    ├── StoreError         the database cannot be used
    │   ├── SchemaTooNew   it was written by a newer version of this package
    │   ├── Damaged        the file is no sound database
    │   └── Unstorable     it refuses a row, whatever is tried again
    ├── VaultError         something sealed cannot be opened: changed, or moved from its place
    │   └── KeyMissing     the secret key that it was sealed under is not among those given
    └── ImportFault        an access log cannot be read

None of them ever reaches the wrapped app once it serves requests.
"""


class PrivacyError(Exception):
    """Base of every error of this package; its text is meant for the person who runs the site."""


class SettingsError(PrivacyError):
    """One or more settings are wrong. `problems` holds one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("privacy_middleware cannot start:\n" + "\n".join(f"  - {problem}" for problem in problems))


class DeclarationError(PrivacyError):
    """The declaration (`privacy.toml`) is not valid."""


class StoreError(PrivacyError):
    """The database cannot be opened, read, or written."""


class SchemaTooNew(StoreError):
    """The database has migrations that this version of the package does not know."""


class Damaged(StoreError):
    """The file is no sound database."""


class Unstorable(StoreError):
    """The database refuses what a row holds; it takes others."""


class VaultError(PrivacyError):
    """Something sealed cannot be opened: it was changed, or moved from its place."""


class KeyMissing(VaultError):
    """The secret key that something was sealed under is not among those given."""


class ImportFault(PrivacyError):
    """An access log cannot be read at all (single bad lines are counted instead)."""
