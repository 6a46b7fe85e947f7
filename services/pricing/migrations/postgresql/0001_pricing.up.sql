CREATE TABLE price_books (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    currency text COLLATE "C" NOT NULL UNIQUE -- one book for each currency
);
INSERT INTO price_books (name, currency) VALUES
    ('standard-usd', 'USD'), ('standard-eur', 'EUR'), ('standard-jpy', 'JPY'), ('standard-vnd', 'VND');

CREATE TABLE price_book_entries (
    book text COLLATE "C" NOT NULL,
    sku text COLLATE "C" NOT NULL,
    unit_price bigint NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (book, sku)
);

CREATE TABLE price_rules (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    name text COLLATE "C" NOT NULL,
    skus jsonb NOT NULL, -- JSON, as it was written; price_rule_skus is what is searched
    priority bigint NOT NULL,
    exclusive boolean NOT NULL,
    condition jsonb, -- JSON
    effect jsonb NOT NULL, -- JSON
    starts_at timestamptz,
    ends_at timestamptz,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- Which rules concern a SKU; a rule for all of them stands under '*', which is no SKU.
CREATE TABLE price_rule_skus (
    sku text COLLATE "C" NOT NULL,
    rule_id uuid NOT NULL,
    PRIMARY KEY (sku, rule_id)
);
CREATE INDEX price_rule_skus_of ON price_rule_skus (rule_id);

CREATE TABLE promotion_campaigns (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    code text COLLATE "C" UNIQUE, -- null: automatic
    name text COLLATE "C" NOT NULL,
    condition jsonb, -- JSON
    effect jsonb NOT NULL, -- JSON
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    usage_limit bigint,
    used bigint NOT NULL,
    activated_at timestamptz, -- when it was announced
    created_at timestamptz NOT NULL
);
CREATE INDEX promotion_campaigns_automatic ON promotion_campaigns (code, ends_at, id);
CREATE INDEX promotion_campaigns_waiting ON promotion_campaigns (activated_at, starts_at, id);

CREATE TABLE promotion_redemptions (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    promotion_id uuid NOT NULL,
    code text COLLATE "C" NOT NULL,
    cart_id uuid NOT NULL,
    at timestamptz NOT NULL,
    UNIQUE (promotion_id, cart_id) -- once per cart
);

CREATE TABLE currency_rates (
    base text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    rate_micros bigint NOT NULL, -- millionths of the other's major unit for one of the base's
    as_of timestamptz NOT NULL,
    PRIMARY KEY (base, currency)
);
