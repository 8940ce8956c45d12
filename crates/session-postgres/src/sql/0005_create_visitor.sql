-- SessionStore::create, for an anonymous session under a limit: p_max for each shard, which is what its id begins with. Waits
-- for nobody and locks nothing for others, so that calls at once may be wrong by as many as they are; the next one puts it
-- right.
CREATE FUNCTION {schema}.create_visitor(
    p_created_at bigint, p_last_seen bigint, p_idle_ms bigint, p_absolute_ms bigint, p_sweep_at int,
    p_id uuid, p_version bytea, p_body bytea, p_data bytea,
    p_replaces uuid, p_replaces_user bytea, p_replaces_version bytea,
    p_max bigint, p_now bigint,
    OUT outcome text, OUT evicted uuid[]
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    shard    text := left(p_id::text, 4);
    first_id uuid := (shard || '0000-0000-0000-0000-000000000000')::uuid;
    last_id  uuid := (shard || 'ffff-ffff-ffff-ffff-ffffffffffff')::uuid;
    excess   bigint;
BEGIN
    outcome := 'created';
    evicted := '{}';
    IF p_replaces IS NULL THEN
        INSERT INTO {schema}.session
            (created_at, last_seen, idle_ms, absolute_ms, sweep_at, id, version, body, data, is_visitor)
        VALUES (p_created_at, p_last_seen, p_idle_ms, p_absolute_ms, p_sweep_at, p_id, p_version, p_body, p_data, true)
        ON CONFLICT (id) DO NOTHING;
    END IF;
    -- In exchange for another session, or the id is in use.
    IF NOT FOUND THEN
        SELECT c.outcome INTO outcome FROM {schema}.create_session(
            p_created_at, p_last_seen, p_idle_ms, p_absolute_ms, p_sweep_at, p_id, p_version, NULL, p_body, p_data,
            p_replaces, p_replaces_user, p_replaces_version, NULL, NULL, p_now) AS c;
        IF outcome <> 'created' THEN
            RETURN;
        END IF;
        UPDATE {schema}.session s SET is_visitor = true WHERE s.id = p_id;
    END IF;

    SELECT count(*) - p_max INTO excess FROM {schema}.session s
    WHERE s.is_visitor AND s.id BETWEEN first_id AND last_id AND {live(p_now)};
    IF excess > 0 THEN
        WITH gone AS (
            DELETE FROM {schema}.session WHERE id IN (
                SELECT s.id FROM {schema}.session s
                WHERE s.is_visitor AND s.id BETWEEN first_id AND last_id AND s.id <> p_id AND {live(p_now)}
                ORDER BY s.last_seen, s.id LIMIT excess FOR UPDATE SKIP LOCKED
            )
            RETURNING id
        )
        SELECT coalesce(array_agg(gone.id), '{}') INTO evicted FROM gone;
    END IF;
END $$;

GRANT EXECUTE ON FUNCTION {schema}.create_visitor TO PUBLIC;
