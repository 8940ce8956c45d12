-- What takes more than one look at the table. In a VOLATILE function each statement sees what was committed before that
-- statement began; in one statement with CTEs all parts would see what was committed before the call waited for its
-- locks. A function is never changed in place: nodes of two versions run side by side during a deployment.
--
-- A connection keeps the plan of a statement until the table is next analyzed. One that was made when the table was
-- empty would read all of it once it is full, hence the settings: there is an index for everything.

-- Excludes every other transaction that adds sessions of these users, or deletes all of them, until the end of the
-- transaction. The locks are taken in ascending order, so that two logins that each replace a session of the other's
-- user do not deadlock.
CREATE FUNCTION {schema}.lock_users(p_user bytea, p_other bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- With the snapshot of the whole transaction, counting behind the lock would not see who held it before.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'sessions need default_transaction_isolation = ''read committed''' USING ERRCODE = 'SE001';
    END IF;
    PERFORM pg_advisory_xact_lock(keys.key) FROM (
        SELECT DISTINCT hashtextextended('{schema}.session:' || encode(users.id, 'hex'), 0) AS key
        FROM unnest(ARRAY[p_user, p_other]) AS users (id) WHERE users.id IS NOT NULL ORDER BY key
    ) AS keys;
END $$;

-- SessionStore::create. Other functions wait for one row at a time while they hold none, delete_expired never waits,
-- and the insertion, which may wait for one of the same id, comes after every lock.
CREATE FUNCTION {schema}.create_session(
    p_created_at bigint, p_last_seen bigint, p_idle_ms bigint, p_deadline bigint, p_sweep_at bigint,
    p_id bytea, p_version bytea, p_user bytea, p_record bytea,
    p_replaces bytea, p_replaces_user bytea, p_replaces_version bytea,
    p_max bigint, p_at_limit text, p_now bigint,
    OUT outcome text, OUT evicted bytea[]
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    stored bytea;
    others bigint;
BEGIN
    PERFORM {schema}.lock_users(p_user, p_replaces_user);
    LOOP
        evicted := '{}';

        SELECT s.version INTO stored FROM {schema}.session s
        WHERE s.id = p_id AND s.deadline > p_now AND s.last_seen > p_now - s.idle_ms;
        IF FOUND THEN
            outcome := CASE WHEN stored = p_version THEN 'created' ELSE 'occupied' END;
            RETURN;
        END IF;

        IF p_replaces IS NOT NULL THEN
            SELECT s.version INTO stored FROM {schema}.session s
            WHERE s.id = p_replaces AND s.deadline > p_now AND s.last_seen > p_now - s.idle_ms FOR UPDATE;
            IF NOT FOUND THEN
                outcome := 'replaced_absent';
                RETURN;
            ELSIF stored <> p_replaces_version THEN
                outcome := 'replaced_changed';
                RETURN;
            END IF;
        END IF;

        IF p_user IS NOT NULL AND p_max IS NOT NULL THEN
            SELECT count(*) INTO others FROM {schema}.session s
            WHERE s.user_id = p_user AND s.deadline > p_now AND s.last_seen > p_now - s.idle_ms
                AND s.id IS DISTINCT FROM p_replaces;
            IF others >= p_max THEN
                IF p_at_limit = 'reject' THEN
                    outcome := 'limit_reached';
                    RETURN;
                END IF;
                -- Nobody may touch or delete a candidate between the choice and the deletion.
                PERFORM FROM {schema}.session s WHERE s.user_id = p_user FOR UPDATE;
                SELECT coalesce(array_agg(ranked.id ORDER BY ranked.place), '{}') INTO evicted FROM (
                    SELECT s.id, count(*) OVER () AS others, row_number() OVER (
                        ORDER BY CASE p_at_limit WHEN 'evict_oldest' THEN s.created_at ELSE s.last_seen END, s.id
                    ) AS place
                    FROM {schema}.session s
                    WHERE s.user_id = p_user AND s.deadline > p_now AND s.last_seen > p_now - s.idle_ms
                        AND s.id IS DISTINCT FROM p_replaces
                ) AS ranked WHERE ranked.place <= ranked.others + 1 - p_max;
            END IF;
        END IF;

        -- The id may be taken by a session that is expired.
        DELETE FROM {schema}.session s
        WHERE s.id = p_id AND NOT (s.deadline > p_now AND s.last_seen > p_now - s.idle_ms);
        INSERT INTO {schema}.session
            (created_at, last_seen, idle_ms, deadline, sweep_at, id, version, user_id, record)
        VALUES (p_created_at, p_last_seen, p_idle_ms, p_deadline, p_sweep_at, p_id, p_version, p_user, p_record)
        ON CONFLICT (id) DO NOTHING;
        IF FOUND THEN
            DELETE FROM {schema}.session s WHERE s.id = ANY (evicted || p_replaces);
            outcome := 'created';
            RETURN;
        END IF;
        -- Another transaction inserted the id meanwhile: look again.
    END LOOP;
END $$;

-- SessionStore::update.
CREATE FUNCTION {schema}.update_session(
    p_created_at bigint, p_last_seen bigint, p_idle_ms bigint, p_deadline bigint, p_sweep_at bigint,
    p_id bytea, p_version bytea, p_record bytea, p_expected bytea, p_now bigint
) RETURNS text LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    stored bytea;
BEGIN
    LOOP
        UPDATE {schema}.session s SET
            created_at = p_created_at, last_seen = greatest(s.last_seen, p_last_seen), idle_ms = p_idle_ms,
            deadline = p_deadline, sweep_at = least(s.sweep_at, p_sweep_at), version = p_version, record = p_record
        WHERE s.id = p_id AND s.version = p_expected AND s.version <> p_version
            AND s.deadline > p_now AND s.last_seen > p_now - s.idle_ms;
        IF FOUND THEN
            RETURN 'applied';
        END IF;

        SELECT s.version INTO stored FROM {schema}.session s
        WHERE s.id = p_id AND s.deadline > p_now AND s.last_seen > p_now - s.idle_ms;
        IF NOT FOUND THEN
            RETURN 'absent';
        ELSIF stored = p_version THEN
            RETURN 'applied';
        ELSIF stored <> p_expected THEN
            RETURN 'conflict';
        END IF;
        -- The expected version was stored in between: try again.
    END LOOP;
END $$;

-- SessionStore::delete_by_user.
CREATE FUNCTION {schema}.delete_sessions_of(p_user bytea, p_keep bytea) RETURNS SETOF bytea
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    PERFORM {schema}.lock_users(p_user, NULL);
    RETURN QUERY
        DELETE FROM {schema}.session s WHERE s.user_id = p_user AND s.id IS DISTINCT FROM p_keep RETURNING s.id;
END $$;

-- SessionStore::delete_expired. Looks at the rows whose time to be looked at has come, in that order: deletes what is
-- expired, and puts off the rest until it will be expired unless it is touched again. So a session in use is looked at
-- once in each idle timeout, an abandoned one when it expires, and last_seen needs no index. Rows that others hold are
-- left to a later call.
CREATE FUNCTION {schema}.delete_expired(p_now bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    reached   bigint := -9223372036854775808;
    looked_at bigint := 0;
    deleted   bigint := 0;
    found     bigint;
    gone      bigint;
BEGIN
    -- A deletion that a crash undoes is done again.
    PERFORM set_config('synchronous_commit', 'off', true);
    WHILE deleted < p_limit AND looked_at < p_limit + 1000 LOOP
        WITH due AS MATERIALIZED (
            SELECT s.ctid AS place, s.sweep_at, NOT (s.deadline > p_now AND s.last_seen > p_now - s.idle_ms) AS expired
            FROM {schema}.session s WHERE s.sweep_at BETWEEN reached AND p_now
            ORDER BY s.sweep_at LIMIT p_limit - deleted FOR UPDATE SKIP LOCKED
        ), removed AS (
            DELETE FROM {schema}.session s
            WHERE s.ctid = ANY (ARRAY(SELECT due.place FROM due WHERE due.expired)) RETURNING 1
        ), put_off AS (
            UPDATE {schema}.session s SET sweep_at =
                CASE WHEN s.last_seen > 9223372036854775807 - s.idle_ms THEN s.deadline
                     ELSE least(s.deadline, s.last_seen + s.idle_ms) END
            WHERE s.ctid = ANY (ARRAY(SELECT due.place FROM due WHERE NOT due.expired))
        )
        SELECT count(*), max(due.sweep_at), (SELECT count(*) FROM removed) INTO found, reached, gone FROM due;
        EXIT WHEN found = 0;
        looked_at := looked_at + found;
        deleted := deleted + gone;
    END LOOP;
    RETURN deleted;
END $$;
