CREATE TABLE psp_authorizations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    request_key TEXT NOT NULL UNIQUE, -- one authorization per key, for good
    merchant_reference TEXT NOT NULL, -- not unique: who asks under two keys gets two
    token TEXT NOT NULL,
    capture_at_once INTEGER NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL,
    captured INTEGER NOT NULL,
    refunded INTEGER NOT NULL,
    status TEXT NOT NULL,
    decline_code TEXT,
    due_at INTEGER, -- when the outcome is decided, or what is authorized expires; null for what waits for nothing
    answer TEXT, -- what the key is answered with once the outcome is decided
    correlation_id TEXT,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX psp_authorizations_of ON psp_authorizations (merchant_reference, seq);
CREATE INDEX psp_authorizations_due ON psp_authorizations (due_at) WHERE due_at IS NOT NULL;

-- The truth: one row for each change of state. It only grows.
CREATE TABLE psp_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    authorization_id BLOB NOT NULL,
    merchant_reference TEXT NOT NULL,
    type TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL,
    decline_code TEXT,
    request_key TEXT,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX psp_events_of ON psp_events (authorization_id, seq);
CREATE TRIGGER psp_events_stay BEFORE UPDATE ON psp_events BEGIN SELECT RAISE(ABORT, 'the truth log does not change'); END;
CREATE TRIGGER psp_events_last BEFORE DELETE ON psp_events BEGIN SELECT RAISE(ABORT, 'the truth log does not shrink'); END;

CREATE TABLE psp_callbacks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id BLOB NOT NULL,
    nth INTEGER NOT NULL, -- 0, and 1 for what is told twice
    authorization_id BLOB NOT NULL,
    status TEXT NOT NULL, -- WAITING, SENT, GIVEN_UP
    attempts INTEGER NOT NULL,
    send_at INTEGER NOT NULL, -- of a waiting one: when it is tried next
    created_at INTEGER NOT NULL,
    UNIQUE (event_id, nth)
) STRICT;
CREATE INDEX psp_callbacks_waiting ON psp_callbacks (send_at, seq) WHERE status = 'WAITING';
CREATE INDEX psp_callbacks_of ON psp_callbacks (authorization_id, seq);
