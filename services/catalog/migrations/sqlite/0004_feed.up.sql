-- How far the change feed was published. Written in one transaction with the events.
CREATE TABLE feed_progress (
    feed TEXT NOT NULL PRIMARY KEY,
    seq TEXT NOT NULL, -- the document store's, opaque
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was told last of each product: the other side of the next diff.
CREATE TABLE product_published (
    product_id BLOB NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL,
    rev TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE product_quarantine (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    product_id BLOB NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    rev TEXT NOT NULL,
    reason TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
