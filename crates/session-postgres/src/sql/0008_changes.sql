-- What has happened to sessions, for those who follow the changes (PostgresStore::feed). A row is written by the transaction
-- that makes the change: it is there if and only if that was committed, whatever becomes of who asked for it. Not logged: a
-- crash empties the table, and so does a failover, but those who follow it notice.
CREATE UNLOGGED TABLE {schema}.session_change (
    -- Of the transaction. The functions with txid in their names are those that PostgreSQL 12 has.
    txid    bigint NOT NULL DEFAULT txid_current(),
    -- NULL: of any session.
    id      uuid,
    -- NULL: the session ended. Empty: it was changed, and has the same version.
    version bytea
) WITH (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_analyze_scale_factor = 100,
    -- To shorten the table, it would be locked.
    vacuum_truncate = false
);

CREATE INDEX session_change_txid ON {schema}.session_change (txid);

-- At most one row.
CREATE UNLOGGED TABLE {schema}.session_feed (
    is_only     boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (is_only),
    -- A name for the time in which nothing is lost from session_change but what was forgotten.
    incarnation uuid NOT NULL DEFAULT md5(random()::text || clock_timestamp()::text)::uuid,
    -- The server and the table that it is of: this row may have been restored from a dump.
    server      text NOT NULL,
    -- The transactions that were prepared when it began: a crash spares them, and not what they had noted.
    prepared    text[] NOT NULL,
    -- What was committed before may have been deleted.
    forgotten   txid_snapshot NOT NULL DEFAULT txid_current_snapshot(),
    -- What will be forgotten next, and when that was decided, by the clock of the server.
    next        txid_snapshot NOT NULL DEFAULT txid_current_snapshot(),
    next_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- There is nothing left to delete of transactions before this one.
    cleared     bigint NOT NULL DEFAULT 0
);
