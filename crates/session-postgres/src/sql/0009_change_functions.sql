-- Notes a change. With the privileges of the owner, so that those who write sessions need no more than before.
CREATE FUNCTION {schema}.note_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO {schema}.session_change DEFAULT VALUES;
        RETURN NULL;
    END IF;
    -- A login may turn the row of the session that it replaces into that of the new one.
    IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND OLD.id <> NEW.id) THEN
        INSERT INTO {schema}.session_change (id) VALUES (OLD.id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO {schema}.session_change (id, version)
        VALUES (NEW.id, CASE WHEN TG_OP = 'UPDATE' AND OLD.version = NEW.version THEN '' ELSE NEW.version END);
    END IF;
    RETURN NULL;
END $$;

REVOKE EXECUTE ON FUNCTION {schema}.note_change() FROM PUBLIC;

-- Whether changes are noted.
CREATE FUNCTION {schema}.notes_changes() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT count(*) FROM pg_catalog.pg_trigger t WHERE t.tgrelid = '{schema}.session'::regclass
        AND t.tgname IN ('note_change', 'note_truncate') AND t.tgenabled = 'A') = 2;
END $$;

-- From now on, changes are noted, or are not. For the owner of the table. Waits for those who write, and they wait for it.
CREATE FUNCTION {schema}.note_changes(p_noted boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_noted THEN
        ALTER TABLE {schema}.session ENABLE ALWAYS TRIGGER note_change, ENABLE ALWAYS TRIGGER note_truncate;
    ELSE
        ALTER TABLE {schema}.session DISABLE TRIGGER note_change, DISABLE TRIGGER note_truncate;
    END IF;
    -- Nobody knows what happened while they were not.
    DELETE FROM {schema}.session_feed;
END $$;

-- The server, and the table. Of a server that was started from a copy of another's files, the time of the start differs.
CREATE FUNCTION {schema}.feed_server() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN '{schema}.session_feed'::regclass::oid::text
        || to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', '/YYYYMMDDHH24MISS.US');
END $$;

-- Begins an incarnation, unless there is one of this server. Those who follow changes, and those who delete expired sessions,
-- call it with the privileges of the owner.
CREATE FUNCTION {schema}.begin_feed() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
BEGIN
    DELETE FROM {schema}.session_feed f WHERE f.is_only AND f.server <> {schema}.feed_server();
    INSERT INTO {schema}.session_feed (server, prepared)
    SELECT {schema}.feed_server(), coalesce(array_agg(p.transaction::text), '{}') FROM pg_prepared_xacts p
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        -- Of another server, if that was restored here. What is older is forgotten in time.
        DELETE FROM {schema}.session_change c WHERE c.txid > txid_current();
    END IF;
END $$;

-- What was committed since the snapshot p_since, which was taken in that incarnation: all of it, in whatever order transactions
-- were committed, and once. Not whole if that cannot be said, as what was forgotten may be missing. p_most rows at most; if there
-- are as many, some may be missing, too.
--
-- A transaction that is older than the snapshot and was not visible in it was still running, and is listed in it.
CREATE FUNCTION {schema}.changes_since(
    p_since txid_snapshot, p_incarnation uuid, p_most bigint,
    OUT until text, OUT incarnation uuid, OUT is_noted boolean, OUT is_whole boolean, OUT ids uuid[], OUT versions bytea[]
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    here text := {schema}.feed_server();
BEGIN
    {primary}
    is_noted := {schema}.notes_changes();
    LOOP
        -- In one statement: the snapshot is that in which it reads.
        SELECT txid_current_snapshot()::text, f.incarnation, w.is_whole, c.ids, c.versions
        INTO until, incarnation, is_whole, ids, versions
        FROM {schema}.session_feed f,
        LATERAL (
            SELECT coalesce(f.incarnation = p_incarnation
                AND txid_snapshot_xmax(f.forgotten) <= txid_snapshot_xmax(p_since)
                AND NOT EXISTS (
                    SELECT FROM txid_snapshot_xip(p_since) AS running
                    WHERE txid_visible_in_snapshot(running, f.forgotten)
                        OR ((running % (1::bigint << 32))::text = ANY (f.prepared)
                            AND txid_visible_in_snapshot(running, txid_current_snapshot()))
                ), false) AS is_whole
        ) AS w,
        LATERAL (
            SELECT array_agg(n.id) AS ids, array_agg(n.version) AS versions FROM (
                SELECT s.id, s.version FROM {schema}.session_change s
                WHERE w.is_whole AND s.txid >= txid_snapshot_xmax(p_since)
                UNION ALL
                SELECT s.id, s.version FROM {schema}.session_change s
                WHERE w.is_whole AND s.txid = ANY (ARRAY(SELECT txid_snapshot_xip(p_since)))
                LIMIT p_most
            ) AS n
        ) AS c
        WHERE f.is_only AND f.server = here;
        EXIT WHEN FOUND;
        PERFORM {schema}.begin_feed();
    END LOOP;
END $$;

-- Deletes notes that were there a minute ago: up to p_most. Whether there are more. With the privileges of the owner, for
-- whoever deletes expired sessions calls it.
CREATE FUNCTION {schema}.forget_changes(p_most bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    feed    record;
    deleted bigint;
BEGIN
    PERFORM {schema}.begin_feed();
    SELECT f.* INTO feed FROM {schema}.session_feed f WHERE f.is_only FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- If the clock is set, that happens sooner or later, and those who follow notice.
    IF feed.next_at NOT BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() THEN
        UPDATE {schema}.session_feed f
        SET forgotten = f.next, next = txid_current_snapshot(), next_at = clock_timestamp() WHERE f.is_only
        RETURNING f.* INTO feed;
    END IF;
    DELETE FROM {schema}.session_change c WHERE c.ctid = ANY (ARRAY(
        SELECT s.ctid FROM {schema}.session_change s
        WHERE s.txid >= feed.cleared AND s.txid < txid_snapshot_xmax(feed.forgotten)
            AND txid_visible_in_snapshot(s.txid, feed.forgotten)
        ORDER BY s.txid LIMIT p_most FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    IF deleted < p_most THEN
        -- Not to walk past dead rows again and again, while a long transaction keeps vacuum from removing them.
        UPDATE {schema}.session_feed f SET cleared = txid_snapshot_xmin(feed.forgotten)
        WHERE f.is_only AND f.cleared <> txid_snapshot_xmin(feed.forgotten);
    END IF;
    RETURN deleted >= p_most;
END $$;

GRANT EXECUTE ON FUNCTION
    {schema}.notes_changes, {schema}.feed_server, {schema}.begin_feed, {schema}.changes_since, {schema}.forget_changes
TO PUBLIC;
