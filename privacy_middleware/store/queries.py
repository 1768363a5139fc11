"""All SQL of the package, once, each statement tagged with its caller. Values are always bound, never formatted in.

What is put together here is fixed text: column names, placeholders, and the dimensions of reports, all from this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# --- recorder: hits and their dictionaries --------------------------------------------------------------------------------

HIT_COLUMNS: Final = (
    "day", "time", "visitor", "address", "method", "page", "kind", "status", "source", "campaign", "agent", "language",
    "country", "sent", "aborted", "duration",
)  # fmt: skip

DICTIONARIES: Final = {
    "page": ("site", "path"),
    "source": ("kind", "address"),
    "campaign": ("value",),
    "agent": ("browser", "os", "device", "bot"),
    "language": ("value",),
}


def insert_hits(rows: int, columns: Sequence[str] = HIT_COLUMNS) -> str:
    """One statement for many rows: SQLite then gives up Python's lock once for all of them, not once a row."""
    values = f"({', '.join('?' * len(columns))})"
    return f"/* recorder.add_hits */ INSERT INTO hit ({', '.join(columns)}) VALUES {', '.join([values] * rows)}"


def find_word(table: str) -> str:
    return f"/* recorder.word */ SELECT id FROM {table} WHERE {' AND '.join(f'{c} = :{c}' for c in DICTIONARIES[table])}"


def add_word(table: str) -> str:
    columns = DICTIONARIES[table]
    return f"/* recorder.word */ INSERT INTO {table} ({', '.join(columns)}) VALUES (:{', :'.join(columns)}) RETURNING id"


LAST_HIT: Final = "/* recorder.last_hit */ SELECT COALESCE(MAX(id), 0) FROM hit"
SALT: Final = "/* recorder.salt */ SELECT value FROM salt WHERE day = :day"
ADD_SALT: Final = "/* recorder.salt */ INSERT INTO salt (day, value) VALUES (:day, :value) ON CONFLICT (day) DO NOTHING"
DESTROY_SALTS: Final = "/* recorder.destroy_salts */ DELETE FROM salt WHERE day < :before OR day > :after"
DESTROY_FORGOTTEN: Final = "/* recorder.destroy_salts */ DELETE FROM forgotten WHERE day < :before"
LIVE_SALTS: Final = "/* recorder.live_salts */ SELECT day, value FROM salt ORDER BY day"

FORGET: Final = """/* recorder.forget */
INSERT INTO forgotten (day, visitor, until) VALUES (:day, :visitor, :until)
ON CONFLICT (day, visitor) DO UPDATE SET until = excluded.until WHERE excluded.until > forgotten.until"""
_ERASED: Final = "SELECT 1 FROM forgotten f WHERE f.day = hit.day AND f.visitor = hit.visitor AND hit.time <= f.until"
FORGOTTEN_HITS: Final = f"""/* recorder.forget */
SELECT day, visitor, COUNT(*) AS hits FROM hit WHERE day = :day AND EXISTS ({_ERASED}) GROUP BY day, visitor"""
FORGET_HITS: Final = f"/* recorder.forget */ DELETE FROM hit WHERE day = :day AND EXISTS ({_ERASED})"
UNTIE: Final = "/* recorder.forget */ UPDATE submission SET visitor = NULL WHERE day = :day AND visitor = :visitor"
UNTIE_OLD: Final = "/* purge.hits */ UPDATE submission SET visitor = NULL WHERE day < :before AND visitor IS NOT NULL"
ANY_FORGOTTEN: Final = "/* recorder.add_hits */ SELECT EXISTS (SELECT 1 FROM forgotten)"
FORGET_LATE_HITS: Final = f"/* recorder.add_hits */ DELETE FROM hit WHERE id > :after AND EXISTS ({_ERASED})"

