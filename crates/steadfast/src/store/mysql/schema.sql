-- Steadfast, MySQL driver, schema 1.
CREATE TABLE IF NOT EXISTS `{table}` (
    record_key  BINARY(16)      NOT NULL PRIMARY KEY,
    version     BIGINT UNSIGNED NOT NULL, -- opaque: 64 bits of the last write
    expires_at  BIGINT UNSIGNED NOT NULL, -- microseconds since 1970; not indexed, so that a touch is cheap
    purge_hour  INT UNSIGNED    NOT NULL, -- the hours since 1970 in expires_at
    lease_token BIGINT UNSIGNED NOT NULL, -- the last holder
    lease_until BIGINT UNSIGNED NOT NULL, -- microseconds since 1970; 0 if nobody holds it
    user_key    BINARY(16),
    payload     LONGBLOB        NOT NULL,
    KEY by_purge_hour (purge_hour),
    KEY by_user (user_key)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='steadfast schema 1';

-- Damaged records, for an operator to look at. The newest 100 are kept.
CREATE TABLE IF NOT EXISTS `{table}_set_aside` (
    id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    set_aside_at BIGINT UNSIGNED NOT NULL, -- microseconds since 1970
    record_key   BINARY(16)      NOT NULL,
    expires_at   BIGINT UNSIGNED NOT NULL,
    user_key     BINARY(16),
    payload      LONGBLOB        NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='steadfast schema 1';
