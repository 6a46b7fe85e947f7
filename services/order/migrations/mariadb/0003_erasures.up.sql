-- Who was erased: an order that comes late, of a cart that was under way, is not to keep where it goes.
CREATE TABLE IF NOT EXISTS erased_customers (
    customer_id binary(16) PRIMARY KEY,
    at datetime(6) NOT NULL
);
