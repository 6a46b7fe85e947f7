-- Of an order without a customer: the digest of the token of the shopping session that it came from. Who shows that token may see the order.
ALTER TABLE orders ADD COLUMN IF NOT EXISTS guest_session varchar(64);
