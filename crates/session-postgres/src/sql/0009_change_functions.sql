-- Notes a change. With the privileges of the owner: who may write sessions need not be granted more. Of what search_path
-- may lead to, it uses nothing.
CREATE FUNCTION {schema}.note_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO {schema}.change DEFAULT VALUES;
        RETURN NULL;
    END IF;
    -- A login may turn the row of the session that it replaces into that of the new one.
    IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND OLD.id <> NEW.id) THEN
        INSERT INTO {schema}.change (id) VALUES (OLD.id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO {schema}.change (id, version) VALUES (NEW.id, NEW.version);
    END IF;
    RETURN NULL;
END $$;

REVOKE EXECUTE ON FUNCTION {schema}.note_change() FROM PUBLIC;

-- What was committed since the snapshot p_since, taken in the time of p_reign: neither more nor less, however transactions
-- overlap and in whatever order they were committed. Not whole if that cannot be said: under another reign, or if some of
-- it was deleted. The latest of each session, and p_most at most.
--
-- A transaction that is older than the snapshot, and that it does not see, was still running then, and is listed in it.
CREATE FUNCTION {schema}.changes_since(
    p_since txid_snapshot, p_reign uuid, p_most bigint,
    OUT until text, OUT reign uuid, OUT is_noted boolean, OUT is_whole boolean, OUT ids uuid[], OUT versions bytea[]
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
BEGIN
    {primary}
    is_noted := (SELECT count(*) FROM pg_catalog.pg_trigger t WHERE t.tgrelid = '{schema}.session'::regclass
        AND t.tgname IN ('note_change', 'note_truncate') AND t.tgenabled = 'A') = 2;
    LOOP
        -- In one statement: the snapshot is that in which it reads.
        SELECT txid_current_snapshot()::text, f.reign, w.is_whole, c.ids, c.versions
        INTO until, reign, is_whole, ids, versions
        FROM {schema}.feed f,
        LATERAL (
            SELECT coalesce(f.reign = p_reign AND txid_snapshot_xmax(f.forgotten) <= txid_snapshot_xmax(p_since)
                AND NOT EXISTS (
                    SELECT FROM txid_snapshot_xip(p_since) AS running WHERE txid_visible_in_snapshot(running, f.forgotten)
                ), false) AS is_whole
        ) AS w,
        LATERAL (
            SELECT array_agg(latest.id) AS ids, array_agg(latest.version) AS versions FROM (
                SELECT DISTINCT ON (n.id) n.id, n.version FROM (
                    SELECT s.id, s.version FROM {schema}.change s
                    WHERE w.is_whole AND s.txid >= txid_snapshot_xmax(p_since)
                    UNION ALL
                    SELECT s.id, s.version FROM {schema}.change s
                    WHERE w.is_whole AND s.txid = ANY (ARRAY(SELECT txid_snapshot_xip(p_since)))
                    LIMIT p_most
                ) AS n
                -- Of a session that ended, nothing else is worth telling.
                ORDER BY n.id, n.version DESC NULLS FIRST
            ) AS latest
        ) AS c
        WHERE f.is_only;
        EXIT WHEN FOUND;
        INSERT INTO {schema}.feed DEFAULT VALUES ON CONFLICT DO NOTHING;
    END LOOP;
END $$;

-- Deletes changes that were committed at least a minute ago: up to p_most. Whether there are more. With the privileges of
-- the owner, as whoever deletes expired sessions calls it.
CREATE FUNCTION {schema}.forget_changes(p_most bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    settled txid_snapshot;
    deleted bigint;
BEGIN
    -- By the clock of the server; if that is set, it happens sooner or later, and those who follow notice.
    UPDATE {schema}.feed f
    SET forgotten = f.next, next = txid_current_snapshot(), next_at = clock_timestamp()
    WHERE f.is_only AND f.next_at NOT BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp();
    SELECT f.forgotten INTO settled FROM {schema}.feed f WHERE f.is_only;
    IF NOT FOUND THEN
        INSERT INTO {schema}.feed DEFAULT VALUES ON CONFLICT DO NOTHING;
        RETURN false;
    END IF;
    DELETE FROM {schema}.change c WHERE c.ctid = ANY (ARRAY(
        SELECT s.ctid FROM {schema}.change s
        WHERE s.txid < txid_snapshot_xmax(settled) AND txid_visible_in_snapshot(s.txid, settled)
        ORDER BY s.txid LIMIT p_most FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted >= p_most;
END $$;

GRANT EXECUTE ON FUNCTION {schema}.changes_since, {schema}.forget_changes TO PUBLIC;
