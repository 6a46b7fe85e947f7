-- Who has a SKU, of a product or a variant. A claim is made before the document is written, and counts for good once that has the SKU.
CREATE TABLE product_skus (
    sku text COLLATE "C" NOT NULL PRIMARY KEY,
    product_id uuid NOT NULL,
    version bigint NOT NULL,
    request_key text COLLATE "C", -- of the request that made the claim: its repeat may take it over
    claimed_at timestamptz NOT NULL
);
CREATE INDEX product_skus_of ON product_skus (product_id);

-- What lists and searches go by; of the generation of the document that is given.
CREATE TABLE product_index (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id uuid NOT NULL UNIQUE,
    generation bigint NOT NULL,
    category_id uuid,
    deleted boolean NOT NULL
);

CREATE TABLE product_tokens (
    token text COLLATE "C" NOT NULL,
    product bigint NOT NULL, -- product_index.seq
    PRIMARY KEY (token, product)
);
CREATE INDEX product_tokens_of ON product_tokens (product, token);
