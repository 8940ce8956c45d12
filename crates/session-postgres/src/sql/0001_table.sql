-- One row for each session. Times are milliseconds since the epoch, given by the application: no clock of the server
-- and no time zone is involved. Columns of fixed width come first, so that there is no padding between them.
CREATE TABLE {schema}.session (
    created_at  bigint NOT NULL,
    -- Moves with every touch, so no index may mention it.
    last_seen   bigint NOT NULL,
    -- The row is expired when created_at + absolute_ms <= now or last_seen + idle_ms <= now.
    idle_ms     bigint NOT NULL,
    absolute_ms bigint NOT NULL,
    -- When the row is next worth a look by delete_expired: no later than when it expires if nobody touches it. In units of
    -- ten seconds, rounded down: equal values share an entry of the index.
    sweep_at    int    NOT NULL,
    id          uuid   NOT NULL PRIMARY KEY,
    -- Number and nonce, compared whole.
    version     bytea  NOT NULL,
    -- The owner as UTF-8. Not text: a user id may contain NUL. NULL: nobody is logged in.
    user_id     bytea,
    -- Record::encode_rest.
    record      bytea  NOT NULL
) WITH (
    -- Room on each page for the next version of one row, if it is not too large: an update stays on its page and leaves the
    -- indexes alone (HOT), and whoever comes next clears away the version before.
    fillfactor = 97,
    -- Sessions come and go: clean up after 2 % of dead rows, not after 20 %.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05
);

-- A scan of the primary key by the shard of the user would do without this index, but reads every row of the shard: at
-- 10 million rows 129 pages instead of 5. A hash is as small for long names as for short ones.
CREATE INDEX session_user_id ON {schema}.session USING hash (user_id) WHERE user_id IS NOT NULL;

CREATE INDEX session_sweep_at ON {schema}.session (sweep_at);
