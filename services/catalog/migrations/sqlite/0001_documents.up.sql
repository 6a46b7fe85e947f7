-- The embedded document store: what CouchDB keeps itself.
CREATE TABLE documents (
    id BLOB NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL, -- the number in front of the revision
    rev TEXT NOT NULL,
    deleted INTEGER NOT NULL,
    body TEXT NOT NULL, -- JSON; {} of a tombstone
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The change feed: a document stands in it once, at its last change.
CREATE TABLE document_changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    rev TEXT NOT NULL,
    deleted INTEGER NOT NULL
) STRICT;
