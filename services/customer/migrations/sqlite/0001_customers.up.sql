CREATE TABLE customer_profiles (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    email TEXT UNIQUE, -- this and what else says who it is: null once erased
    full_name TEXT,
    phone TEXT,
    locale TEXT,
    region TEXT NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX customer_profiles_by_status ON customer_profiles (status, seq);

CREATE TABLE customer_addresses (
    customer_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    label TEXT NOT NULL,
    line1 TEXT NOT NULL,
    line2 TEXT,
    city TEXT NOT NULL,
    postal_code TEXT NOT NULL,
    country TEXT NOT NULL,
    PRIMARY KEY (customer_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE customer_segments (
    customer_id BLOB NOT NULL,
    segment TEXT NOT NULL,
    PRIMARY KEY (customer_id, segment)
) STRICT, WITHOUT ROWID;