# Of the file in which hits wait for a server that is away:
WAITING: Final = """/* waiting.move */
SELECT hit.id, hit.day, hit.time, hit.visitor, hit.address, hit.method, page.path, page.site, hit.kind, hit.status, source.kind,
       source.address, campaign.value, agent.browser, agent.os, agent.device, agent.bot, language.value, hit.country, hit.sent,
       hit.aborted, hit.duration
FROM hit JOIN page ON page.id = hit.page JOIN source ON source.id = hit.source JOIN campaign ON campaign.id = hit.campaign
JOIN agent ON agent.id = hit.agent JOIN language ON language.id = hit.language ORDER BY hit.id LIMIT :most"""
WAITING_AMOUNT: Final = "/* waiting.add */ SELECT COALESCE((SELECT MAX(id) FROM hit) - (SELECT MIN(id) FROM hit) + 1, 0)"
DELETE_WAITING: Final = "/* waiting.move */ DELETE FROM hit WHERE id <= :last"

COUNT: Final = """/* recorder.count */
INSERT INTO counter (day, name, amount) VALUES (:day, :name, :amount)
ON CONFLICT (day, name) DO UPDATE SET amount = counter.amount + excluded.amount"""
COUNTERS: Final = "/* status.counters */ SELECT name, SUM(amount) AS amount FROM counter GROUP BY name ORDER BY name"

