-- Every operation is a function, for three reasons. In a VOLATILE function, each statement has a snapshot of its own;
-- the parts of a single statement with CTEs would share one that was taken before the call waited for its locks. A
-- function has settings of its own: a connection caches the plan of a statement until the table is next analyzed, and a
-- plan made while the table was empty would read the whole table later, hence enable_seqscan = off: there is an index
-- for every access. And a function can refuse to answer on a standby, where a session may live on that has ended on the
-- primary. Those that write before they answer fail there anyway.
--
-- A function is never changed in place: nodes of two releases run side by side during a deployment. The exception is a
-- schema that was renamed: the functions contain its name, and are created once more, with the new one.
--
-- delete_expired would get a custom plan for each call: estimating the range of times probes the end of the index, past
-- the entries of all rows deleted since the last vacuum, which was 40 % of a call. Hence its plan_cache_mode.

-- SessionStore::load.
CREATE FUNCTION {schema}.load_session(p_id uuid) RETURNS TABLE (
    id uuid, version bytea, user_id bytea, created_at bigint, last_seen bigint, idle_ms bigint, absolute_ms bigint,
    body bytea, data bytea
) LANGUAGE plpgsql STABLE ROWS 1 SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
    {primary}
    RETURN QUERY
        SELECT s.id, s.version, s.user_id, s.created_at, s.last_seen, s.idle_ms, s.absolute_ms, s.body, s.data
        FROM {schema}.session s WHERE s.id = p_id;
END $$;

