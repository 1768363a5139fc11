"""The SQL that compares what is kept with what the statement says. Values are always bound, never formatted in."""

from __future__ import annotations

from typing import Final

from .service_queries import OLD_DISCLOSURES

_OF_HITS: Final = """SELECT COUNT(*) AS hits,
    COUNT(hit.visitor) AS visitor,
    COUNT(hit.address) AS address,
    COUNT(*) FILTER (WHERE page.path <> '' OR hit.method <> 0 OR hit.kind <> 8) AS page,
    COUNT(*) FILTER (WHERE page.site <> '') AS site,
    COUNT(*) FILTER (WHERE hit.status <> 0 OR hit.aborted <> 0) AS status,
    COUNT(*) FILTER (WHERE source.address <> '') AS source,
    COUNT(*) FILTER (WHERE campaign.value <> '') AS campaign,
    COUNT(*) FILTER (WHERE agent.browser <> '' OR agent.os <> '' OR agent.device <> '' OR agent.bot <> '') AS agent,
    COUNT(*) FILTER (WHERE language.value <> '') AS language,
    COUNT(*) FILTER (WHERE hit.country <> '') AS country,
    COUNT(*) FILTER (WHERE hit.sent <> 0) AS bytes,
    COUNT(*) FILTER (WHERE hit.duration <> 0) AS duration,
    COUNT(*) FILTER (WHERE length(hit.address) IN (4, 16)) AS full_addresses,
    MIN(hit.day) AS first
FROM hit JOIN page ON page.id = hit.page JOIN source ON source.id = hit.source JOIN campaign ON campaign.id = hit.campaign
JOIN agent ON agent.id = hit.agent JOIN language ON language.id = hit.language"""
ITEMS_KEPT: Final = f"/* truth.visits */ {_OF_HITS}"
"""`hit.kind` 8 is that of any request, where pages are not declared. A full address has 4 bytes, or 16 (IPv6)."""
CAMPAIGNS_KEPT: Final = "/* truth.visits */ SELECT DISTINCT value FROM campaign WHERE value <> '' AND id IN (SELECT campaign FROM hit)"

FORMS_KEPT: Final = """/* truth.forms */
SELECT form, COUNT(*) AS amount, COUNT(visitor) AS visitors, MAX(expires - COALESCE(runs_from, day)) AS longest, MIN(expires) AS expires,
    COUNT(*) FILTER (WHERE outcome = 'accepted') AS accepted,
    COUNT(*) FILTER (WHERE outcome = 'invalid') AS invalid, COUNT(*) FILTER (WHERE outcome = 'failed') AS failed
FROM submission GROUP BY form ORDER BY form"""
FIELDS_KEPT: Final = """/* truth.forms */
SELECT form, name, COUNT(*) AS amount FROM field JOIN submission ON submission.id = field.submission
GROUP BY form, name ORDER BY form, name"""
EXPIRED_KEPT: Final = """/* truth.forms */
SELECT COUNT(*) AS amount FROM submission JOIN subject ON subject.id = submission.subject
WHERE expires < :day AND subject.restricted IS NULL
    AND NOT EXISTS (SELECT 1 FROM consent
        WHERE consent.submission = submission.id AND (consent.given IS NOT NULL OR consent.until IS NOT NULL))"""

OLDEST: Final = {
    "salts": "/* truth.periods */ SELECT MIN(day) AS oldest FROM salt",
    "requests": """/* truth.periods */ SELECT MIN(closed) AS oldest FROM request
        WHERE closed IS NOT NULL AND sealed IS NOT NULL AND NOT (kind IN ('restriction', 'objection') AND state = 'fulfilled')""",
    "audit": "/* truth.periods */ SELECT MIN(time) AS oldest FROM audit WHERE action <> ''",
    "attempts": "/* truth.periods */ SELECT MIN(hour) AS oldest FROM attempt",
    "mails": "/* truth.periods */ SELECT MIN(expires) AS oldest FROM mail",
    "consents": "/* truth.periods */ SELECT MIN(until) AS oldest FROM consent",
    "deliveries": """/* truth.periods */
        SELECT MIN(ended) AS oldest FROM issue WHERE EXISTS (SELECT 1 FROM delivery WHERE delivery.issue = issue.id)""",
    "disclosures": f"/* truth.periods */ SELECT MIN(made) AS oldest FROM disclosure WHERE {OLD_DISCLOSURES}",
    "sessions": "/* truth.periods */ SELECT MIN(began) AS oldest FROM session",
}
"""The oldest of each thing that the statement gives a time."""
