-- Who has a SKU, of a product or a variant. A claim is made before the document is written, and counts for good once that has the SKU.
CREATE TABLE product_skus (
    sku TEXT NOT NULL PRIMARY KEY,
    product_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    request_key TEXT, -- of the request that made the claim: its repeat may take it over
    claimed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX product_skus_of ON product_skus (product_id);

-- What lists and searches go by; of the generation of the document that is given.
CREATE TABLE product_index (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id BLOB NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    category_id BLOB,
    deleted INTEGER NOT NULL
) STRICT;
CREATE INDEX product_index_by_category ON product_index (category_id, seq) WHERE deleted = 0;

CREATE TABLE product_tokens (
    token TEXT NOT NULL,
    product INTEGER NOT NULL, -- product_index.seq
    PRIMARY KEY (token, product)
) STRICT, WITHOUT ROWID;
CREATE INDEX product_tokens_of ON product_tokens (product, token);
