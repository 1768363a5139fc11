-- As 0006 of SQLite.

ALTER TABLE submission ADD COLUMN closed BIGINT;       -- when its matter was closed, epoch milliseconds
ALTER TABLE submission ADD COLUMN runs_from INTEGER;    -- the day from which its retention runs, if that is not the day on which it came
ALTER TABLE mail ADD COLUMN person BYTEA;     -- whose it is, if it is about no request: the subject of their data
CREATE INDEX submission_purpose ON submission (purpose);

-- What the owner answered, sealed under the key of the person.
CREATE TABLE reply (
    id BYTEA PRIMARY KEY,
    submission BYTEA NOT NULL REFERENCES submission (id) DEFERRABLE INITIALLY DEFERRED,
    made BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE INDEX reply_submission ON reply (submission);

-- What somebody agreed to, for one purpose: asked, then given, then perhaps withdrawn. All epoch milliseconds; of who is anonymous, whole days.
CREATE TABLE consent (
    id BYTEA PRIMARY KEY,
    subject BYTEA NOT NULL REFERENCES subject (id) DEFERRABLE INITIALLY DEFERRED,
    submission BYTEA REFERENCES submission (id) DEFERRABLE INITIALLY DEFERRED,     -- what was sent with it; none once it is withdrawn
    purpose TEXT COLLATE "C" NOT NULL,
    statement BYTEA NOT NULL,    -- digest of the privacy statement in force
    asked BIGINT NOT NULL,
    given BIGINT,
    withdrawn BIGINT,
    until BIGINT,              -- when the row goes; none while it is in force without an end
    hash BYTEA UNIQUE,           -- keyed hash of the secret id in its link or cookie
    bounces INTEGER NOT NULL DEFAULT 0,     -- how many mails in a row were refused
    sealed BYTEA                 -- the language and the words; none of sign-ups from before there was this table
);
CREATE INDEX consent_subject ON consent (subject);
CREATE INDEX consent_submission ON consent (submission);
CREATE INDEX consent_purpose ON consent (purpose, id);
CREATE INDEX consent_until ON consent (until);

-- Sign-ups from before: nobody has confirmed them. They stay as long as was promised, and get no mail until the owner invites them to confirm.
INSERT INTO consent (id, subject, submission, purpose, statement, asked)
SELECT id, subject, id, purpose, statement, day * 86400000::BIGINT FROM submission WHERE purpose = 'newsletter' AND outcome = 'accepted';

-- Newsletters that were sent, and to whom: so that nobody gets one twice. The rows of people go after a month; the numbers stay.
CREATE TABLE issue (
    id BYTEA PRIMARY KEY,
    digest BYTEA NOT NULL UNIQUE,
    subject TEXT COLLATE "C" NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    begun BIGINT NOT NULL,
    ended BIGINT,
    sent BIGINT NOT NULL DEFAULT 0,
    refused BIGINT NOT NULL DEFAULT 0,
    doubtful BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE delivery (
    issue BYTEA NOT NULL REFERENCES issue (id) DEFERRABLE INITIALLY DEFERRED,
    consent BYTEA NOT NULL REFERENCES consent (id) DEFERRABLE INITIALLY DEFERRED,
    state TEXT COLLATE "C" NOT NULL,        -- sending, sent, later, refused, doubtful
    due BIGINT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (issue, consent)
);
CREATE INDEX delivery_consent ON delivery (consent);

-- Who got data of a person, and what such a recipient must be told afterwards. The id is all that the recipient knows the entry by.
CREATE TABLE disclosure (
    id BYTEA PRIMARY KEY,
    subject BYTEA REFERENCES subject (id) DEFERRABLE INITIALLY DEFERRED,   -- none once the person is erased
    recipient TEXT COLLATE "C" NOT NULL,
    purpose TEXT COLLATE "C" NOT NULL,
    fields TEXT COLLATE "C" NOT NULL,       -- their names, JSON
    way TEXT COLLATE "C" NOT NULL,          -- file, webhook
    made BIGINT NOT NULL,
    batch BYTEA NOT NULL,        -- what was given together
    statement BYTEA NOT NULL
);
CREATE INDEX disclosure_subject ON disclosure (subject);
CREATE INDEX disclosure_made ON disclosure (made);
CREATE TABLE notice (
    id BYTEA PRIMARY KEY,
    disclosure BYTEA NOT NULL REFERENCES disclosure (id) DEFERRABLE INITIALLY DEFERRED,
    recipient TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,         -- erasure, correction, withdrawal, restriction
    made BIGINT NOT NULL,
    due BIGINT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    received BIGINT,
    proof TEXT COLLATE "C" NOT NULL DEFAULT '',     -- what the recipient answered, or who noted that it knows
    sealed BYTEA                 -- of a correction: the new values, under the person's key
);
CREATE INDEX notice_due ON notice (received, due);
CREATE INDEX notice_disclosure ON notice (disclosure);
