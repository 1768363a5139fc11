"""The SQL of serving who wrote: answers, consents, the newsletter, disclosures; as `queries` holds the rest."""

from __future__ import annotations

from typing import Final

# --- answers ---------------------------------------------------------------------------------------------------------------

ADD_REPLY: Final = "/* answers.add */ INSERT INTO reply (id, submission, made, sealed) VALUES (:id, :submission, :made, :sealed)"
REPLIES: Final = "/* answers.thread */ SELECT id, made, sealed FROM reply WHERE submission = :submission ORDER BY made, id"
PURGE_REPLIES: Final = "/* submissions.delete */ DELETE FROM reply WHERE submission = :id"
ANSWERED: Final = """/* answers.add */
UPDATE submission SET answered = COALESCE(answered, :now), runs_from = :day, expires = :expires WHERE id = :id"""
CLOSE: Final = "/* answers.close */ UPDATE submission SET closed = :now, runs_from = :day, expires = :expires WHERE id = :id"
OPEN_QUESTIONS: Final = """/* answers.queue */
SELECT * FROM submission WHERE purpose = :purpose AND closed IS NULL AND outcome = 'accepted' ORDER BY day, id"""

# --- consents --------------------------------------------------------------------------------------------------------------

NEW_SIGN_UPS: Final = """/* consents.ask */
SELECT * FROM submission WHERE purpose = :purpose AND outcome = 'accepted'
    AND NOT EXISTS (SELECT 1 FROM consent WHERE consent.submission = submission.id) ORDER BY day, id LIMIT :most"""
ADD_CONSENT: Final = """/* consents.add */
INSERT INTO consent (id, subject, submission, purpose, statement, asked, given, until, hash, sealed)
VALUES (:id, :subject, :submission, :purpose, :statement, :asked, :given, :until, :hash, :sealed)"""
CONSENT: Final = "/* consents.find */ SELECT * FROM consent WHERE id = :id"
CONSENT_BY_HASH: Final = "/* consents.find */ SELECT * FROM consent WHERE hash = :hash"
CONSENTS_OF: Final = "/* consents.of */ SELECT * FROM consent WHERE subject = :subject ORDER BY asked, id"
UNINVITED: Final = """/* consents.invite */
SELECT consent.* FROM consent JOIN subject ON subject.id = consent.subject
WHERE purpose = :purpose AND consent.sealed IS NULL AND submission IS NOT NULL AND until IS NULL AND restricted IS NULL AND objected IS NULL
ORDER BY consent.id"""
GIVE: Final = """/* consents.give */
UPDATE consent SET given = :given, until = NULL, statement = :statement, sealed = :sealed WHERE id = :id AND given IS NULL"""
WITHDRAW: Final = """/* consents.withdraw */
UPDATE consent SET withdrawn = :now, until = :until, submission = NULL WHERE id = :id AND withdrawn IS NULL"""
INVITE: Final = "/* consents.invite */ UPDATE consent SET hash = :hash, until = :until, asked = :asked, sealed = :sealed WHERE id = :id"
_LAPSED: Final = """until <= :now AND NOT EXISTS (
    SELECT 1 FROM subject WHERE subject.id = consent.subject AND subject.restricted IS NOT NULL)"""
LAPSED: Final = f"/* consents.lapse */ SELECT * FROM consent WHERE {_LAPSED}"
DELETE_CONSENT: Final = "/* consents.delete */ DELETE FROM consent WHERE id = :id"
DELETE_DELIVERIES: Final = "/* consents.delete */ DELETE FROM delivery WHERE consent = :id"
PURGE_DELIVERIES_OF: Final = """/* submissions.delete */
DELETE FROM delivery WHERE consent IN (SELECT id FROM consent WHERE submission = :id)"""
PURGE_CONSENTS_OF: Final = "/* submissions.delete */ DELETE FROM consent WHERE submission = :id"
CONSENT_COUNTS: Final = """/* newsletter.status */
SELECT COUNT(*) FILTER (WHERE given IS NOT NULL AND withdrawn IS NULL) AS given,
    COUNT(*) FILTER (WHERE given IS NULL AND sealed IS NOT NULL) AS asked,
    COUNT(*) FILTER (WHERE withdrawn IS NOT NULL) AS withdrawn,
    COUNT(*) FILTER (WHERE given IS NULL AND sealed IS NULL) AS uninvited
FROM consent WHERE purpose = :purpose"""
SET_BOUNCES: Final = "/* newsletter.bounces */ UPDATE consent SET bounces = :bounces WHERE id = :id"

BOUNCED: Final = """/* newsletter.bounces */
SELECT * FROM consent WHERE purpose = :purpose AND bounces >= :most AND given IS NOT NULL AND withdrawn IS NULL ORDER BY id"""
OF_LOOKUP: Final = """/* newsletter.remove */
SELECT consent.* FROM consent JOIN subject ON subject.id = consent.subject
WHERE subject.lookup = :lookup AND consent.purpose = :purpose AND consent.withdrawn IS NULL ORDER BY consent.id"""

# --- newsletter ------------------------------------------------------------------------------------------------------------

