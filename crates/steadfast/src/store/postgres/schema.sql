-- Steadfast, PostgreSQL driver, schema 1.
CREATE TABLE {records} (
    version     bigint   NOT NULL, -- opaque: 64 bits of the last write
    expires_at  bigint   NOT NULL, -- microseconds since 1970; not indexed, so that a touch stays in its page
    lease_token bigint   NOT NULL, -- the last holder
    lease_until bigint   NOT NULL, -- microseconds since 1970; 0 if nobody holds it
    purge_hour  integer  NOT NULL, -- the hours since 1970 in expires_at
    waited      boolean  NOT NULL, -- somebody waits for the lease, so its end is announced
    key         bytea    NOT NULL CONSTRAINT "{table}_pkey" PRIMARY KEY CHECK (octet_length(key) = 16),
    user_key    bytea             CHECK (octet_length(user_key) = 16),
    payload     bytea    NOT NULL  -- last, so that a touch or a lease logs only what is before it
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
-- Payloads are dense or sealed already: compressing them costs time and saves nothing.
ALTER TABLE {records} ALTER COLUMN payload SET STORAGE EXTERNAL;
CREATE INDEX "{table}_purge_hour" ON {records} (purge_hour);
CREATE INDEX "{table}_user_key" ON {records} (user_key, key) WHERE user_key IS NOT NULL;

-- Damaged records, for an operator to look at. The newest 100 are kept.
CREATE TABLE {set_aside} (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    set_aside_at bigint NOT NULL, -- microseconds since 1970
    key          bytea  NOT NULL,
    expires_at   bigint NOT NULL,
    user_key     bytea,
    payload      bytea  NOT NULL
);

COMMENT ON TABLE {records} IS 'Steadfast sessions, schema 1';
