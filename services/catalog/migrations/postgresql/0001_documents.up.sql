-- The embedded document store: what CouchDB keeps itself.
CREATE TABLE documents (
    id uuid NOT NULL PRIMARY KEY,
    generation bigint NOT NULL, -- the number in front of the revision
    rev text COLLATE "C" NOT NULL,
    deleted boolean NOT NULL,
    body text COLLATE "C" NOT NULL, -- JSON; {} of a tombstone. As it was written: jsonb has no zero in a text, and makes an integer of 1e16
    updated_at timestamptz NOT NULL
);

-- The change feed: a document stands in it once, at its last change.
CREATE TABLE document_changes (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    rev text COLLATE "C" NOT NULL,
    deleted boolean NOT NULL
);

-- A number is drawn when no other is still to be committed: who reads on behind a number would pass over a lower one that comes later.
CREATE FUNCTION document_changes_waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(TG_RELID::integer, 0); RETURN NULL; END $$;
CREATE TRIGGER document_changes_in_order BEFORE INSERT ON document_changes FOR EACH STATEMENT EXECUTE FUNCTION document_changes_waits();
