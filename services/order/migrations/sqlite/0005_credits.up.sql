-- What was heard of the payment has a version, so that what was told earlier and comes later changes nothing.
ALTER TABLE orders ADD COLUMN payment_refunded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN payment_version INTEGER NOT NULL DEFAULT 0;

-- What is given back of an order to make up for something.
CREATE TABLE order_credits (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    order_id BLOB NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0), -- in minor units of the order's currency
    reason TEXT,
    granted_at INTEGER NOT NULL
) STRICT;
CREATE INDEX order_credits_of ON order_credits (order_id, seq);
