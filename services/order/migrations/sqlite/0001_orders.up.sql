CREATE TABLE orders (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    cart_id BLOB NOT NULL UNIQUE, -- one order per cart
    customer_id BLOB,
    region TEXT NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    subtotal INTEGER NOT NULL,
    discounts INTEGER NOT NULL,
    tax INTEGER NOT NULL,
    shipping INTEGER NOT NULL,
    total INTEGER NOT NULL,
    payment_id BLOB,
    payment_status TEXT,
    shipping_address TEXT, -- null once erased
    cancel_note TEXT,
    request_token TEXT NOT NULL, -- the key of the request that made it
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_by_customer ON orders (customer_id, seq);
CREATE INDEX orders_by_payment ON orders (payment_id);

CREATE TABLE order_items (
    order_id BLOB NOT NULL,
    line INTEGER NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    unit_price INTEGER NOT NULL,
    PRIMARY KEY (order_id, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE order_status_history (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id BLOB NOT NULL,
    previous TEXT,
    status TEXT NOT NULL,
    reason TEXT,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX order_status_history_of ON order_status_history (order_id, seq);
