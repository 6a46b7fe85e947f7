-- When a cart was made anonymous that had been checked out: an order that is made of it later is not to know whose it was.
ALTER TABLE carts ADD COLUMN IF NOT EXISTS erased_at datetime(6);
