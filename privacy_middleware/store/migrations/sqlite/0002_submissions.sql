-- What people send with declared forms. Identifiers are random, so that their order tells nothing; days count from 1970-01-01.

-- The key of the blind index and of keyed hashes, sealed under the master key whose fingerprint stands beside it.
CREATE TABLE vault (name TEXT PRIMARY KEY, master BLOB NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;

-- One person, or one anonymous submission. Without the key nothing of theirs can be read.
CREATE TABLE subject (
    id BLOB PRIMARY KEY,
    lookup BLOB UNIQUE,     -- the blind index of the e-mail address; none if anonymous
    master BLOB NOT NULL,
    sealed BLOB NOT NULL    -- the person's own key, and the lookup
) WITHOUT ROWID;
CREATE INDEX subject_master ON subject (master);

CREATE TABLE submission (
    id BLOB PRIMARY KEY,
    subject BLOB NOT NULL REFERENCES subject (id),
    form TEXT NOT NULL,
    purpose TEXT NOT NULL,
    day INTEGER NOT NULL,
    expires INTEGER NOT NULL,   -- the first day on which it is no longer kept
    outcome TEXT NOT NULL,
    statement BLOB NOT NULL,    -- digest of the privacy statement in force
    visitor INTEGER,            -- only with link_visit
    answered INTEGER,           -- epoch milliseconds
    time BLOB                   -- sealed; none if anonymous: it would tell whose visit it was
) WITHOUT ROWID;
CREATE INDEX submission_subject ON submission (subject);
CREATE INDEX submission_day ON submission (form, day);

CREATE TABLE field (
    submission BLOB NOT NULL REFERENCES submission (id),
    name TEXT NOT NULL,
    value BLOB NOT NULL,        -- sealed JSON
    PRIMARY KEY (submission, name)
) WITHOUT ROWID;

-- Who of the owner's side looked at what, and changed what. It names submissions by their identifier, and holds nothing of theirs.
CREATE TABLE audit (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL);
