-- Runs before the first step, in the same transaction as all steps.

-- There may be much to do, and other nodes to wait for.
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = 0;

-- Held until the end of the transaction, not of the connection, which a pooler may reassign.
SELECT pg_advisory_xact_lock(hashtextextended('{schema}.migration', 0));

-- Not CREATE SCHEMA IF NOT EXISTS, which needs the CREATE privilege even if the schema exists.
DO $do$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE '"' || nspname || '"' = '{schema}') THEN
        CREATE SCHEMA {schema};
        -- Names without a schema, in statements of the application, would mean what is in this one: "$user" comes first.
        IF EXISTS (SELECT FROM unnest(current_schemas(false)) AS s(name) WHERE '"' || s.name || '"' = '{schema}') THEN
            RAISE EXCEPTION 'the schema is in the search_path' USING ERRCODE = 'SE003';
        END IF;
    END IF;
    -- A table of another application, in which our steps cannot be noted.
    IF EXISTS (
        SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE '"' || n.nspname || '"' = '{schema}' AND c.relname = 'migration' AND (c.relkind <> 'r' OR (
            SELECT count(*) FILTER (WHERE a.attname IN ('name', 'applied_at')) < 2
                OR bool_or(a.attname NOT IN ('name', 'applied_at') AND a.attnotnull AND NOT a.atthasdef)
            FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
    ) THEN
        RAISE EXCEPTION 'not our table' USING ERRCODE = 'SE002';
    END IF;
END $do$;

CREATE TABLE IF NOT EXISTS {schema}.migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