ADD_ISSUE: Final = """/* newsletter.begin */
INSERT INTO issue (id, digest, subject, text, begun) VALUES (:id, :digest, :subject, :text, :begun)"""
ISSUE_BY_DIGEST: Final = "/* newsletter.begin */ SELECT * FROM issue WHERE digest = :digest"
ISSUE: Final = "/* newsletter.find */ SELECT * FROM issue WHERE id = :id"
ISSUES: Final = "/* newsletter.status */ SELECT * FROM issue ORDER BY begun DESC, id"
_MAY_GET: Final = """consent.purpose = :purpose AND consent.given <= :begun AND consent.withdrawn IS NULL AND consent.submission IS NOT NULL
    AND subject.restricted IS NULL AND subject.objected IS NULL"""
_FOR_WHOM: Final = "FROM consent JOIN subject ON subject.id = consent.subject"
NEXT_CONSENT: Final = f"""/* newsletter.next */
SELECT consent.* {_FOR_WHOM} WHERE {_MAY_GET} AND consent.id > :after
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.issue = :issue AND delivery.consent = consent.id)
ORDER BY consent.id LIMIT 1"""
NEXT_AGAIN: Final = f"""/* newsletter.next */
SELECT consent.* {_FOR_WHOM} JOIN delivery ON delivery.consent = consent.id
WHERE {_MAY_GET} AND delivery.issue = :issue AND delivery.state = 'later' AND delivery.due <= :now
ORDER BY delivery.due, consent.id LIMIT 1"""
FOR_HOW_MANY: Final = f"/* newsletter.count */ SELECT COUNT(*) {_FOR_WHOM} WHERE {_MAY_GET}"
CLAIM: Final = """/* newsletter.claim */
INSERT INTO delivery (issue, consent, state, due, attempts) VALUES (:issue, :consent, 'sending', :now, 1)
ON CONFLICT (issue, consent) DO UPDATE SET state = 'sending', attempts = delivery.attempts + 1 WHERE delivery.state = 'later'"""
SET_DELIVERY: Final = """/* newsletter.mark */
UPDATE delivery SET state = :state, due = :due WHERE issue = :issue AND consent = :consent"""
DELIVERY: Final = "/* newsletter.mark */ SELECT state, attempts FROM delivery WHERE issue = :issue AND consent = :consent"
DOUBT: Final = "/* newsletter.resume */ UPDATE delivery SET state = 'doubtful' WHERE issue = :issue AND state = 'sending'"
AGAIN: Final = "/* newsletter.resend */ UPDATE delivery SET state = 'later', due = :now WHERE issue = :issue AND state = 'doubtful'"
GIVE_UP: Final = "/* newsletter.end */ UPDATE delivery SET state = 'refused' WHERE issue = :issue AND state = 'later'"
DELIVERIES: Final = "/* newsletter.status */ SELECT state, COUNT(*) AS amount FROM delivery WHERE issue = :issue GROUP BY state"
IN_STATE: Final = "/* newsletter.doubts */ SELECT consent FROM delivery WHERE issue = :issue AND state = :state ORDER BY consent"
LATER: Final = "/* newsletter.end */ SELECT MIN(due) AS due FROM delivery WHERE issue = :issue AND state = 'later'"
END_ISSUE: Final = """/* newsletter.end */
UPDATE issue SET ended = :now, sent = :sent, refused = :refused, doubtful = :doubtful WHERE id = :id"""
REOPEN_ISSUE: Final = "/* newsletter.resend */ UPDATE issue SET ended = NULL WHERE id = :id"
ANY_ISSUE_DUE: Final = f"""/* newsletter.look */
SELECT EXISTS (SELECT 1 FROM issue WHERE ended IS NULL AND (
    NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.issue = issue.id AND delivery.state = 'later')
    OR EXISTS (SELECT 1 FROM delivery WHERE delivery.issue = issue.id AND delivery.state = 'later' AND delivery.due <= :now)
    OR EXISTS (SELECT 1 {_FOR_WHOM} WHERE {_MAY_GET.replace(":begun", "issue.begun")}
        AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.issue = issue.id AND delivery.consent = consent.id)))) AS duty"""
ANY_ISSUE_OPEN: Final = "/* newsletter.look */ SELECT id FROM issue WHERE ended IS NULL ORDER BY begun, id"
PURGE_DELIVERIES: Final = """/* newsletter.purge */
DELETE FROM delivery WHERE issue IN (SELECT id FROM issue WHERE ended <= :before)"""

# --- disclosures -----------------------------------------------------------------------------------------------------------

ADD_DISCLOSURE: Final = """/* disclosures.add */
INSERT INTO disclosure (id, subject, recipient, purpose, fields, way, made, batch, statement)
VALUES (:id, :subject, :recipient, :purpose, :fields, :way, :made, :batch, :statement)"""
TAKE_BACK: Final = (
    "/* disclosures.take_back */ DELETE FROM notice WHERE disclosure IN (SELECT id FROM disclosure WHERE batch = :batch)",
    "/* disclosures.take_back */ DELETE FROM disclosure WHERE batch = :batch",
)
GOT_ALREADY: Final = """/* disclosures.new */
SELECT DISTINCT subject FROM disclosure
WHERE recipient = :recipient AND purpose = :purpose AND subject IS NOT NULL AND way <> :refused
    AND NOT EXISTS (SELECT 1 FROM notice WHERE notice.disclosure = disclosure.id AND notice.kind = 'withdrawal')"""
