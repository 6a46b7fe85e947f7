//! The bugs: what each is, where it is planted, and the set of invariants that it must break, no more and no fewer.

use lab::invariants::Invariant::{self, I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11, I12, I14, I15, I18, I19, I20};

use super::transport::Bug;

pub enum Plant {
    /// SQL behind a service's store.
    Store(&'static str, &'static str),
    /// Between the client and the system.
    Transport(Bug),
}

use Plant::{Store, Transport};

pub const BUGS: &[(&str, Plant, &[Invariant])] = &[
    (
        "an entry of which one side is lost",
        Store("payment", "CREATE TRIGGER bug BEFORE INSERT ON ledger_lines WHEN NEW.account = 'customer_deposits' BEGIN SELECT RAISE(IGNORE); END"),
        &[I4],
    ),
    (
        "an entry that somebody changes afterwards",
        Store("payment", "DROP TRIGGER ledger_lines_stay;
         CREATE TRIGGER bug AFTER INSERT ON ledger_lines WHEN NEW.account = 'customer_deposits'
         BEGIN UPDATE ledger_lines SET account = 'revenue' WHERE seq = NEW.seq; END"),
        &[I4],
    ),
    (
        "a refund that is not booked",
        Store("payment", "CREATE TRIGGER bug BEFORE INSERT ON ledger_lines WHEN NEW.account = 'refunds' OR (NEW.account = 'psp_clearing' AND NEW.credit > 0)
         BEGIN SELECT RAISE(IGNORE); END"),
        &[I4, I5],
    ),
    (
        "a payment that counts a refund that nobody gave",
        Store("payment", "CREATE TRIGGER bug AFTER UPDATE OF captured ON payments
         WHEN NEW.captured > OLD.captured AND (SELECT count(*) FROM payments) <= 3
         BEGIN UPDATE payments SET refunded = refunded + 1 WHERE id = NEW.id; END"),
        &[I5],
    ),
    (
        "a provider that gives money back and tells nobody",
        Store("psp", "CREATE TRIGGER bug AFTER INSERT ON psp_events WHEN NEW.type = 'capture.succeeded' AND NEW.seq < 4
         BEGIN INSERT INTO psp_events (id, authorization_id, merchant_reference, type, currency, amount, at)
               VALUES (x'01900000000070008000000000000001', NEW.authorization_id, NEW.merchant_reference, 'refund.succeeded',
                       NEW.currency, 1, NEW.at); END"),
        &[I4, I5],
    ),
    (
        "a provider that takes more than was authorized",
        Store("psp", "DROP TRIGGER psp_events_stay;
         CREATE TRIGGER bug AFTER INSERT ON psp_events WHEN NEW.type = 'authorization.succeeded'
         BEGIN UPDATE psp_events SET amount = amount - 1 WHERE seq = NEW.seq; END"),
        // What was authorized is what the buyer agreed to by his quote.
        &[I6, I19],
    ),
    (
        "a provider that gives more back than it took",
        Store("psp", "DROP TRIGGER psp_events_stay;
         CREATE TRIGGER bug AFTER INSERT ON psp_events WHEN NEW.type = 'refund.succeeded'
         BEGIN UPDATE psp_events SET amount = amount + 1 WHERE seq = NEW.seq; END"),
        &[I4, I5, I6, I9],
    ),
    (
        "a provider that takes the money a second time, under an authorization of which nobody knows",
        Store("psp", "CREATE TRIGGER bug AFTER INSERT ON psp_events WHEN NEW.type = 'capture.succeeded' AND NEW.seq < 4
         BEGIN INSERT INTO psp_events (id, authorization_id, merchant_reference, type, currency, amount, at)
               VALUES (x'01900000000070008000000000000001', x'01900000000070008000000000000009', NEW.merchant_reference,
                       'authorization.succeeded', NEW.currency, NEW.amount, NEW.at),
                      (x'01900000000070008000000000000002', x'01900000000070008000000000000009', NEW.merchant_reference,
                       'capture.succeeded', NEW.currency, NEW.amount, NEW.at); END"),
        &[I4, I5, I6],
    ),
    (
        "a counter that gains a unit with each claim",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER UPDATE OF claimed ON stock WHEN NEW.claimed > OLD.claimed
             BEGIN UPDATE stock SET on_hand = on_hand + 1 WHERE seq = NEW.seq; END",
        ),
        &[I1],
    ),
    (
        "a claim that is counted as shipped too",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON movements WHEN NEW.kind = 'claim'
             BEGIN UPDATE stock SET shipped = shipped + NEW.quantity WHERE sku = NEW.sku AND warehouse = NEW.warehouse; END",
        ),
        &[I1],
    ),
    (
        "a delivery that the journal forgets",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON movements WHEN NEW.kind IN ('receipt', 'adjust') AND NEW.sku = 'DESK'
             BEGIN DELETE FROM movements WHERE seq = NEW.seq; END",
        ),
        &[I1, I8],
    ),
    (
        "a release that the journal forgets",
        Store("inventory", "CREATE TRIGGER bug BEFORE INSERT ON movements WHEN NEW.kind = 'release' BEGIN SELECT RAISE(IGNORE); END"),
        &[I2],
    ),
    (
        "a hold that is shown as held for ever",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER UPDATE OF status ON reservations WHEN NEW.status = 'RELEASED'
             BEGIN UPDATE reservations SET status = 'HELD', ended_at = NULL WHERE fencing_token = NEW.fencing_token; END",
        ),
        &[I2],
    ),
    (
        "a hold that is released twice",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON movements WHEN NEW.kind = 'release'
             BEGIN INSERT INTO movements (id, kind, sku, warehouse, quantity, reservation_id, order_id, fencing_token, at)
               VALUES (randomblob(16), 'release', NEW.sku, NEW.warehouse, NEW.quantity, NEW.reservation_id, NEW.order_id, NEW.fencing_token,
                 NEW.at); END",
        ),
        &[I2],
    ),
    (
        "a claim with another hold's token",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON movements WHEN NEW.kind = 'claim'
             BEGIN UPDATE movements SET fencing_token = NEW.fencing_token + 1 WHERE seq = NEW.seq; END",
        ),
        &[I3],
    ),
    (
        "holds that had run out before they were claimed",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON movements WHEN NEW.kind IN ('hold', 'extend')
             BEGIN UPDATE movements SET expires_at = NEW.at WHERE seq = NEW.seq; END",
        ),
        &[I2, I3],
    ),
    (
        "a claim of nobody's hold",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON movements WHEN NEW.kind = 'claim'
             BEGIN UPDATE movements SET reservation_id = NULL WHERE seq = NEW.seq; END",
        ),
        &[I1, I2, I3],
    ),
    (
        "a key that is forgotten as soon as it was used",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON inventory_idempotency BEGIN DELETE FROM inventory_idempotency WHERE token = NEW.token; END",
        ),
        &[I7],
    ),
    (
        "a kept answer that is cut short",
        Store(
            "cart",
            "CREATE TRIGGER bug AFTER INSERT ON cart_idempotency
             BEGIN UPDATE cart_idempotency SET body = CAST('{}' AS BLOB) WHERE token = NEW.token; END",
        ),
        &[I7],
    ),
    ("a repeat whose answer does not say where the order is", Transport(Bug::ReplaysWithoutLocation), &[I7]),
    ("a repeat that is answered with something else", Transport(Bug::ReplaysAnotherBody), &[I7]),
    ("a checkout that is acknowledged and reaches nobody", Transport(Bug::SwallowsCheckouts), &[I8, I15]),
    ("a delivery that is acknowledged and reaches nobody", Transport(Bug::SwallowsStock), &[I8]),
    (
        "a cart that is lost when it is checked out",
        Store(
            "cart",
            "CREATE TRIGGER bug AFTER UPDATE OF status ON carts WHEN NEW.status = 'CHECKED_OUT'
             BEGIN DELETE FROM carts WHERE seq = NEW.seq; END",
        ),
        &[I8],
    ),
    (
        "a capture of a cent less than the order",
        Store(
            "payment",
            "CREATE TRIGGER bug AFTER UPDATE OF captured ON payments WHEN NEW.captured > OLD.captured
             BEGIN UPDATE payments SET captured = captured - 1 WHERE id = NEW.id; END",
        ),
        &[I5, I9],
    ),
    (
        "a cancelled order whose claim stays",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER UPDATE OF status ON reservations WHEN NEW.status = 'RETURNED_TO_STOCK'
             BEGIN UPDATE reservations SET status = 'CLAIMED' WHERE fencing_token = NEW.fencing_token; END",
        ),
        &[I2, I9],
    ),
    (
        "a saga that never takes its third step",
        Store("order", "CREATE TRIGGER bug BEFORE UPDATE OF step ON order_sagas WHEN NEW.step = 3 BEGIN SELECT RAISE(IGNORE); END"),
        &[I9],
    ),
    (
        "an order whose status jumps",
        Store(
            "order",
            "CREATE TRIGGER bug AFTER INSERT ON order_status_history WHEN NEW.status = 'CONFIRMED'
             BEGIN DELETE FROM order_status_history WHERE seq = NEW.seq; END",
        ),
        &[I10],
    ),
    (
        "a version that is used twice",
        Store(
            "order",
            "CREATE TRIGGER bug AFTER INSERT ON order_status_history WHEN NEW.status = 'PAID'
             BEGIN UPDATE order_status_history SET version = version - 1 WHERE seq = NEW.seq; END",
        ),
        &[I10],
    ),
    (
        "a payment that is captured without a step",
        Store(
            "payment",
            "CREATE TRIGGER bug AFTER INSERT ON payment_transitions WHEN NEW.status = 'CAPTURED'
             BEGIN DELETE FROM payment_transitions WHERE seq = NEW.seq; END",
        ),
        &[I10],
    ),
    (
        "an event that counts as published and is not",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON inventory_outbox WHEN NEW.topic = 'inventory.claimed.v1'
             BEGIN UPDATE inventory_outbox SET status = 'SENT' WHERE seq = NEW.seq; END",
        ),
        &[I11],
    ),
    (
        "an event that was published and is not committed",
        Store(
            "order",
            "CREATE TRIGGER bug AFTER UPDATE OF status ON order_outbox WHEN NEW.topic = 'order.created.v1'
             BEGIN DELETE FROM order_outbox WHERE seq = NEW.seq; END",
        ),
        &[I11],
    ),
    (
        "an event that was committed about something else",
        Store(
            "order",
            "CREATE TRIGGER bug AFTER UPDATE OF status ON order_outbox WHEN NEW.topic = 'order.created.v1'
             BEGIN UPDATE order_outbox SET key = 'something else' WHERE seq = NEW.seq; END",
        ),
        &[I11],
    ),
    (
        "a consumer that forgets what it has taken",
        Store("cart", "CREATE TRIGGER bug AFTER INSERT ON cart_inbox BEGIN DELETE FROM cart_inbox WHERE seq = NEW.seq; END"),
        &[I12],
    ),
    (
        "a consumer that passes over every second event",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON inventory_inbox
               WHEN (SELECT count(*) FROM inventory_inbox WHERE consumer = NEW.consumer AND key = NEW.key) = 2
             BEGIN UPDATE inventory_inbox SET key = 'nobody' WHERE seq = NEW.seq; END",
        ),
        &[I12],
    ),
    (
        "a consumer that notes another event than it took",
        Store(
            "order",
            "CREATE TRIGGER bug AFTER INSERT ON order_inbox
             BEGIN UPDATE order_inbox SET event_id = randomblob(16) WHERE seq = NEW.seq; END",
        ),
        &[I12],
    ),
    (
        "a record with a byte too many",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON inventory_outbox WHEN NEW.topic = 'inventory.reserved.v1'
             BEGIN UPDATE inventory_outbox SET payload = CAST(payload || x'00' AS BLOB) WHERE seq = NEW.seq; END",
        ),
        &[I14],
    ),
    (
        "a record with a byte too few",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON inventory_outbox WHEN NEW.topic = 'inventory.reserved.v1'
             BEGIN UPDATE inventory_outbox SET payload = substr(payload, 1, length(payload) - 1) WHERE seq = NEW.seq; END",
        ),
        &[I14],
    ),
    (
        "a record of a schema that nobody has registered",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON inventory_outbox WHEN NEW.topic = 'inventory.reserved.v1'
             BEGIN UPDATE inventory_outbox SET payload = CAST(x'00000003E7' || substr(payload, 6) AS BLOB) WHERE seq = NEW.seq; END",
        ),
        &[I14],
    ),
    ("a cache that never lets go", Transport(Bug::ShowsTheFirstState), &[I15]),
    ("a replica that is one change behind", Transport(Bug::LagsOneChange), &[I15]),
    ("an order that is lost from sight", Transport(Bug::LosesOrders), &[I15]),
    (
        "a receipt that the journal writes smaller, and the counter too",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER UPDATE OF claimed ON stock WHEN NEW.sku = 'LAMP' AND NEW.claimed = 6
             BEGIN UPDATE movements SET quantity = 5 WHERE kind = 'receipt' AND sku = 'LAMP';
                   UPDATE stock SET on_hand = 5 WHERE seq = NEW.seq; END",
        ),
        &[I18],
    ),
    (
        "a claim of sixty times what was held",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON movements WHEN NEW.kind = 'claim' AND NEW.sku = 'LAMP'
             BEGIN UPDATE movements SET quantity = quantity * 60 WHERE seq = NEW.seq; END;
             CREATE TRIGGER bug_too AFTER UPDATE OF claimed ON stock WHEN NEW.sku = 'LAMP' AND NEW.claimed = OLD.claimed + 2
             BEGIN UPDATE stock SET claimed = OLD.claimed + 120 WHERE seq = NEW.seq; END",
        ),
        &[I18],
    ),
    (
        "stock that is written off when it is sold",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER UPDATE OF claimed ON stock WHEN NEW.sku = 'LAMP' AND NEW.claimed = 6
             BEGIN INSERT INTO movements (id, kind, sku, warehouse, quantity, at)
                     VALUES (randomblob(16), 'adjust', NEW.sku, NEW.warehouse, -95, NEW.updated_at);
                   UPDATE stock SET on_hand = on_hand - 95 WHERE seq = NEW.seq; END",
        ),
        &[I18],
    ),
    (
        "an order that charges a cent more than it says",
        Store(
            "order",
            "CREATE TRIGGER bug AFTER INSERT ON orders BEGIN UPDATE orders SET subtotal = subtotal - 1 WHERE seq = NEW.seq; END",
        ),
        &[I19],
    ),
    (
        "tax that is told as shipping",
        Store(
            "order",
            "CREATE TRIGGER bug AFTER INSERT ON orders BEGIN UPDATE orders SET tax = tax - 1, shipping = shipping + 1 WHERE seq = NEW.seq; END",
        ),
        &[I19],
    ),
    (
        "a cart that is checked out by quotes that are over",
        Store(
            "cart",
            "CREATE TRIGGER bug AFTER UPDATE OF status ON carts WHEN NEW.status = 'CHECKED_OUT'
             BEGIN UPDATE cart_items SET valid_until = NEW.updated_at WHERE cart_id = NEW.id; END",
        ),
        &[I19],
    ),
    (
        "two reservations of one order",
        Store(
            "inventory",
            "CREATE TRIGGER bug AFTER INSERT ON reservations WHEN NEW.fencing_token > 1
             BEGIN UPDATE reservations SET order_id = (SELECT order_id FROM reservations ORDER BY fencing_token LIMIT 1)
                   WHERE fencing_token = NEW.fencing_token; END",
        ),
        &[I9, I20],
    ),
    (
        "a coupon's use that is not counted",
        Store(
            "pricing",
            "CREATE TRIGGER bug AFTER UPDATE OF used ON promotion_campaigns WHEN NEW.used > OLD.used
             BEGIN UPDATE promotion_campaigns SET used = OLD.used WHERE seq = NEW.seq; END",
        ),
        &[I20],
    ),
    (
        "a coupon that is used beyond its limit",
        Store(
            "pricing",
            "CREATE TRIGGER bug AFTER UPDATE OF used ON promotion_campaigns WHEN NEW.used > OLD.used
             BEGIN UPDATE promotion_campaigns SET usage_limit = 0 WHERE seq = NEW.seq; END",
        ),
        &[I20],
    ),
];
