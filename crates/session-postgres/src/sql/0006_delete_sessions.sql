-- SessionStore::delete_by_user, in place of delete_sessions_of. Returns those that were live at p_now, without their data.
CREATE FUNCTION {schema}.revoke_sessions_of(p_user bytea, p_keep uuid, p_now bigint) RETURNS TABLE (
    id uuid, version bytea, user_id bytea, created_at bigint, last_seen bigint, idle_ms bigint, absolute_ms bigint,
    body bytea
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
BEGIN
    PERFORM {schema}.lock_users(p_user, NULL);
    RETURN QUERY
        WITH gone AS (
            DELETE FROM {schema}.session s WHERE s.user_id = p_user AND s.id IS DISTINCT FROM p_keep
            RETURNING s.id, s.version, s.user_id, s.created_at, s.last_seen, s.idle_ms, s.absolute_ms, s.body,
                {live(p_now)} AS was_live
        )
        SELECT g.id, g.version, g.user_id, g.created_at, g.last_seen, g.idle_ms, g.absolute_ms, g.body
        FROM gone g WHERE g.was_live;
END $$;

GRANT EXECUTE ON FUNCTION {schema}.revoke_sessions_of TO PUBLIC;
