-- SessionStore::list_all: a page, in the order of ids, behind p_after.
CREATE FUNCTION {schema}.list_sessions(p_after uuid, p_limit bigint, p_now bigint) RETURNS TABLE (
    id uuid, version bytea, user_id bytea, created_at bigint, last_seen bigint, idle_ms bigint, absolute_ms bigint,
    body bytea
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
#variable_conflict use_column
BEGIN
    {primary}
    RETURN QUERY
        SELECT s.id, s.version, s.user_id, s.created_at, s.last_seen, s.idle_ms, s.absolute_ms, s.body
        FROM {schema}.session s
        WHERE s.id > coalesce(p_after, '00000000-0000-0000-0000-000000000000') AND {live(p_now)}
        ORDER BY s.id LIMIT p_limit;
END $$;

-- SessionStore::count: exact up to p_few; 100 000 rows take about 30 ms. Beyond that, what vacuum and analyze have found
-- out, expired sessions included; until they have, reltuples is -1, or 0 before PostgreSQL 14.
CREATE FUNCTION {schema}.count_sessions(p_few bigint, p_now bigint, OUT sessions bigint, OUT is_exact boolean)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    {primary}
    SELECT count(*) INTO sessions
    FROM (SELECT FROM {schema}.session s WHERE {live(p_now)} LIMIT p_few + 1) AS counted;
    is_exact := sessions <= p_few;
    IF NOT is_exact THEN
        SELECT greatest(sessions, c.reltuples::bigint) INTO sessions
        FROM pg_catalog.pg_class c WHERE c.oid = '{schema}.session'::regclass;
    END IF;
END $$;

GRANT EXECUTE ON FUNCTION {schema}.list_sessions, {schema}.count_sessions TO PUBLIC;
