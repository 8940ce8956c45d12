-- Whatever changes a session notes it, be it a release that knows nothing of this, or psql. A touch is no change, and neither
-- is when a session is looked at by delete_expired. Disabled, and of no cost, until somebody wants to hear of changes
-- (PostgresStoreBuilder::publish_changes): see note_changes.
CREATE TRIGGER note_change
    AFTER INSERT OR DELETE OR UPDATE OF id, version, user_id, created_at, idle_ms, absolute_ms, body, data
    ON {schema}.session FOR EACH ROW EXECUTE FUNCTION {schema}.note_change();
CREATE TRIGGER note_truncate AFTER TRUNCATE ON {schema}.session
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.note_change();
ALTER TABLE {schema}.session DISABLE TRIGGER note_change, DISABLE TRIGGER note_truncate;

-- What is lost with it is noted in it.
CREATE TRIGGER note_truncate AFTER TRUNCATE ON {schema}.session_change
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.note_change();
