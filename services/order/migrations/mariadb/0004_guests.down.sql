ALTER TABLE orders DROP COLUMN IF EXISTS guest_session;
