DROP TABLE order_credits;
ALTER TABLE orders DROP COLUMN payment_version;
ALTER TABLE orders DROP COLUMN payment_refunded;
