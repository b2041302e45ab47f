-- Steadfast, SQLite driver, schema 1. The file belongs to Steadfast alone: application_id says so.
PRAGMA application_id = 1398031940; -- "STFD"
PRAGMA user_version = 1;

CREATE TABLE records (
    key         BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 16),
    version     INTEGER NOT NULL, -- opaque: 64 bits of the last write
    expires_at  INTEGER NOT NULL, -- microseconds since 1970; not indexed, so that a touch is cheap
    purge_hour  INTEGER NOT NULL, -- the hours since 1970 in expires_at
    lease_token INTEGER NOT NULL, -- the last holder
    lease_until INTEGER NOT NULL, -- microseconds since 1970; the smallest integer if nobody holds it
    user        BLOB             CHECK (length(user) = 16),
    payload     BLOB    NOT NULL  -- last, so that a touch or a lease leaves its pages alone
) STRICT, WITHOUT ROWID;

CREATE INDEX records_by_purge_hour ON records (purge_hour);
CREATE INDEX records_by_user ON records (user) WHERE user IS NOT NULL;

-- Damaged records, for an operator to look at. The newest 100 are kept.
CREATE TABLE set_aside (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    set_aside_at INTEGER NOT NULL, -- microseconds since 1970
    key          BLOB    NOT NULL,
    expires_at   INTEGER NOT NULL,
    user         BLOB,
    payload      BLOB    NOT NULL
) STRICT;