SET_WAY: Final = "/* disclosures.refused */ UPDATE disclosure SET way = :way WHERE batch = :batch"
DISCLOSURES_OF: Final = "/* disclosures.of */ SELECT * FROM disclosure WHERE subject = :subject ORDER BY made, id"
DISCLOSED: Final = """/* disclosures.record */
SELECT recipient, purpose, MIN(made) AS first, MAX(made) AS last, COUNT(*) AS amount FROM disclosure
GROUP BY recipient, purpose ORDER BY recipient, purpose"""
FORGET_WHO: Final = "/* erasure.disclosures */ UPDATE disclosure SET subject = NULL WHERE subject = :subject AND made <= :until"
OLD_DISCLOSURES: Final = """made <= :before
    AND NOT EXISTS (SELECT 1 FROM notice WHERE notice.disclosure = disclosure.id AND notice.received IS NULL)
    AND NOT EXISTS (SELECT 1 FROM submission WHERE submission.subject = disclosure.subject AND submission.purpose = disclosure.purpose)"""
"""Those of which a recipient need not be told anything any more: it was, or we do not keep the data ourselves."""
PURGE_DISCLOSURES: Final = (
    f"/* disclosures.purge */ DELETE FROM notice WHERE disclosure IN (SELECT id FROM disclosure WHERE {OLD_DISCLOSURES})",
    f"/* disclosures.purge */ DELETE FROM disclosure WHERE {OLD_DISCLOSURES}",
)
ADD_NOTICE: Final = """/* notices.add */
INSERT INTO notice (id, disclosure, recipient, kind, made, due, sealed)
VALUES (:id, :disclosure, :recipient, :kind, :made, :made, :sealed)"""
CALL_OFF: Final = """/* notices.add */
DELETE FROM notice WHERE disclosure = :disclosure AND received IS NULL AND kind <> :kind"""
_DUE: Final = """received IS NULL AND due <= :now AND NOT EXISTS (
    SELECT 1 FROM notice AS older WHERE older.disclosure = notice.disclosure AND older.received IS NULL
        AND (older.made, older.id) < (notice.made, notice.id))"""
NOTICES_DUE: Final = f"""/* notices.tell */
SELECT notice.*, disclosure.subject FROM notice JOIN disclosure ON disclosure.id = notice.disclosure
WHERE {_DUE} ORDER BY notice.made, notice.id LIMIT :most"""
"""Of each entry the oldest only: what came later must not arrive before it."""
ANY_NOTICE_DUE: Final = f"/* notices.look */ SELECT EXISTS (SELECT 1 FROM notice WHERE {_DUE}) AS duty"
NOTICE: Final = """/* notices.find */
SELECT notice.*, disclosure.subject FROM notice JOIN disclosure ON disclosure.id = notice.disclosure WHERE notice.id = :id"""
NOTICES: Final = """/* notices.list */
SELECT id, disclosure, recipient, kind, made, attempts, received, proof FROM notice ORDER BY received IS NOT NULL, made DESC, id"""
NOTICES_LIKE: Final = "/* notices.find */ SELECT id FROM notice WHERE id BETWEEN :first AND :last AND received IS NULL LIMIT 2"
PUT_OFF_NOTICE: Final = "/* notices.tell */ UPDATE notice SET attempts = attempts + 1, due = :due WHERE id = :id"
RECEIVED: Final = """/* notices.received */
UPDATE notice SET received = :now, proof = :proof, sealed = NULL WHERE id = :id AND received IS NULL"""

SIGN_UPS_WAITING: Final = """/* problems.service */
SELECT COUNT(*) FROM submission WHERE purpose = 'newsletter' AND outcome = 'accepted'
    AND NOT EXISTS (SELECT 1 FROM consent WHERE consent.submission = submission.id)"""
NOTICES_WAITING: Final = "/* problems.service */ SELECT COUNT(*) FROM notice WHERE received IS NULL AND made <= :before"
ANY_SERVICE: Final = f"""/* clerk.look */
SELECT EXISTS (SELECT 1 FROM consent WHERE {_LAPSED})
    OR (:can_ask AND EXISTS (SELECT 1 FROM submission WHERE purpose = 'newsletter' AND outcome = 'accepted'
        AND NOT EXISTS (SELECT 1 FROM consent WHERE consent.submission = submission.id)))
    OR EXISTS (SELECT 1 FROM disclosure WHERE {OLD_DISCLOSURES})
    OR EXISTS (SELECT 1 FROM issue WHERE ended IS NULL AND begun <= :hopeless)
    OR EXISTS (SELECT 1 FROM delivery JOIN issue ON issue.id = delivery.issue WHERE issue.ended <= :delivered) AS duty"""
