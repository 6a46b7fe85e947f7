ALTER TABLE orders DROP COLUMN guest_session;
