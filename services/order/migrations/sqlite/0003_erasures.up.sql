-- Who was erased: an order that comes late, of a cart that was under way, is not to keep where it goes.
CREATE TABLE erased_customers (
    customer_id BLOB PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
