-- What has happened to sessions, for those who follow the changes (PostgresStore::feed). A row is written by the transaction
-- that makes the change: it is there if and only if that is committed, whatever becomes of who asked for it. Deleted when it
-- is a minute old. Not logged: a crash empties the table, and so does a failover, but then those who follow find another
-- reign, and begin anew.
CREATE UNLOGGED TABLE {schema}.change (
    -- Of the transaction. The functions with txid in their names are those that PostgreSQL 12 has.
    txid    bigint NOT NULL DEFAULT txid_current(),
    -- NULL: of any session.
    id      uuid,
    -- NULL: the session ended.
    version bytea
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_analyze_scale_factor = 100);

CREATE INDEX change_txid ON {schema}.change (txid);

-- One row, written by the first who needs it.
CREATE UNLOGGED TABLE {schema}.feed (
    is_only   boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (is_only),
    -- The time since both tables were last emptied.
    reign     uuid NOT NULL DEFAULT md5(random()::text || clock_timestamp()::text)::uuid,
    -- Changes that this one sees may have been deleted.
    forgotten txid_snapshot NOT NULL DEFAULT txid_current_snapshot(),
    -- What becomes of it a minute after it was taken.
    next      txid_snapshot NOT NULL DEFAULT txid_current_snapshot(),
    next_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
