-- Figures of days and months: what is left of visits when the single hits are purged. No row of these is about one person.

-- Which days are counted. state: 0 goes on, 1 closed (its salt is gone), 2 closed, and its hits are purged.
CREATE TABLE day (
    day INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    hits INTEGER NOT NULL,      -- of how many hits, and up to which, the figures of an open day are
    last INTEGER NOT NULL,
    made INTEGER NOT NULL       -- epoch milliseconds
);

-- The figures of a day by dimension (a number, see statistics/rollup.py) and value. held: 1 if too few visitors have it to show it by itself;
-- 2 if all that is held of that day and dimension together is too few as well.
CREATE TABLE rollup (
    dimension INTEGER NOT NULL,
    day INTEGER NOT NULL,
    value TEXT NOT NULL,
    held INTEGER NOT NULL,
    visitors INTEGER NOT NULL,
    visits INTEGER NOT NULL,
    page_views INTEGER NOT NULL,
    bounces INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    aborted INTEGER NOT NULL,
    PRIMARY KEY (dimension, day, value)
) WITHOUT ROWID;

-- The same of whole months (12 × year + month - 1): only what may be shown.
CREATE TABLE monthly (
    dimension INTEGER NOT NULL,
    month INTEGER NOT NULL,
    value TEXT NOT NULL,
    visitors INTEGER NOT NULL,
    visits INTEGER NOT NULL,
    page_views INTEGER NOT NULL,
    bounces INTEGER NOT NULL,
    milliseconds INTEGER NOT NULL,
    hits INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    aborted INTEGER NOT NULL,
    PRIMARY KEY (dimension, month, value)
) WITHOUT ROWID;
CREATE TABLE month (month INTEGER PRIMARY KEY);

-- What was made public, with its noise: drawn once, and never again.
CREATE TABLE published (
    day INTEGER NOT NULL,
    dimension TEXT NOT NULL,
    value TEXT NOT NULL,
    figure TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (day, dimension, value, figure)
) WITHOUT ROWID;

-- Links to sign in, by a keyed hash of the random id that stands in them; and who is signed in, by a keyed hash of the cookie's id.
CREATE TABLE sign_in (hash BLOB PRIMARY KEY, role TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE session (
    hash BLOB PRIMARY KEY, role TEXT NOT NULL, way TEXT NOT NULL, began INTEGER NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID;
