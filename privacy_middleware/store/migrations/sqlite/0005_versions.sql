-- Every version of the privacy statement, in order: a content that comes back is a version of its own. It holds nothing about visitors.
CREATE TABLE version (
    number INTEGER PRIMARY KEY,
    digest BLOB NOT NULL,       -- of the facts: what submissions and requests name
    since INTEGER NOT NULL,     -- epoch milliseconds
    facts BLOB NOT NULL,        -- JSON; empty of those that were noted before contents were kept
    texts BLOB NOT NULL         -- the sections by language, JSON, compressed by zlib
);
INSERT INTO version (number, digest, since, facts, texts)
SELECT (SELECT COUNT(*) FROM statement AS other WHERE other.since < statement.since OR (other.since = statement.since AND other.digest <= statement.digest)),
    digest, since, x'', x'' FROM statement;
DROP TABLE statement;
