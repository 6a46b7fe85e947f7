CREATE TABLE customer_profiles (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    email text COLLATE "C" UNIQUE, -- this and what else says who it is: null once erased
    full_name text COLLATE "C",
    phone text COLLATE "C",
    locale text COLLATE "C",
    region text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX customer_profiles_by_status ON customer_profiles (status, seq);

CREATE TABLE customer_addresses (
    customer_id uuid NOT NULL,
    position bigint NOT NULL,
    label text COLLATE "C" NOT NULL,
    line1 text COLLATE "C" NOT NULL,
    line2 text COLLATE "C",
    city text COLLATE "C" NOT NULL,
    postal_code text COLLATE "C" NOT NULL,
    country text COLLATE "C" NOT NULL,
    PRIMARY KEY (customer_id, position)
);

CREATE TABLE customer_segments (
    customer_id uuid NOT NULL,
    segment text COLLATE "C" NOT NULL,
    PRIMARY KEY (customer_id, segment)
);
