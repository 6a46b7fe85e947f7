CREATE TABLE carts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    customer_id BLOB, -- null for a guest's, and once erased
    session_token TEXT NOT NULL,
    open_session TEXT UNIQUE, -- the session's token while the cart is open: a session has one open cart
    status TEXT NOT NULL,
    region TEXT NOT NULL,
    currency TEXT NOT NULL,
    coupon TEXT,
    subtotal INTEGER NOT NULL,
    discounts INTEGER NOT NULL,
    tax INTEGER NOT NULL,
    shipping INTEGER NOT NULL,
    total INTEGER NOT NULL,
    version INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    checkout TEXT, -- how it is paid and where it goes; null once the order is there, and once erased
    checkout_token TEXT, -- the key of the request that checked it out
    checkout_fingerprint BLOB,
    order_id BLOB,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX carts_by_session ON carts (session_token, seq);
CREATE INDEX carts_by_customer ON carts (customer_id, seq);
CREATE INDEX carts_by_expiry ON carts (status, expires_at);

CREATE TABLE cart_items (
    cart_id BLOB NOT NULL,
    line INTEGER NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    unit_price INTEGER NOT NULL,
    list_price INTEGER NOT NULL,
    discount INTEGER NOT NULL,
    tax INTEGER NOT NULL,
    quoted_at INTEGER NOT NULL,
    valid_until INTEGER NOT NULL,
    PRIMARY KEY (cart_id, line)
) STRICT, WITHOUT ROWID;

-- What happened to a cart, step by step; one change may leave several rows of the same version.
CREATE TABLE cart_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    cart_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL,
    sku TEXT,
    quantity INTEGER,
    coupon TEXT,
    total INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX cart_events_of ON cart_events (cart_id, seq);
