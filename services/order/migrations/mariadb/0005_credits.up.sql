-- What was heard of the payment has a version, so that what was told earlier and comes later changes nothing.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS payment_refunded bigint NOT NULL DEFAULT 0;
ALTER TABLE orders ADD COLUMN IF NOT EXISTS payment_version bigint NOT NULL DEFAULT 0;

-- What is given back of an order to make up for something.
CREATE TABLE IF NOT EXISTS order_credits (
    seq bigint AUTO_INCREMENT PRIMARY KEY,
    id binary(16) NOT NULL UNIQUE,
    order_id binary(16) NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0), -- in minor units of the order's currency
    reason text,
    granted_at datetime(6) NOT NULL,
    INDEX order_credits_of (order_id, seq)
);
