-- Set for anonymous sessions that were created under a limit.
ALTER TABLE {schema}.session ADD COLUMN is_visitor boolean;

-- The visitors of one shard are neighbours in it.
CREATE INDEX session_visitor ON {schema}.session (id) WHERE is_visitor;
