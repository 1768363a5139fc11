-- Visits and what the recorder needs. Instants are epoch milliseconds; days count from 1970-01-01 in the owner's time zone.

CREATE TABLE page (id INTEGER PRIMARY KEY, site TEXT NOT NULL, path TEXT NOT NULL, UNIQUE (site, path));
CREATE TABLE source (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, address TEXT NOT NULL, UNIQUE (kind, address));
CREATE TABLE campaign (id INTEGER PRIMARY KEY, value TEXT NOT NULL, UNIQUE (value));
CREATE TABLE agent (
    id INTEGER PRIMARY KEY, browser TEXT NOT NULL, os TEXT NOT NULL, device TEXT NOT NULL, bot TEXT NOT NULL,
    UNIQUE (browser, os, device, bot)
);
CREATE TABLE language (id INTEGER PRIMARY KEY, value TEXT NOT NULL, UNIQUE (value));

CREATE TABLE hit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: what came after an id is newer
    day INTEGER NOT NULL,
    time INTEGER NOT NULL,
    visitor INTEGER,
    address BLOB,
    method INTEGER NOT NULL,
    page INTEGER NOT NULL REFERENCES page (id),
    kind INTEGER NOT NULL,
    status INTEGER NOT NULL,
    source INTEGER NOT NULL REFERENCES source (id),
    campaign INTEGER NOT NULL REFERENCES campaign (id),
    agent INTEGER NOT NULL REFERENCES agent (id),
    language INTEGER NOT NULL REFERENCES language (id),
    country TEXT NOT NULL DEFAULT '',
    sent INTEGER NOT NULL,
    aborted INTEGER NOT NULL,
    duration INTEGER NOT NULL
);
CREATE INDEX hit_day ON hit (day);

-- The random key of each day's pseudonyms; a row is destroyed after its second day.
CREATE TABLE salt (day INTEGER PRIMARY KEY, value BLOB NOT NULL);
-- Pseudonyms whose hits up to an instant are erased, so that another worker's queue cannot bring them back; goes with the salt.
CREATE TABLE forgotten (day INTEGER NOT NULL, visitor INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (day, visitor));

CREATE TABLE counter (day INTEGER NOT NULL, name TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (day, name));
CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL);
CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
-- How far which access log was imported: a keyed hash of all lines up to a number of lines.
CREATE TABLE imported (lines INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (lines, digest));
CREATE TABLE statement (digest BLOB PRIMARY KEY, since INTEGER NOT NULL);
