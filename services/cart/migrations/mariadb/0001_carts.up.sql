CREATE TABLE IF NOT EXISTS carts (
    seq bigint AUTO_INCREMENT PRIMARY KEY,
    id binary(16) NOT NULL UNIQUE,
    customer_id binary(16), -- null for a guest's, and once erased
    session_token varchar(64) NOT NULL,
    open_session varchar(64) UNIQUE, -- the session's token while the cart is open: a session has one open cart
    status varchar(20) NOT NULL,
    region varchar(8) NOT NULL,
    currency char(3) NOT NULL,
    coupon varchar(64),
    subtotal bigint NOT NULL,
    discounts bigint NOT NULL,
    tax bigint NOT NULL,
    shipping bigint NOT NULL,
    total bigint NOT NULL,
    version bigint NOT NULL,
    expires_at datetime(6) NOT NULL,
    checkout json COLLATE utf8mb4_nopad_bin, -- how it is paid and where it goes; null once the order is there, and once erased
    checkout_token varchar(255), -- the key of the request that checked it out
    checkout_fingerprint varbinary(64),
    order_id binary(16),
    created_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL,
    INDEX carts_by_session (session_token, seq),
    INDEX carts_by_customer (customer_id, seq),
    INDEX carts_by_expiry (status, expires_at)
);

CREATE TABLE IF NOT EXISTS cart_items (
    cart_id binary(16) NOT NULL,
    line bigint NOT NULL,
    sku varchar(64) NOT NULL,
    quantity bigint NOT NULL,
    unit_price bigint NOT NULL,
    list_price bigint NOT NULL,
    discount bigint NOT NULL,
    tax bigint NOT NULL,
    quoted_at datetime(6) NOT NULL,
    valid_until datetime(6) NOT NULL,
    PRIMARY KEY (cart_id, line)
);

-- What happened to a cart, step by step; one change may leave several rows of the same version.
CREATE TABLE IF NOT EXISTS cart_events (
    seq bigint AUTO_INCREMENT PRIMARY KEY,
    cart_id binary(16) NOT NULL,
    version bigint NOT NULL,
    kind varchar(40) NOT NULL,
    sku varchar(64),
    quantity bigint,
    coupon varchar(64),
    total bigint NOT NULL,
    at datetime(6) NOT NULL,
    INDEX cart_events_of (cart_id, seq)
);
