"""The SQL of signing in to the owner's pages, as `queries` holds the rest."""

from __future__ import annotations

from typing import Final

ADD_SIGN_IN: Final = "/* access.link */ INSERT INTO sign_in (hash, role, expires) VALUES (:hash, :role, :expires)"
SIGN_IN: Final = "/* access.link */ SELECT role FROM sign_in WHERE hash = :hash AND expires > :now"
USE_SIGN_IN: Final = "/* access.link */ DELETE FROM sign_in WHERE hash = :hash"
PURGE_SIGN_INS: Final = "/* access.purge */ DELETE FROM sign_in WHERE expires <= :now"
END_SIGN_INS: Final = "/* access.end_all */ DELETE FROM sign_in"

# A session that began, or was used, in the future is of a clock that was wrong.
_ALIVE: Final = "used > :used AND began > :began AND began <= :now + 60000"
ADD_SESSION: Final = "/* access.begin */ INSERT INTO session (hash, role, way, began, used) VALUES (:hash, :role, :way, :now, :now)"
SESSION: Final = f"/* access.session */ SELECT role, began, used FROM session WHERE hash = :hash AND way = :way AND {_ALIVE}"
USE_SESSION: Final = "/* access.session */ UPDATE session SET used = :now WHERE hash = :hash"
END_SESSION: Final = "/* access.end */ DELETE FROM session WHERE hash = :hash"
END_SESSIONS: Final = "/* access.end_all */ DELETE FROM session"
PURGE_SESSIONS: Final = f"/* access.purge */ DELETE FROM session WHERE NOT ({_ALIVE})"
ANY_ACCESS: Final = f"""/* access.any */
SELECT EXISTS (SELECT 1 FROM sign_in WHERE expires > :now) OR EXISTS (SELECT 1 FROM session WHERE {_ALIVE}) AS is_there"""

TRIES: Final = "/* access.tries */ SELECT amount FROM attempt WHERE bucket = :bucket AND hour = :hour"
ADD_TRY: Final = """/* access.tries */
INSERT INTO attempt (bucket, hour, amount) VALUES (:bucket, :hour, 1)
ON CONFLICT (bucket, hour) DO UPDATE SET amount = attempt.amount + 1"""
