-- Serving who wrote: our answers, what people agreed to, the newsletter, and who got data of whom.

ALTER TABLE submission ADD COLUMN closed INTEGER;       -- when its matter was closed, epoch milliseconds
ALTER TABLE submission ADD COLUMN runs_from INTEGER;    -- the day from which its retention runs, if that is not the day on which it came
ALTER TABLE mail ADD COLUMN person BLOB;     -- whose it is, if it is about no request: the subject of their data
CREATE INDEX submission_purpose ON submission (purpose);

-- What the owner answered, sealed under the key of the person.
CREATE TABLE reply (
    id BLOB PRIMARY KEY,
    submission BLOB NOT NULL REFERENCES submission (id),
    made INTEGER NOT NULL,
    sealed BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX reply_submission ON reply (submission);

-- What somebody agreed to, for one purpose: asked, then given, then perhaps withdrawn. All epoch milliseconds; of who is anonymous, whole days.
CREATE TABLE consent (
    id BLOB PRIMARY KEY,
    subject BLOB NOT NULL REFERENCES subject (id),
    submission BLOB REFERENCES submission (id),     -- what was sent with it; none once it is withdrawn
    purpose TEXT NOT NULL,
    statement BLOB NOT NULL,    -- digest of the privacy statement in force
    asked INTEGER NOT NULL,
    given INTEGER,
    withdrawn INTEGER,
    until INTEGER,              -- when the row goes; none while it is in force without an end
    hash BLOB UNIQUE,           -- keyed hash of the secret id in its link or cookie
    bounces INTEGER NOT NULL DEFAULT 0,     -- how many mails in a row were refused
    sealed BLOB                 -- the language and the words; none of sign-ups from before there was this table
) WITHOUT ROWID;
CREATE INDEX consent_subject ON consent (subject);
CREATE INDEX consent_submission ON consent (submission);
CREATE INDEX consent_purpose ON consent (purpose, id);
CREATE INDEX consent_until ON consent (until);

-- Sign-ups from before: nobody has confirmed them. They stay as long as was promised, and get no mail until the owner invites them to confirm.
INSERT INTO consent (id, subject, submission, purpose, statement, asked)
SELECT id, subject, id, purpose, statement, day * 86400000 FROM submission WHERE purpose = 'newsletter' AND outcome = 'accepted';

-- Newsletters that were sent, and to whom: so that nobody gets one twice. The rows of people go after a month; the numbers stay.
CREATE TABLE issue (
    id BLOB PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    begun INTEGER NOT NULL,
    ended INTEGER,
    sent INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    doubtful INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE delivery (
    issue BLOB NOT NULL REFERENCES issue (id),
    consent BLOB NOT NULL REFERENCES consent (id),
    state TEXT NOT NULL,        -- sending, sent, later, refused, doubtful
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (issue, consent)
) WITHOUT ROWID;
CREATE INDEX delivery_consent ON delivery (consent);

-- Who got data of a person, and what such a recipient must be told afterwards. The id is all that the recipient knows the entry by.
CREATE TABLE disclosure (
    id BLOB PRIMARY KEY,
    subject BLOB REFERENCES subject (id),   -- none once the person is erased
    recipient TEXT NOT NULL,
    purpose TEXT NOT NULL,
    fields TEXT NOT NULL,       -- their names, JSON
    way TEXT NOT NULL,          -- file, webhook
    made INTEGER NOT NULL,
    batch BLOB NOT NULL,        -- what was given together
    statement BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX disclosure_subject ON disclosure (subject);
CREATE INDEX disclosure_made ON disclosure (made);
CREATE TABLE notice (
    id BLOB PRIMARY KEY,
    disclosure BLOB NOT NULL REFERENCES disclosure (id),
    recipient TEXT NOT NULL,
    kind TEXT NOT NULL,         -- erasure, correction, withdrawal, restriction
    made INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    received INTEGER,
    proof TEXT NOT NULL DEFAULT '',     -- what the recipient answered, or who noted that it knows
    sealed BLOB                 -- of a correction: the new values, under the person's key
) WITHOUT ROWID;
CREATE INDEX notice_due ON notice (received, due);
CREATE INDEX notice_disclosure ON notice (disclosure);
