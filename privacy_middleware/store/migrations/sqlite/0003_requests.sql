-- Data requests. What a person writes is sealed under a key of that request alone; everything else here names nobody.

CREATE TABLE request (
    id BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    lookup BLOB,            -- blind index of the address that it was made with; none once it is forgotten
    subject BLOB REFERENCES subject (id),   -- whose key `sealed` is under; none once that is destroyed
    created INTEGER NOT NULL,   -- these are epoch milliseconds
    due INTEGER NOT NULL,       -- the last instant to answer it
    confirmed INTEGER,
    acts INTEGER,           -- when what was asked for is to be done; none while that is not decided
    closed INTEGER,
    extended INTEGER NOT NULL DEFAULT 0,
    reminded INTEGER NOT NULL DEFAULT 0,    -- how often the owner was reminded
    tries INTEGER NOT NULL DEFAULT 0,       -- how often doing it has failed
    statement BLOB NOT NULL,    -- digest of the privacy statement in force
    sealed BLOB
) WITHOUT ROWID;
CREATE INDEX request_lookup ON request (lookup);
CREATE INDEX request_state ON request (state, acts);
CREATE INDEX request_closed ON request (closed);

-- Links in mails, by a keyed hash of the random id that stands in them.
CREATE TABLE link (
    hash BLOB PRIMARY KEY,
    request BLOB NOT NULL REFERENCES request (id),
    purpose TEXT NOT NULL,
    expires INTEGER NOT NULL,
    uses INTEGER NOT NULL   -- how often it may still act
) WITHOUT ROWID;
CREATE INDEX link_request ON link (request);
CREATE INDEX link_expires ON link (expires);

-- Mails that wait to be sent, sealed under a key of their own; a row goes when its mail is sent.
CREATE TABLE mail (
    id BLOB PRIMARY KEY,
    request BLOB,           -- which request it is about
    subject BLOB NOT NULL REFERENCES subject (id),
    kind TEXT NOT NULL,
    due INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    unsure INTEGER NOT NULL DEFAULT 0,  -- 1 if the connection broke off once when it was handed over: perhaps it is sent
    sealed BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX mail_due ON mail (due);

-- What each of the host's sources has done for a request: so nothing is done twice. `sealed` is what a slow one has exported.
CREATE TABLE step (
    request BLOB NOT NULL REFERENCES request (id),
    source TEXT NOT NULL,
    outcome TEXT NOT NULL,
    made INTEGER NOT NULL,
    sealed BLOB,
    PRIMARY KEY (request, source)
) WITHOUT ROWID;

-- Who was erased, and when: nothing older of theirs may come back.
CREATE TABLE tombstone (lookup BLOB PRIMARY KEY, erased INTEGER NOT NULL) WITHOUT ROWID;

-- How many requests came in an hour, by a keyed hash of where from.
CREATE TABLE attempt (bucket BLOB NOT NULL, hour INTEGER NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (bucket, hour)) WITHOUT ROWID;

ALTER TABLE subject ADD COLUMN restricted INTEGER;  -- since when (epoch milliseconds) their data may only be stored, and are not purged
ALTER TABLE subject ADD COLUMN objected INTEGER;    -- since when they may only be stored until they are purged
ALTER TABLE audit ADD COLUMN subject BLOB;          -- blind index of the person whom an entry is about
ALTER TABLE audit ADD COLUMN chain BLOB;            -- hash of this entry and the chain of the one before; none of entries from before