-- SessionStore::load, for a batch. Long data stays where it is, and is NULL in the answer: that session is loaded
-- alone, so that the others do not wait for it, and an answer is never larger than a few megabytes.
CREATE FUNCTION {schema}.load_sessions(p_ids uuid[]) RETURNS TABLE (
    id uuid, version bytea, user_id bytea, created_at bigint, last_seen bigint, idle_ms bigint, absolute_ms bigint,
    body bytea, data bytea
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
    {primary}
    RETURN QUERY
        SELECT s.id, s.version, s.user_id, s.created_at, s.last_seen, s.idle_ms, s.absolute_ms, s.body,
            CASE WHEN octet_length(s.data) <= 65536 THEN s.data END
        FROM {schema}.session s WHERE s.id = ANY (p_ids);
END $$;

-- SessionStore::list_by_user.
CREATE FUNCTION {schema}.list_sessions_of(p_user bytea, p_now bigint) RETURNS TABLE (
    id uuid, version bytea, user_id bytea, created_at bigint, last_seen bigint, idle_ms bigint, absolute_ms bigint,
    body bytea
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
    {primary}
    RETURN QUERY
        SELECT s.id, s.version, s.user_id, s.created_at, s.last_seen, s.idle_ms, s.absolute_ms, s.body
        FROM {schema}.session s WHERE s.user_id = p_user AND {live(p_now)};
END $$;

-- SessionStore::touch. A crash of the server may lose the last moments of activity, which does no harm; in exchange a
-- touch does not wait for the disk. The setting ends with the transaction.
CREATE FUNCTION {schema}.touch_session(p_id uuid, p_seen bigint, p_now bigint) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE {schema}.session s SET last_seen = greatest(s.last_seen, p_seen) WHERE s.id = p_id AND {live(p_now)};
    RETURN FOUND;
END $$;

-- SessionStore::delete.
CREATE FUNCTION {schema}.delete_session(p_id uuid, p_user bytea) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    DELETE FROM {schema}.session s WHERE s.id = p_id AND s.user_id IS NOT DISTINCT FROM p_user;
    RETURN FOUND;
END $$;

-- Excludes every other transaction that adds sessions of these users, or deletes all their sessions, until the end of
-- the transaction. The locks are taken in ascending order, so that two logins that each replace a session of the
-- other's user do not deadlock.
CREATE FUNCTION {schema}.lock_users(p_user bytea, p_other bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    user_key  bigint := hashtextextended('{schema}.session:' || encode(p_user, 'hex'), 0);
    other_key bigint := hashtextextended('{schema}.session:' || encode(p_other, 'hex'), 0);
BEGIN
    -- At any other level, the count after the lock would use a snapshot from before it, and miss the previous holder's
    -- row.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'sessions need default_transaction_isolation = ''read committed''' USING ERRCODE = 'SE001';
    END IF;
    -- least and greatest ignore NULL.
    IF user_key IS NOT NULL OR other_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(least(user_key, other_key));
    END IF;
    IF user_key <> other_key THEN
        PERFORM pg_advisory_xact_lock(greatest(user_key, other_key));
    END IF;
END $$;

-- SessionStore::create. Tries the insertion, and finds the reason only if that fails. No deadlock: a call that waits
-- for a row holds only rows of users whose locks it has, and the row it inserted itself; the other functions hold one
-- row at a time, or do not wait.
CREATE FUNCTION {schema}.create_session(
    p_created_at bigint, p_last_seen bigint, p_idle_ms bigint, p_absolute_ms bigint, p_sweep_at int,
    p_id uuid, p_version bytea, p_user bytea, p_body bytea, p_data bytea,
    p_replaces uuid, p_replaces_user bytea, p_replaces_version bytea,
    p_max bigint, p_at_limit text, p_now bigint,
    OUT outcome text, OUT evicted uuid[]
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    stored  bytea;
    others  bigint;
    limited boolean := p_user IS NOT NULL AND p_max IS NOT NULL;
    is_full boolean := false;
BEGIN
    -- At the limit, it answers without having written.
    {primary}
    PERFORM {schema}.lock_users(p_user, p_replaces_user);
    LOOP
        evicted := '{}';
        IF limited THEN
            SELECT count(*) INTO others FROM {schema}.session s
            WHERE s.user_id = p_user AND {live(p_now)}
                AND s.id IS DISTINCT FROM p_replaces;
            is_full := others >= p_max;
            IF is_full AND p_at_limit <> 'reject' THEN
                -- No candidate may be touched or deleted between the choice and the deletion.
                PERFORM FROM {schema}.session s WHERE s.user_id = p_user FOR UPDATE;
                SELECT coalesce(array_agg(ranked.id ORDER BY ranked.place), '{}') INTO evicted FROM (
                    SELECT s.id, count(*) OVER () AS others, row_number() OVER (
                        ORDER BY CASE p_at_limit WHEN 'evict_oldest' THEN s.created_at ELSE s.last_seen END, s.id
                    ) AS place
                    FROM {schema}.session s
                    WHERE s.user_id = p_user AND {live(p_now)}
                        AND s.id IS DISTINCT FROM p_replaces
                ) AS ranked WHERE ranked.place <= ranked.others + 1 - p_max;
            END IF;
        END IF;

        IF NOT is_full OR p_at_limit <> 'reject' THEN
            INSERT INTO {schema}.session
                (created_at, last_seen, idle_ms, absolute_ms, sweep_at, id, version, user_id, body, data)
            VALUES (p_created_at, p_last_seen, p_idle_ms, p_absolute_ms, p_sweep_at, p_id, p_version, p_user,
                p_body, p_data)
            ON CONFLICT (id) DO NOTHING;
            IF FOUND THEN
                IF p_replaces IS NOT NULL THEN
                    DELETE FROM {schema}.session s WHERE s.id = p_replaces AND s.version = p_replaces_version
                        AND {live(p_now)};
                END IF;
                -- By the INSERT, or by the DELETE if there was one.
                IF FOUND THEN
                    IF evicted <> '{}' THEN
                        DELETE FROM {schema}.session s WHERE s.id = ANY (evicted);
                    END IF;
                    outcome := 'created';
                    RETURN;
                END IF;
                DELETE FROM {schema}.session s WHERE s.id = p_id;
            END IF;
        END IF;

        -- Nothing was changed. Why?
        evicted := '{}';
        SELECT s.version INTO stored FROM {schema}.session s
        WHERE s.id = p_id AND {live(p_now)};
        IF FOUND THEN
            outcome := CASE WHEN stored = p_version THEN 'created' ELSE 'occupied' END;
            RETURN;
        END IF;
        IF p_replaces IS NOT NULL THEN
            SELECT s.version INTO stored FROM {schema}.session s
            WHERE s.id = p_replaces AND {live(p_now)};
            IF NOT FOUND THEN
                outcome := 'replaced_absent';
                RETURN;
            ELSIF stored <> p_replaces_version THEN
                outcome := 'replaced_changed';
                RETURN;
            END IF;
        END IF;
        IF is_full AND p_at_limit = 'reject' THEN
            outcome := 'limit_reached';
            RETURN;
        END IF;
        -- The id is that of an expired session, or a row changed in between: try again.
        DELETE FROM {schema}.session s
        WHERE s.id = p_id AND NOT ({live(p_now)});
    END LOOP;
END $$;

-- SessionStore::update.
CREATE FUNCTION {schema}.update_session(
    p_created_at bigint, p_last_seen bigint, p_idle_ms bigint, p_absolute_ms bigint, p_sweep_at int,
    p_id uuid, p_version bytea, p_body bytea, p_data bytea, p_expected bytea, p_now bigint
) RETURNS text LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    stored bytea;
BEGIN
    LOOP
        UPDATE {schema}.session s SET
            created_at = p_created_at, last_seen = greatest(s.last_seen, p_last_seen), idle_ms = p_idle_ms,
            absolute_ms = p_absolute_ms, sweep_at = least(s.sweep_at, p_sweep_at), version = p_version,
            body = p_body, data = p_data
        WHERE s.id = p_id AND s.version = p_expected AND s.version <> p_version
            AND {live(p_now)};
        IF FOUND THEN
            RETURN 'applied';
        END IF;

        SELECT s.version INTO stored FROM {schema}.session s
        WHERE s.id = p_id AND {live(p_now)};
        IF NOT FOUND THEN
            RETURN 'absent';
        ELSIF stored = p_version THEN
            RETURN 'applied';
        ELSIF stored <> p_expected THEN
            RETURN 'conflict';
        END IF;
        -- The expected version was written in between: try again.
    END LOOP;
END $$;

-- SessionStore::update, for a batch. Does not wait for a row, because it holds others: an update whose row is locked,
-- or was changed just now, is skipped, and its answer is NULL. The same id may occur twice.
CREATE FUNCTION {schema}.update_sessions(
    p_created_at bigint[], p_last_seen bigint[], p_idle_ms bigint[], p_absolute_ms bigint[], p_sweep_at int[],
    p_id uuid[], p_version bytea[], p_body bytea[], p_data bytea[], p_expected bytea[], p_now bigint[]
) RETURNS text[] LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    applied bigint;
    answers text[];
BEGIN
    WITH free AS MATERIALIZED (
        SELECT s.ctid AS place, w.* FROM
            unnest(p_created_at, p_last_seen, p_idle_ms, p_absolute_ms, p_sweep_at, p_id, p_version, p_body, p_data,
                p_expected, p_now)
                AS w (created_at, last_seen, idle_ms, absolute_ms, sweep_at, id, version, body, data, expected, now),
            {schema}.session s
        WHERE s.id = w.id AND s.version = w.expected AND s.version <> w.version
            AND {live(w.now)}
        FOR NO KEY UPDATE OF s SKIP LOCKED
    )
    UPDATE {schema}.session s SET
        created_at = w.created_at, last_seen = greatest(s.last_seen, w.last_seen), idle_ms = w.idle_ms,
        absolute_ms = w.absolute_ms, sweep_at = least(s.sweep_at, w.sweep_at), version = w.version,
        body = w.body, data = w.data
    FROM free AS w WHERE s.ctid = w.place;
    GET DIAGNOSTICS applied = ROW_COUNT;
    IF applied = cardinality(p_id) THEN
        RETURN array_fill('applied'::text, ARRAY[applied::int]);
    END IF;

    SELECT array_agg(CASE WHEN s.id IS NULL THEN 'absent' WHEN s.version = w.version THEN 'applied'
                          WHEN s.version <> w.expected THEN 'conflict' END ORDER BY w.place) INTO answers
    FROM unnest(p_id, p_version, p_expected, p_now) WITH ORDINALITY AS w (id, version, expected, now, place)
    LEFT JOIN {schema}.session s ON s.id = w.id AND {live(w.now)};
    RETURN answers;
END $$;

-- SessionStore::delete_by_user. Returns those that were live at p_now.
CREATE FUNCTION {schema}.delete_sessions_of(p_user bytea, p_keep uuid, p_now bigint) RETURNS SETOF uuid
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    PERFORM {schema}.lock_users(p_user, NULL);
    RETURN QUERY
        WITH gone AS (
            DELETE FROM {schema}.session s WHERE s.user_id = p_user AND s.id IS DISTINCT FROM p_keep
            RETURNING s.id, {live(p_now)} AS was_live
        )
        SELECT gone.id FROM gone WHERE gone.was_live;
END $$;

-- SessionStore::delete_expired. Visits the rows whose sweep_at has come, in that order: deletes the expired ones, and
-- moves sweep_at of the others to the moment at which they expire unless they are touched again. So a session in use is
-- visited once per idle timeout, an abandoned one when it expires, and last_seen needs no index. Locked rows are left
-- to a later call. The current unit of time is not over: of its rows, only the expired ones are visited.
--
-- The transaction holds locks of live rows too, so it is short: row by row, it ends after 40 ms, however slow the
-- server is. The answer says whether to go on at once.
CREATE FUNCTION {schema}.delete_expired(p_now bigint, p_limit bigint, OUT deleted bigint, OUT more boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    this_unit int := least(p_now / 10000, 2147483647);
    -- Of the server's clock, only to end in time.
    began     timestamptz := clock_timestamp();
    due       record;
BEGIN
    -- A deletion that is lost in a crash is repeated.
    PERFORM set_config('synchronous_commit', 'off', true);
    deleted := 0;
    more := false;
    FOR due IN
        SELECT s.ctid AS place, NOT ({live(p_now)}) AS expired
        FROM {schema}.session s
        WHERE s.sweep_at <= this_unit AND (s.sweep_at < this_unit OR NOT ({live(p_now)}))
        ORDER BY s.sweep_at FOR UPDATE SKIP LOCKED
    LOOP
        IF due.expired THEN
            DELETE FROM {schema}.session s WHERE s.ctid = due.place;
            IF FOUND THEN
                deleted := deleted + 1;
            END IF;
        ELSE
            UPDATE {schema}.session s SET sweep_at = least((s.created_at + s.absolute_ms) / 10000,
                (least(s.last_seen, 1::bigint << 48) + s.idle_ms) / 10000, 2147483647)
            WHERE s.ctid = due.place;
        END IF;
        EXIT WHEN deleted >= p_limit;
        IF clock_timestamp() > began + interval '40 ms' THEN
            -- Unless a single row takes that long: the next call would have to wait.
            more := clock_timestamp() < began + interval '100 ms';
            EXIT;
        END IF;
    END LOOP;
END $$;

-- They run with the privileges of the caller, so EXECUTE without privileges on the table is of no use. A database whose
-- default privileges deny it to PUBLIC needs no more grants than any other.
GRANT EXECUTE ON FUNCTION
    {schema}.load_session, {schema}.load_sessions, {schema}.list_sessions_of, {schema}.touch_session,
    {schema}.delete_session, {schema}.lock_users, {schema}.create_session, {schema}.update_session,
    {schema}.update_sessions, {schema}.delete_sessions_of, {schema}.delete_expired
TO PUBLIC;
