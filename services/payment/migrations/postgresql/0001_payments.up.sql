CREATE TABLE payments (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    order_id uuid NOT NULL UNIQUE, -- one payment per order
    currency text COLLATE "C" NOT NULL,
    amount bigint NOT NULL,
    captured bigint NOT NULL,
    refunded bigint NOT NULL,
    token text COLLATE "C" NOT NULL,
    capture_at_once boolean NOT NULL,
    status text COLLATE "C" NOT NULL,
    failure_code text COLLATE "C",
    authorization_id uuid, -- the PSP's, once it is known
    inquire_at timestamptz, -- when the PSP is asked next, while something is open
    inquiries bigint NOT NULL, -- how often it was asked since that began
    version bigint NOT NULL, -- grows with each change of status
    revision bigint NOT NULL, -- grows with each save
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX payments_to_inquire ON payments (inquire_at) WHERE inquire_at IS NOT NULL;

-- Each time the PSP was asked to do something. Open until the PSP's event of it is known, or it is certain that there is none.
CREATE TABLE payment_attempts (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id uuid NOT NULL,
    operation text COLLATE "C" NOT NULL, -- authorize, capture, void, refund
    psp_key text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    outcome text COLLATE "C" -- the type of the PSP's event, refused, not-sent, lost
);
CREATE INDEX payment_attempts_of ON payment_attempts (payment_id, seq);

CREATE TABLE payment_transitions (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id uuid NOT NULL,
    order_id uuid NOT NULL,
    previous text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    psp_event_id uuid,
    at timestamptz NOT NULL,
    UNIQUE (payment_id, version)
);

CREATE TABLE refunds (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE, -- also the key under which the PSP is asked
    payment_id uuid NOT NULL,
    amount bigint NOT NULL,
    asked_amount bigint, -- what was asked for; null: all that is left
    reason text COLLATE "C",
    status text COLLATE "C" NOT NULL, -- PENDING, SUCCEEDED, FAILED
    request_token text COLLATE "C", -- the key of the request; null: nobody asked, it is ours or the PSP's own
    psp_event_id uuid,
    ask_at timestamptz, -- of a pending one: when the PSP is asked again
    asked bigint NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    UNIQUE (payment_id, request_token)
);
CREATE INDEX refunds_of ON refunds (payment_id, seq);
CREATE INDEX refunds_to_ask ON refunds (ask_at) WHERE ask_at IS NOT NULL;

-- The books: one posting for each event of the PSP. Authorizations, declines and voids are memo postings, without lines.
CREATE TABLE ledger_postings (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    payment_id uuid NOT NULL,
    order_id uuid NOT NULL,
    psp_event_id uuid NOT NULL UNIQUE,
    kind text COLLATE "C" NOT NULL, -- the type of the PSP's event
    currency text COLLATE "C" NOT NULL,
    amount bigint NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX ledger_postings_of ON ledger_postings (payment_id, seq);

CREATE TABLE ledger_lines (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    posting_id uuid NOT NULL,
    line bigint NOT NULL,
    account text COLLATE "C" NOT NULL,
    debit bigint NOT NULL CHECK (debit >= 0),
    credit bigint NOT NULL CHECK (credit >= 0),
    UNIQUE (posting_id, line),
    CHECK ((debit = 0) <> (credit = 0))
);

CREATE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$;
CREATE TRIGGER ledger_postings_stay BEFORE UPDATE ON ledger_postings FOR EACH ROW EXECUTE FUNCTION ledger_refuses('the ledger does not change');
CREATE TRIGGER ledger_postings_last BEFORE DELETE ON ledger_postings FOR EACH ROW EXECUTE FUNCTION ledger_refuses('the ledger does not shrink');
CREATE TRIGGER ledger_lines_stay BEFORE UPDATE ON ledger_lines FOR EACH ROW EXECUTE FUNCTION ledger_refuses('the ledger does not change');
CREATE TRIGGER ledger_lines_last BEFORE DELETE ON ledger_lines FOR EACH ROW EXECUTE FUNCTION ledger_refuses('the ledger does not shrink');
CREATE TRIGGER ledger_postings_whole BEFORE TRUNCATE ON ledger_postings FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses('the ledger does not shrink');
CREATE TRIGGER ledger_lines_whole BEFORE TRUNCATE ON ledger_lines FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses('the ledger does not shrink');
