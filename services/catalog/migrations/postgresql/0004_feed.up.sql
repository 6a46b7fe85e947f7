-- How far the change feed was published. Written in one transaction with the events.
CREATE TABLE feed_progress (
    feed text COLLATE "C" NOT NULL PRIMARY KEY,
    seq text COLLATE "C" NOT NULL, -- the document store's, opaque
    version bigint NOT NULL
);

-- What was told last of each product: the other side of the next diff. Bodies are JSON, kept as text for the reason that documents are.
CREATE TABLE product_published (
    product_id uuid NOT NULL PRIMARY KEY,
    generation bigint NOT NULL,
    rev text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL
);

CREATE TABLE product_quarantine (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id uuid NOT NULL UNIQUE,
    generation bigint NOT NULL,
    rev text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL
);
