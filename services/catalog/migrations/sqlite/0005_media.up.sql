CREATE TABLE media (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    product_id BLOB NOT NULL,
    status TEXT NOT NULL,
    file_name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    upload_key TEXT NOT NULL, -- where the client writes
    object_key TEXT, -- where the checked bytes are, out of the client's reach
    size INTEGER,
    sha256 TEXT,
    width INTEGER,
    height INTEGER,
    reason TEXT,
    added_generation INTEGER, -- the generation of the document that has it first
    looks INTEGER NOT NULL, -- how often it was looked for
    next_at INTEGER, -- when there is something to do about it; null when nothing is left
    expires_at INTEGER NOT NULL, -- of the upload
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX media_of_product ON media (product_id, seq);
CREATE INDEX media_by_status ON media (product_id, status, seq);
CREATE INDEX media_due ON media (next_at) WHERE next_at IS NOT NULL;
