ALTER TABLE carts DROP COLUMN erased_at;
