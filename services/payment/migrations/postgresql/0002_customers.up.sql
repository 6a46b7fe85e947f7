-- Whose order it is, so that a customer is shown no payments but its own; a guest's has none.
ALTER TABLE payments ADD COLUMN customer_id uuid;
