-- A counter for each SKU and warehouse, kept with the journal of its movements.
CREATE TABLE stock (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sku TEXT NOT NULL,
    warehouse TEXT NOT NULL,
    on_hand INTEGER NOT NULL,
    held INTEGER NOT NULL CHECK (held >= 0),
    claimed INTEGER NOT NULL CHECK (claimed >= 0),
    shipped INTEGER NOT NULL CHECK (shipped >= 0),
    version INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (sku, warehouse)
) STRICT;

CREATE TABLE movements (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE, -- of the first movement of a write: the write's own name, by which it is found again
    kind TEXT NOT NULL,
    sku TEXT NOT NULL,
    warehouse TEXT NOT NULL,
    quantity INTEGER NOT NULL, -- units; signed for an adjustment only
    reservation_id BLOB,
    order_id BLOB,
    fencing_token INTEGER,
    expires_at INTEGER, -- of hold and extend
    reason TEXT, -- of receipt and adjust
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE reservations (
    fencing_token INTEGER PRIMARY KEY, -- also the order in which they were made
    id BLOB NOT NULL UNIQUE,
    order_id BLOB NOT NULL,
    status TEXT NOT NULL,
    lines TEXT NOT NULL, -- [{sku, warehouse, quantity}]
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    held_until INTEGER, -- expires_at for as long as its units are held; null afterwards
    claimed_at INTEGER,
    ended_at INTEGER,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX reservations_of_order ON reservations (order_id, fencing_token);
CREATE INDEX reservations_held ON reservations (held_until) WHERE held_until IS NOT NULL;
