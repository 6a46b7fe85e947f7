CREATE TABLE media (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    product_id uuid NOT NULL,
    status text COLLATE "C" NOT NULL,
    file_name text COLLATE "C" NOT NULL,
    content_type text COLLATE "C" NOT NULL,
    upload_key text COLLATE "C" NOT NULL, -- where the client writes
    object_key text COLLATE "C", -- where the checked bytes are, out of the client's reach
    size bigint,
    sha256 text COLLATE "C",
    width bigint,
    height bigint,
    reason text COLLATE "C",
    added_generation bigint, -- the generation of the document that has it first
    looks bigint NOT NULL, -- how often it was looked for
    next_at timestamptz, -- when there is something to do about it; null when nothing is left
    expires_at timestamptz NOT NULL, -- of the upload
    version bigint NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX media_of_product ON media (product_id, seq);
CREATE INDEX media_by_status ON media (product_id, status, seq);
CREATE INDEX media_due ON media (next_at) WHERE next_at IS NOT NULL;
