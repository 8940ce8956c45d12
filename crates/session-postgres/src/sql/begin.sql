-- What comes before the first step, in the transaction of all steps.

-- Held to the end of the transaction, not of the connection, which a pooler may have given to somebody else by then.
SELECT pg_advisory_xact_lock(hashtextextended('{schema}.migration', 0));

-- Not CREATE SCHEMA IF NOT EXISTS, which needs the right to create schemas even if this one is there.
DO $do$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE '"' || nspname || '"' = '{schema}') THEN
        CREATE SCHEMA {schema};
    END IF;
END $do$;

CREATE TABLE IF NOT EXISTS {schema}.migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
