DROP TABLE IF EXISTS order_credits;
ALTER TABLE orders DROP COLUMN IF EXISTS payment_version;
ALTER TABLE orders DROP COLUMN IF EXISTS payment_refunded;
