-- One row per session. Times are milliseconds since the epoch, by the clock of the application: neither the clock nor
-- the time zone of the server matters. Columns of fixed width come first, so that no padding is needed between them.
CREATE TABLE {schema}.session (
    created_at  bigint NOT NULL,
    -- Changes with every touch, so it must not be indexed.
    last_seen   bigint NOT NULL,
    -- The row is expired when created_at + absolute_ms <= now or last_seen + idle_ms <= now.
    idle_ms     bigint NOT NULL,
    absolute_ms bigint NOT NULL,
    -- When delete_expired next visits the row: no later than the row expires if it is not touched again. In units of
    -- ten seconds, rounded down: equal values share an index entry (deduplication).
    sweep_at    int    NOT NULL,
    id          uuid   NOT NULL PRIMARY KEY,
    -- Number and nonce, compared as a whole.
    version     bytea  NOT NULL,
    -- The user id as UTF-8. Not text: a user id may contain NUL. NULL for an anonymous session.
    user_id     bytea,
    -- Record::encode_body: what describes the session.
    body        bytea  NOT NULL,
    -- Record::encode_values: the values of the application, which a list of sessions does not read.
    data        bytea  NOT NULL
) WITH (
    -- Free space on each page for the next version of one row, if it is not too large: the update is a HOT update,
    -- which leaves the indexes alone, and the next access to the page prunes the dead version.
    fillfactor = 97,
    -- Sessions come and go: vacuum after 2 % of dead rows, not after 20 %.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05
);

-- A scan of the primary key by the shard of the user would need no index, but reads every row of the shard: with 10
-- million rows, 129 pages instead of 5. In a hash index, a long user id takes no more space than a short one.
CREATE INDEX session_user_id ON {schema}.session USING hash (user_id) WHERE user_id IS NOT NULL;

CREATE INDEX session_sweep_at ON {schema}.session (sweep_at);