MARK: Final = "/* recorder.mark */ SELECT value FROM mark WHERE name = :name"
SET_MARK: Final = """/* recorder.mark */
INSERT INTO mark (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
GIVE_LEASE_BACK: Final = "/* recorder.lease */ DELETE FROM lease WHERE name = :name AND holder = :holder"
# A lease of over two hours, which nobody takes, is of a clock that was wrong.
TAKE_LEASE: Final = """/* recorder.lease */
INSERT INTO lease (name, holder, until) VALUES (:name, :holder, :until)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE lease.until < :now OR lease.until > :now + 7200000 OR lease.holder = excluded.holder"""
LEASE_HOLDER: Final = "/* recorder.lease */ SELECT holder FROM lease WHERE name = :name"

# --- purge -----------------------------------------------------------------------------------------------------------------

PURGE_HITS: Final = "/* purge.hits */ DELETE FROM hit WHERE id IN (SELECT id FROM hit WHERE day < :before OR day > :after LIMIT :most)"
PURGE_BATCHES: Final = "/* purge.batches */ DELETE FROM mark WHERE name LIKE 'batch %'"
"""The marks of all processes (`Recorder`): those that still run write theirs again with the next batch."""
PURGE_COUNTERS: Final = "/* purge.counters */ DELETE FROM counter WHERE day < :before"


def unused_words(table: str) -> str:
    """The words of a dictionary that no hit names."""
    return f"/* purge.words */ SELECT id FROM {table} EXCEPT SELECT {table} FROM hit"


def purge_word(table: str) -> str:
    """A word that a worker used again since `after` stays."""
    return (
        f"/* purge.words */ DELETE FROM {table} WHERE id = :id "
        f"AND NOT EXISTS (SELECT 1 FROM hit WHERE hit.id > :after AND hit.{table} = :id)"
    )


# --- import and statement --------------------------------------------------------------------------------------------------

IMPORTED: Final = "/* access_log.imported */ SELECT lines, digest FROM imported"
ADD_IMPORTED: Final = "/* access_log.imported */ INSERT INTO imported (lines, digest) VALUES (:lines, :digest) ON CONFLICT DO NOTHING"
VERSIONS: Final = "/* versions.history */ SELECT number, digest, since, facts FROM version ORDER BY number DESC"
VERSION: Final = "/* versions.find */ SELECT number, digest, since, facts, texts FROM version WHERE number = :number"
LATEST_VERSION: Final = "/* versions.note */ SELECT number, digest, since, facts FROM version ORDER BY number DESC LIMIT 1"
ADD_VERSION: Final = """/* versions.note */
INSERT INTO version (number, digest, since, facts, texts) VALUES (:number, :digest, :since, :facts, :texts)"""

HITS_STORED: Final = "/* status.hits */ SELECT COUNT(*) AS hits, MIN(day) AS first, MAX(day) AS last FROM hit"

# --- submissions -----------------------------------------------------------------------------------------------------------

VAULT_KEY: Final = "/* submissions.vault */ SELECT master, sealed FROM vault WHERE name = :name"
VAULT_KEYS: Final = "/* keys.rotate */ SELECT name FROM vault"
SET_VAULT_KEY: Final = """/* submissions.vault */
INSERT INTO vault (name, master, sealed) VALUES (:name, :master, :sealed)
ON CONFLICT (name) DO UPDATE SET master = excluded.master, sealed = excluded.sealed"""
SUBJECT: Final = "/* submissions.subject */ SELECT id, lookup, master, sealed FROM subject WHERE lookup = :lookup"
SUBJECT_KEY: Final = "/* submissions.subject */ SELECT id, lookup, master, sealed FROM subject WHERE id = :id"
ADD_SUBJECT: Final = "/* submissions.subject */ INSERT INTO subject (id, lookup, master, sealed) VALUES (:id, :lookup, :master, :sealed)"
ADD_SUBMISSION: Final = """/* submissions.add */
INSERT INTO submission (id, subject, form, purpose, day, expires, outcome, statement, visitor, time)
VALUES (:id, :subject, :form, :purpose, :day, :expires, :outcome, :statement, :visitor, :time)"""
HAS_SUBMISSION: Final = "/* submissions.add */ SELECT 1 FROM submission WHERE id = :id"
ADD_FIELD: Final = "/* submissions.add */ INSERT INTO field (submission, name, value) VALUES (:submission, :name, :value)"
SUBMISSION: Final = "/* submissions.find */ SELECT * FROM submission WHERE id = :id"
SUBMISSIONS: Final = """/* submissions.find */
SELECT * FROM submission
WHERE day BETWEEN :first AND :last AND (:form = '' OR form = :form) AND (:purpose = '' OR purpose = :purpose)
ORDER BY day, form, id"""
SUBMISSIONS_LIKE: Final = "/* submissions.find */ SELECT id FROM submission WHERE id BETWEEN :first AND :last LIMIT 2"
FIELDS: Final = "/* submissions.fields */ SELECT name, value FROM field WHERE submission = :submission ORDER BY name"
SUBMISSION_COUNTS: Final = """/* status.submissions */
SELECT form, COUNT(*) AS submissions, MIN(day) AS first FROM submission GROUP BY form ORDER BY form"""

REWRITE: Final = (
    "/* purge.mix */ UPDATE subject SET master = master WHERE id IN (SELECT subject FROM submission WHERE day >= :since)",
    "/* purge.mix */ UPDATE field SET name = name WHERE submission IN (SELECT id FROM submission WHERE day >= :since)",
    "/* purge.mix */ UPDATE submission SET form = form WHERE day >= :since",
    "/* purge.mix */ UPDATE consent SET purpose = purpose WHERE submission IN (SELECT id FROM submission WHERE day >= :since)",
)
"""Writes rows anew as they are: what PostgreSQL notes beside each is then the same for all."""

EXPIRED: Final = """/* purge.submissions */
SELECT submission.id FROM submission JOIN subject ON subject.id = submission.subject
WHERE (expires <= :today OR (form = :form AND COALESCE(runs_from, day) < :before)) AND subject.restricted IS NULL
    AND NOT EXISTS (SELECT 1 FROM consent
        WHERE consent.submission = submission.id AND (consent.given IS NOT NULL OR consent.until IS NOT NULL))
