-- Runs before the first step, in the same transaction as all steps.

-- Held until the end of the transaction, not of the connection, which a pooler may reassign.
SELECT pg_advisory_xact_lock(hashtextextended('{schema}.migration', 0));

-- Not CREATE SCHEMA IF NOT EXISTS, which needs the CREATE privilege even if the schema exists.
DO $do$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE '"' || nspname || '"' = '{schema}') THEN
        CREATE SCHEMA {schema};
    END IF;
END $do$;

CREATE TABLE IF NOT EXISTS {schema}.migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
