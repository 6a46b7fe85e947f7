CREATE TABLE price_books (
    name TEXT NOT NULL PRIMARY KEY,
    currency TEXT NOT NULL UNIQUE -- one book for each currency
) STRICT, WITHOUT ROWID;
INSERT INTO price_books (name, currency) VALUES
    ('standard-usd', 'USD'), ('standard-eur', 'EUR'), ('standard-jpy', 'JPY'), ('standard-vnd', 'VND');

CREATE TABLE price_book_entries (
    book TEXT NOT NULL,
    sku TEXT NOT NULL,
    unit_price INTEGER NOT NULL,
    version INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (book, sku)
) STRICT, WITHOUT ROWID;

CREATE TABLE price_rules (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    skus TEXT NOT NULL, -- JSON, as it was written; price_rule_skus is what is searched
    priority INTEGER NOT NULL,
    exclusive INTEGER NOT NULL,
    condition TEXT, -- JSON
    effect TEXT NOT NULL, -- JSON
    starts_at INTEGER,
    ends_at INTEGER,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Which rules concern a SKU; a rule for all of them stands under '*', which is no SKU.
CREATE TABLE price_rule_skus (
    sku TEXT NOT NULL,
    rule_id BLOB NOT NULL,
    PRIMARY KEY (sku, rule_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX price_rule_skus_of ON price_rule_skus (rule_id);

CREATE TABLE promotion_campaigns (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    code TEXT UNIQUE, -- null: automatic
    name TEXT NOT NULL,
    condition TEXT, -- JSON
    effect TEXT NOT NULL, -- JSON
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    usage_limit INTEGER,
    used INTEGER NOT NULL,
    activated_at INTEGER, -- when it was announced
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX promotion_campaigns_automatic ON promotion_campaigns (code, ends_at, id);
CREATE INDEX promotion_campaigns_waiting ON promotion_campaigns (activated_at, starts_at, id);

CREATE TABLE promotion_redemptions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    promotion_id BLOB NOT NULL,
    code TEXT NOT NULL,
    cart_id BLOB NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (promotion_id, cart_id) -- once per cart
) STRICT;

CREATE TABLE currency_rates (
    base TEXT NOT NULL,
    currency TEXT NOT NULL,
    rate_micros INTEGER NOT NULL, -- millionths of the other's major unit for one of the base's
    as_of INTEGER NOT NULL,
    PRIMARY KEY (base, currency)
) STRICT, WITHOUT ROWID;