LIMIT :most"""
"""What somebody agreed to is kept until they withdraw; what waits for their yes, until it lapses."""
PURGE_FIELDS: Final = "/* purge.submissions */ DELETE FROM field WHERE submission = :id"
PURGE_SUBMISSION: Final = "/* purge.submissions */ DELETE FROM submission WHERE id = :id"
PURGE_SUBJECTS: Final = """/* purge.submissions */
DELETE FROM subject
WHERE NOT EXISTS (SELECT 1 FROM submission WHERE submission.subject = subject.id)
    AND restricted IS NULL AND objected IS NULL
    AND id NOT IN (SELECT subject FROM request WHERE subject IS NOT NULL) AND id NOT IN (SELECT subject FROM mail)
    AND id NOT IN (SELECT subject FROM consent) AND id NOT IN (SELECT subject FROM disclosure WHERE subject IS NOT NULL)"""
AUDIT_END: Final = """/* purge.audit */
SELECT MAX(id) AS id FROM audit WHERE id < COALESCE((SELECT MIN(id) FROM audit WHERE time >= :before), 9000000000000000000)"""
PURGE_AUDIT: Final = "/* purge.audit */ DELETE FROM audit WHERE id < :id"
ANCHOR_AUDIT: Final = "/* purge.audit */ UPDATE audit SET actor = '', action = '', object = '', subject = NULL WHERE id = :id"

OTHER_KEYS: Final = """/* keys.rotate */
SELECT id, lookup, master, sealed FROM subject WHERE master <> :newest AND id > :after ORDER BY id LIMIT :most"""
REWRAP: Final = "/* keys.rotate */ UPDATE subject SET master = :newest, sealed = :sealed WHERE id = :id AND master = :master"
MASTERS: Final = """/* keys.status */
SELECT master, COUNT(*) AS subjects, COUNT(lookup) AS found FROM subject GROUP BY master"""
LOOKUPS: Final = "/* keys.abandon */ SELECT id, lookup, master, sealed FROM subject WHERE lookup IS NOT NULL"
FORGET_LOOKUP: Final = "/* keys.abandon */ UPDATE subject SET lookup = NULL WHERE id = :id"

LAST_AUDIT: Final = "/* audit.chain */ SELECT chain FROM audit ORDER BY id DESC LIMIT 1"
ADD_AUDIT: Final = """/* audit.add */
INSERT INTO audit (time, actor, action, object, subject, chain) VALUES (:time, :actor, :action, :object, :subject, :chain)"""
LAST_AUDITED: Final = "/* owner.audit */ SELECT time, actor, action, object FROM audit ORDER BY id DESC LIMIT :most"
AUDITED: Final = "/* audit.read */ SELECT id, time, actor, action, object, subject, chain FROM audit ORDER BY id"
AUDITED_OF: Final = (
    "/* overview.accesses */ SELECT id, time, actor, action FROM audit WHERE subject = :subject OR replace(object, :named, '') <> object"
)

COUNTS: Final = """/* owner.counts */
SELECT name, SUM(amount - amount % :step) AS amount FROM counter WHERE day BETWEEN :first AND :last GROUP BY name ORDER BY name"""
FORM_COUNTS: Final = """/* funnel.counts */
SELECT name, SUM(amount - amount % :step) AS amount FROM counter
WHERE name LIKE 'form.%' AND day BETWEEN :first AND :last GROUP BY name ORDER BY name"""

# --- data requests ---------------------------------------------------------------------------------------------------------

ADD_REQUEST: Final = """/* requests.add */
INSERT INTO request (id, kind, state, lookup, subject, created, due, statement, sealed)
VALUES (:id, :kind, :state, :lookup, :subject, :created, :due, :statement, :sealed)"""
_REQUEST: Final = "SELECT * FROM request"
REQUEST: Final = f"/* requests.find */ {_REQUEST} WHERE id = :id"
REQUESTS: Final = f"/* requests.find */ {_REQUEST} ORDER BY created, id"
REQUESTS_LIKE: Final = f"/* requests.find */ {_REQUEST} WHERE id BETWEEN :first AND :last LIMIT 2"
REQUESTS_OF: Final = f"/* requests.of */ {_REQUEST} WHERE lookup = :lookup ORDER BY created, id"
REQUESTS_IN: Final = f"/* clerk.turn */ {_REQUEST} WHERE state = :state AND closed IS NULL ORDER BY created, id LIMIT :most"
REQUESTS_TO_DO: Final = f"/* clerk.turn */ {_REQUEST} WHERE state = 'confirmed' AND acts <= :now ORDER BY acts, id LIMIT :most"
REQUESTS_DUE: Final = f"/* clerk.remind */ {_REQUEST} WHERE closed IS NULL AND due <= :before ORDER BY due, id"
DO_DUPLICATE: Final = """/* requests.duplicates */
SELECT id FROM request WHERE lookup = :lookup AND kind = :kind AND id <> :id AND state IN ('confirmed', 'in_review')"""
SET_STATE: Final = """/* requests.state */
UPDATE request SET state = :state, due = :due, confirmed = :confirmed, acts = :acts, closed = :closed, tries = 0
WHERE id = :id AND state = :before AND request.closed IS NULL"""
SET_SEALED: Final = "/* requests.sealed */ UPDATE request SET sealed = :sealed WHERE id = :id"
SET_DUE: Final = "/* requests.extend */ UPDATE request SET due = :due, extended = 1, reminded = 0 WHERE id = :id"
SET_REMINDED: Final = "/* clerk.remind */ UPDATE request SET reminded = :reminded WHERE id = :id"
SET_TRIES: Final = "/* clerk.turn */ UPDATE request SET tries = :tries, acts = :acts WHERE id = :id AND state = 'confirmed'"
DETACH: Final = "/* requests.detach */ UPDATE request SET lookup = NULL, subject = NULL, sealed = NULL WHERE id = :id"
DELETE_REQUEST: Final = "/* requests.purge */ DELETE FROM request WHERE id = :id"
DELETE_LINKS: Final = "/* requests.detach */ DELETE FROM link WHERE request = :request AND purpose <> :but"
DELETE_STEPS: Final = "/* requests.detach */ DELETE FROM step WHERE request = :request"
DELETE_SUBJECT: Final = "/* requests.detach */ DELETE FROM subject WHERE id = :id"
MAILS_OF: Final = "/* requests.detach */ SELECT id, subject FROM mail WHERE request = :request"
_UNPROVEN: Final = """((state = 'received' AND due <= :now) OR (state = 'awaiting_confirmation'
    AND NOT EXISTS (SELECT 1 FROM link WHERE link.request = request.id AND purpose = 'confirm' AND expires > :now)))"""
UNPROVEN: Final = f"/* requests.lapse */ SELECT id FROM request WHERE {_UNPROVEN}"
UNEDITED: Final = """/* requests.lapse */
SELECT id FROM request WHERE kind = 'correction' AND state = 'confirmed' AND acts IS NULL AND confirmed <= :before"""
_LONG_CLOSED: Final = """(closed <= :closed OR (closed <= :unproven AND confirmed IS NULL)) AND NOT EXISTS (
    SELECT 1 FROM subject WHERE subject.lookup = request.lookup AND request.closed IN (subject.restricted, subject.objected))"""
LONG_CLOSED: Final = f"/* requests.purge */ SELECT id FROM request WHERE {_LONG_CLOSED}"
ANY_DUTY: Final = f"""/* clerk.look */
SELECT EXISTS (SELECT 1 FROM mail WHERE expires <= :now)
    OR EXISTS (SELECT 1 FROM request WHERE closed IS NULL AND ((state = 'received' AND :can_ask) OR acts <= :now
        OR ({_UNPROVEN}) OR (kind = 'correction' AND acts IS NULL AND confirmed <= :unedited)
        OR (reminded = 0 AND due <= :remind) OR (reminded = 1 AND due <= :last)))
    OR EXISTS (SELECT 1 FROM request WHERE {_LONG_CLOSED})
    OR EXISTS (SELECT 1 FROM link WHERE expires <= :now)
    OR EXISTS (SELECT 1 FROM step WHERE sealed IS NOT NULL AND made <= :unedited)
    OR EXISTS (SELECT 1 FROM attempt WHERE hour < :hour) AS duty"""

ADD_LINK: Final = """/* links.make */
INSERT INTO link (hash, request, purpose, expires, uses) VALUES (:hash, :request, :purpose, :expires, :uses)"""
LINK: Final = "/* links.find */ SELECT request, purpose, expires, uses FROM link WHERE hash = :hash"
USE_LINK: Final = """/* links.use */
UPDATE link SET uses = uses - 1
WHERE uses > 0 AND (request, purpose) = (SELECT own.request, own.purpose FROM link own WHERE own.hash = :hash AND own.uses > 0)"""
PURGE_LINKS: Final = "/* links.purge */ DELETE FROM link WHERE expires <= :now"

ADD_MAIL: Final = """/* outbox.add */
INSERT INTO mail (id, request, person, subject, kind, due, expires, sealed)
VALUES (:id, :request, :person, :subject, :kind, :due, :expires, :sealed)"""
MAILS_OF_PERSON: Final = "/* erasure.mails */ SELECT id, subject FROM mail WHERE person = :person"
ANY_MAIL_DUE: Final = "/* postman.look */ SELECT EXISTS (SELECT 1 FROM mail WHERE due <= :now AND expires > :now) AS duty"
_MAIL: Final = "SELECT id, request, subject, kind, due, attempts, unsure, sealed FROM mail"
DUE_MAILS: Final = f"/* outbox.due */ {_MAIL} WHERE due <= :now AND expires > :now ORDER BY due, id LIMIT :most"
EXPIRED_MAILS: Final = f"/* outbox.expired */ {_MAIL} WHERE expires <= :now"
CLAIM_MAIL: Final = "/* outbox.claim */ UPDATE mail SET due = :due, attempts = attempts + 1 WHERE id = :id AND attempts = :attempts"
PUT_OFF_MAIL: Final = "/* outbox.retry */ UPDATE mail SET due = :due, unsure = :unsure WHERE id = :id"
DELETE_MAIL: Final = "/* outbox.remove */ DELETE FROM mail WHERE id = :id"
MAILS: Final = f"/* outbox.list */ {_MAIL} ORDER BY due, id"
LATE_MAILS: Final = "/* checks.reachable */ SELECT COUNT(*) AS late FROM mail WHERE attempts > 0 AND expires < :expires"
MAILS_LIKE: Final = f"/* outbox.find */ {_MAIL} WHERE id BETWEEN :first AND :last LIMIT 2"

STEPS: Final = "/* sources.steps */ SELECT source, outcome, made, sealed FROM step WHERE request = :request ORDER BY source"
ADD_STEP: Final = """/* sources.steps */
INSERT INTO step (request, source, outcome, made, sealed) VALUES (:request, :source, :outcome, :made, :sealed)
ON CONFLICT (request, source) DO UPDATE SET outcome = excluded.outcome, made = excluded.made, sealed = excluded.sealed"""
FORGET_EXPORTS: Final = """/* correction.apply */
DELETE FROM step WHERE sealed IS NOT NULL AND request IN (SELECT id FROM request WHERE lookup = :lookup)"""
PURGE_STEPS: Final = "/* sources.steps */ DELETE FROM step WHERE sealed IS NOT NULL AND made <= :before"

SUBMISSIONS_OF: Final = "/* overview.submissions */ SELECT * FROM submission WHERE subject = :subject ORDER BY day, form, id"
VISIT_OF: Final = """/* overview.visits */
SELECT hit.day, hit.time, hit.kind, page.path FROM hit JOIN page ON page.id = hit.page
WHERE hit.day = :day AND hit.visitor = :visitor ORDER BY hit.time, hit.id"""
SEEN: Final = """/* my_browser.kinds */
SELECT kind, COUNT(*) AS amount, MIN(time) AS first, MAX(time) AS last FROM hit
WHERE day = :day AND visitor = :visitor GROUP BY kind ORDER BY kind"""
SET_FIELD: Final = "/* correction.apply */ UPDATE field SET value = :value WHERE submission = :submission AND name = :name"
RESTRICT: Final = "/* restriction.set */ UPDATE subject SET restricted = :since WHERE lookup = :lookup"
OBJECT: Final = "/* restriction.set */ UPDATE subject SET objected = :since WHERE lookup = :lookup"
LIFT_RESTRICTION: Final = "/* restriction.lift */ UPDATE subject SET restricted = NULL WHERE lookup = :lookup AND restricted = :since"
LIFT_OBJECTION: Final = "/* restriction.lift */ UPDATE subject SET objected = NULL WHERE lookup = :lookup AND objected = :since"
IN_FORCE: Final = "/* restriction.find */ SELECT 1 FROM subject WHERE lookup = :lookup AND :closed IN (restricted, objected)"
RESTRICTED: Final = "/* restriction.find */ SELECT COALESCE(restricted, objected) AS since FROM subject WHERE id = :id"

LEFT_OF_PERSON: Final = """/* erasure.left */
SELECT (SELECT COUNT(*) FROM subject WHERE lookup = :lookup OR id = :subject)
    + (SELECT COUNT(*) FROM submission WHERE subject = :subject) + (SELECT COUNT(*) FROM request WHERE lookup = :lookup)
    + (SELECT COUNT(*) FROM consent WHERE subject = :subject) + (SELECT COUNT(*) FROM disclosure WHERE subject = :subject)
    + (SELECT COUNT(*) FROM mail WHERE person = :subject) AS amount"""
LEFT_OF_SUBMISSION: Final = """/* erasure.left */
SELECT (SELECT COUNT(*) FROM field WHERE submission = :id) + (SELECT COUNT(*) FROM reply WHERE submission = :id) AS amount"""
LEFT_OF_VISITS: Final = f"/* erasure.left */ SELECT COUNT(*) AS amount FROM hit WHERE day = :day AND EXISTS ({_ERASED})"
LEFT_OF_REQUEST: Final = """/* erasure.left */
SELECT (SELECT COUNT(*) FROM mail WHERE request = :request) + (SELECT COUNT(*) FROM step WHERE request = :request)
    + (SELECT COUNT(*) FROM subject WHERE id = :subject) AS amount"""
ADD_TOMBSTONE: Final = """/* erasure.tombstone */
INSERT INTO tombstone (lookup, erased) VALUES (:lookup, :erased)
ON CONFLICT (lookup) DO UPDATE SET erased = excluded.erased WHERE excluded.erased > tombstone.erased"""
TOMBSTONE: Final = "/* submissions.add */ SELECT erased FROM tombstone WHERE lookup = :lookup"
TOMBSTONES: Final = "/* erasure.replay */ SELECT lookup, erased FROM tombstone"

ATTEMPTS: Final = """/* limits.count */
SELECT hour, amount FROM attempt WHERE bucket = :bucket AND hour > :since AND hour <= :hour ORDER BY hour"""
ADD_ATTEMPT: Final = """/* limits.count */
INSERT INTO attempt (bucket, hour, amount) VALUES (:bucket, :hour, 1)
ON CONFLICT (bucket, hour) DO UPDATE SET amount = attempt.amount + 1"""
FORGET_ATTEMPTS: Final = "/* erasure.attempts */ DELETE FROM attempt WHERE bucket = :bucket"
PURGE_ATTEMPTS: Final = "/* limits.purge */ DELETE FROM attempt WHERE hour < :before OR hour > :after"
