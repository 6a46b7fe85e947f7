CREATE TABLE payments (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    order_id BLOB NOT NULL UNIQUE, -- one payment per order
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL,
    captured INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    token TEXT NOT NULL,
    capture_at_once INTEGER NOT NULL,
    status TEXT NOT NULL,
    failure_code TEXT,
    authorization_id BLOB, -- the PSP's, once it is known
    inquire_at INTEGER, -- when the PSP is asked next, while something is open
    inquiries INTEGER NOT NULL, -- how often it was asked since that began
    version INTEGER NOT NULL, -- grows with each change of status
    revision INTEGER NOT NULL, -- grows with each save
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX payments_to_inquire ON payments (inquire_at) WHERE inquire_at IS NOT NULL;

-- Each time the PSP was asked to do something. Open until the PSP's event of it is known, or it is certain that there is none.
CREATE TABLE payment_attempts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    payment_id BLOB NOT NULL,
    operation TEXT NOT NULL, -- authorize, capture, void, refund
    psp_key TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    outcome TEXT -- the type of the PSP's event, refused, not-sent, lost
) STRICT;
CREATE INDEX payment_attempts_of ON payment_attempts (payment_id, seq);

CREATE TABLE payment_transitions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    payment_id BLOB NOT NULL,
    order_id BLOB NOT NULL,
    previous TEXT,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    psp_event_id BLOB,
    at INTEGER NOT NULL,
    UNIQUE (payment_id, version)
) STRICT;

CREATE TABLE refunds (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE, -- also the key under which the PSP is asked
    payment_id BLOB NOT NULL,
    amount INTEGER NOT NULL,
    asked_amount INTEGER, -- what was asked for; null: all that is left
    reason TEXT,
    status TEXT NOT NULL, -- PENDING, SUCCEEDED, FAILED
    request_token TEXT, -- the key of the request; null: nobody asked, it is ours or the PSP's own
    psp_event_id BLOB,
    ask_at INTEGER, -- of a pending one: when the PSP is asked again
    asked INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    UNIQUE (payment_id, request_token)
) STRICT;
CREATE INDEX refunds_of ON refunds (payment_id, seq);
CREATE INDEX refunds_to_ask ON refunds (ask_at) WHERE ask_at IS NOT NULL;

-- The books: one posting for each event of the PSP. Authorizations, declines and voids are memo postings, without lines.
CREATE TABLE ledger_postings (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    payment_id BLOB NOT NULL,
    order_id BLOB NOT NULL,
    psp_event_id BLOB NOT NULL UNIQUE,
    kind TEXT NOT NULL, -- the type of the PSP's event
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_postings_of ON ledger_postings (payment_id, seq);

CREATE TABLE ledger_lines (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    posting_id BLOB NOT NULL,
    line INTEGER NOT NULL,
    account TEXT NOT NULL,
    debit INTEGER NOT NULL CHECK (debit >= 0),
    credit INTEGER NOT NULL CHECK (credit >= 0),
    UNIQUE (posting_id, line),
    CHECK ((debit = 0) <> (credit = 0))
) STRICT;

CREATE TRIGGER ledger_postings_stay BEFORE UPDATE ON ledger_postings BEGIN SELECT RAISE(ABORT, 'the ledger does not change'); END;
CREATE TRIGGER ledger_postings_last BEFORE DELETE ON ledger_postings BEGIN SELECT RAISE(ABORT, 'the ledger does not shrink'); END;
CREATE TRIGGER ledger_lines_stay BEFORE UPDATE ON ledger_lines BEGIN SELECT RAISE(ABORT, 'the ledger does not change'); END;
CREATE TRIGGER ledger_lines_last BEFORE DELETE ON ledger_lines BEGIN SELECT RAISE(ABORT, 'the ledger does not shrink'); END;
