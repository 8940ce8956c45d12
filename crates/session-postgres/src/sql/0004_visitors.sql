-- Anonymous sessions that were created under a limit. NOT NULL: a row without NULL needs no bitmap, which is 8 bytes.
ALTER TABLE {schema}.session ADD COLUMN is_visitor boolean NOT NULL DEFAULT false;

-- The visitors of one shard are neighbours in it.
CREATE INDEX session_visitor ON {schema}.session (id) WHERE is_visitor;
