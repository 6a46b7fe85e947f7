CREATE TABLE IF NOT EXISTS orders (
    seq bigint AUTO_INCREMENT PRIMARY KEY,
    id binary(16) NOT NULL UNIQUE,
    cart_id binary(16) NOT NULL UNIQUE, -- one order per cart
    customer_id binary(16),
    region varchar(8) NOT NULL,
    currency char(3) NOT NULL,
    status varchar(40) NOT NULL,
    subtotal bigint NOT NULL,
    discounts bigint NOT NULL,
    tax bigint NOT NULL,
    shipping bigint NOT NULL,
    total bigint NOT NULL,
    payment_id binary(16),
    payment_status varchar(40),
    shipping_address json COLLATE utf8mb4_nopad_bin, -- null once erased
    cancel_note text,
    request_token varchar(255) NOT NULL, -- the key of the request that made it
    version bigint NOT NULL,
    created_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL,
    INDEX orders_by_customer (customer_id, seq),
    INDEX orders_by_payment (payment_id)
);

CREATE TABLE IF NOT EXISTS order_items (
    order_id binary(16) NOT NULL,
    line bigint NOT NULL,
    sku varchar(64) NOT NULL,
    quantity bigint NOT NULL,
    unit_price bigint NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE IF NOT EXISTS order_status_history (
    seq bigint AUTO_INCREMENT PRIMARY KEY,
    order_id binary(16) NOT NULL,
    previous varchar(40),
    status varchar(40) NOT NULL,
    reason text,
    version bigint NOT NULL,
    at datetime(6) NOT NULL,
    INDEX order_status_history_of (order_id, seq)
);
