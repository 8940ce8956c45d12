-- One row per session. Times are milliseconds since the epoch, by the clock of the application. It is expired when
-- now >= {deadline}.
CREATE TABLE {session} (
    id          BLOB    NOT NULL PRIMARY KEY,
    -- Number and nonce, compared as a whole.
    version     BLOB    NOT NULL,
    -- The user id as UTF-8. NULL for an anonymous session.
    user_id     BLOB,
    created_at  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    idle_ms     INTEGER NOT NULL,
    absolute_ms INTEGER NOT NULL,
    -- Whether it is an anonymous session that was created under a limit.
    is_visitor  INTEGER NOT NULL,
    -- Record::encode_body: what describes the session.
    body        BLOB    NOT NULL,
    -- Record::encode_values, last: where it is long, a list does not read it.
    data        BLOB    NOT NULL
) STRICT;

CREATE INDEX {session_user} ON {session} (user_id) WHERE user_id IS NOT NULL;

-- For the sweep, for counts, and for visitors that have expired.
CREATE INDEX {session_deadline} ON {session} (is_visitor, {deadline});

-- Visitors in the order of their last use.
CREATE INDEX {session_visitor} ON {session} (last_seen) WHERE is_visitor = 1;

-- One row: the number of steps that were applied, and of visitors that are stored, expired ones included.
CREATE TABLE {meta} (version INTEGER NOT NULL, visitors INTEGER NOT NULL) STRICT;
INSERT INTO {meta} VALUES (0, 0);

CREATE TRIGGER {visitor_came} AFTER INSERT ON {session} WHEN new.is_visitor
    BEGIN UPDATE {meta} SET visitors = visitors + 1; END;
CREATE TRIGGER {visitor_left} AFTER DELETE ON {session} WHEN old.is_visitor
    BEGIN UPDATE {meta} SET visitors = visitors - 1; END;
