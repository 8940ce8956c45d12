-- SessionStore::create, in place of create_session. In the common cases it does what that function does in fewer
-- steps, and leaves the others to it: a user at the limit, whatever must not be created, a session without a user, and
-- a login in exchange for a session of another user, which takes two locks.
--
-- Nodes that still call create_session wait for the same lock.
CREATE FUNCTION {schema}.begin_session(
    p_created_at bigint, p_last_seen bigint, p_idle_ms bigint, p_absolute_ms bigint, p_sweep_at int,
    p_id uuid, p_version bytea, p_user bytea, p_body bytea, p_data bytea,
    p_replaces uuid, p_replaces_user bytea, p_replaces_version bytea,
    p_max bigint, p_at_limit text, p_now bigint,
    OUT outcome text, OUT evicted uuid[]
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    others bigint := 0;
BEGIN
    evicted := '{}';
    IF p_user IS NOT NULL AND (p_replaces_user IS NULL OR p_replaces_user = p_user) THEN
        PERFORM {schema}.lock_users(p_user, NULL);
        IF p_max IS NOT NULL THEN
            SELECT count(*) INTO others FROM {schema}.session s
            WHERE s.user_id = p_user AND {live(p_now)} AND s.id IS DISTINCT FROM p_replaces;
        END IF;
        IF p_max IS NULL OR others < p_max THEN
            IF p_replaces IS NULL THEN
                INSERT INTO {schema}.session
                    (created_at, last_seen, idle_ms, absolute_ms, sweep_at, id, version, user_id, body, data)
                VALUES (p_created_at, p_last_seen, p_idle_ms, p_absolute_ms, p_sweep_at, p_id, p_version, p_user,
                    p_body, p_data)
                ON CONFLICT (id) DO NOTHING;
                IF FOUND THEN
                    outcome := 'created';
                    RETURN;
                END IF;
            ELSE
                -- The row becomes that of the new session: one new version of it, not a deletion and an insertion.
                BEGIN
                    UPDATE {schema}.session s SET
                        created_at = p_created_at, last_seen = p_last_seen, idle_ms = p_idle_ms,
                        absolute_ms = p_absolute_ms, sweep_at = p_sweep_at, id = p_id, version = p_version,
                        user_id = p_user, body = p_body, data = p_data, is_visitor = false
                    WHERE s.id = p_replaces AND s.version = p_replaces_version AND {live(p_now)};
                    IF FOUND THEN
                        outcome := 'created';
                        RETURN;
                    END IF;
                EXCEPTION WHEN unique_violation THEN
                    -- The new id is in use: create_session says by what.
                    NULL;
                END;
            END IF;
        END IF;
    END IF;
    SELECT c.outcome, c.evicted INTO outcome, evicted FROM {schema}.create_session(
        p_created_at, p_last_seen, p_idle_ms, p_absolute_ms, p_sweep_at, p_id, p_version, p_user, p_body, p_data,
        p_replaces, p_replaces_user, p_replaces_version, p_max, p_at_limit, p_now) AS c;
END $$;

GRANT EXECUTE ON FUNCTION {schema}.begin_session TO PUBLIC;
