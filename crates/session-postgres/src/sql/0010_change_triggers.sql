-- Whatever changes a session notes it, be it a release that knows nothing of this, or psql. A touch is no change. Disabled,
-- and of no cost, until somebody wants to hear of changes (PostgresStoreBuilder::publish_changes); then
--     ALTER TABLE {schema}.session ENABLE ALWAYS TRIGGER note_change, ENABLE ALWAYS TRIGGER note_truncate;
CREATE TRIGGER note_change AFTER INSERT OR DELETE OR UPDATE OF id, version ON {schema}.session
    FOR EACH ROW EXECUTE FUNCTION {schema}.note_change();
CREATE TRIGGER note_truncate AFTER TRUNCATE ON {schema}.session
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.note_change();
ALTER TABLE {schema}.session DISABLE TRIGGER note_change, DISABLE TRIGGER note_truncate;
