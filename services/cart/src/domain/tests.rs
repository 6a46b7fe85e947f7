//! The rules of a cart, by themselves.

use pricing_api::PricedLine;
use types::id::Uuid;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn at(seconds: i64) -> Moment {
    Moment { now: Timestamp::from_seconds(seconds), ttl: HOUR }
}

fn sku(name: &str) -> Sku {
    Sku::new(name).unwrap()
}

fn line(name: &str, quantity: u32) -> CartLine {
    CartLine { sku: sku(name), quantity: Quantity::new(quantity).unwrap() }
}

fn empty() -> Cart {
    Cart::new(CartId(Uuid::from_u128(1)), None, "session".into(), (Region::Us, Currency::Usd), at(0))
}

/// Ten dollars for each unit, a dollar of tax, nothing else.
fn priced(lines: &[CartLine], valid_until: i64) -> PricedCart {
    let usd = |amount| Money::new(amount, Currency::Usd);
    let subtotal: i64 = lines.iter().map(|line| line.quantity.as_i64() * 1_000).sum();
    let quoted = |line: &CartLine| PricedLine {
        sku: line.sku.clone(),
        quantity: line.quantity,
        list_price: usd(1_200),
        unit_price: usd(1_000),
        discount: usd(0),
        tax: usd(100),
        applied_rules: vec![],
    };
    PricedCart {
        lines: lines.iter().map(quoted).collect(),
        subtotal: usd(subtotal),
        discounts: usd(0),
        tax: usd(100),
        shipping: usd(0),
        total: usd(subtotal + 100),
        quoted_at: Timestamp::from_seconds(0),
        valid_until: Timestamp::from_seconds(valid_until),
    }
}

fn with(cart: &Cart, change: &Change) -> Cart {
    let wanted = cart.after(change, at(1).now).unwrap();
    let quote = priced(&wanted.lines, 900);
    cart.repriced(wanted, Some(&quote), at(1)).unwrap()
}

fn filled() -> Cart {
    with(&with(&empty(), &Change::Add(line("LAMP", 2))), &Change::Add(line("DESK", 1)))
}

#[test]
fn quantities_of_the_same_sku_add_up() {
    let cart = with(&filled(), &Change::Add(line("LAMP", 3)));
    assert_eq!(cart.wanted().lines, [line("LAMP", 5), line("DESK", 1)]);
    assert_eq!((cart.version, cart.totals.total), (4, 6_100));
}

#[test]
fn a_line_holds_ten_thousand_at_most() {
    let cart = with(&empty(), &Change::Add(line("LAMP", 9_999)));
    assert!(cart.after(&Change::Add(line("LAMP", 1)), at(1).now).is_ok());
    assert_eq!(cart.after(&Change::Add(line("LAMP", 2)), at(1).now), Err(Refusal::TooMany { present: 9_999 }));
}

#[test]
fn a_cart_holds_a_hundred_lines_at_most() {
    let mut cart = empty();
    for number in 0..MAX_LINES {
        cart = with(&cart, &Change::Add(line(&format!("S{number}"), 1)));
    }
    assert_eq!(cart.after(&Change::Add(line("ONE-MORE", 1)), at(1).now), Err(Refusal::TooManyLines));
    assert!(cart.after(&Change::Add(line("S7", 1)), at(1).now).is_ok(), "one that is there already is no new line");
}

#[test]
fn what_is_not_there_cannot_be_set_or_removed() {
    let refused = |change| filled().after(&change, at(1).now);
    assert_eq!(refused(Change::SetQuantity(line("SOFA", 1))), Err(Refusal::NoSuchItem(sku("SOFA"))));
    assert_eq!(refused(Change::Remove(sku("SOFA"))), Err(Refusal::NoSuchItem(sku("SOFA"))));
    assert_eq!(refused(Change::RemoveCoupon), Err(Refusal::NoCoupon));
    assert_eq!(empty().after(&Change::ApplyCoupon(sku("SAVE")), at(1).now), Err(Refusal::Empty));
}

#[test]
fn an_emptied_cart_costs_nothing_and_needs_no_quote() {
    let cart = with(&empty(), &Change::Add(line("LAMP", 1)));
    let wanted = cart.after(&Change::Remove(sku("LAMP")), at(1).now).unwrap();
    let emptied = cart.repriced(wanted, None, at(1)).unwrap();
    assert_eq!((emptied.items.len(), emptied.totals), (0, Totals::default()));
}

#[test]
fn every_change_extends_the_life_of_a_cart() {
    let cart = filled();
    let wanted = cart.after(&Change::RemoveCoupon, at(2).now);
    assert_eq!(wanted, Err(Refusal::NoCoupon));
    let later = at(1_800);
    let wanted = cart.after(&Change::Remove(sku("DESK")), later.now).unwrap();
    let next = cart.repriced(wanted.clone(), Some(&priced(&wanted.lines, 9_000)), later).unwrap();
    assert_eq!(next.expires_at, later.now.plus(HOUR));
}

#[test]
fn a_cart_whose_time_is_over_refuses_everything_even_before_that_is_noted() {
    let cart = filled();
    let over = cart.expires_at;
    assert!(cart.is_due(over) && !cart.is_due(over.minus(Duration::from_micros(1))));
    assert_eq!(cart.after(&Change::Remove(sku("DESK")), over), Err(Refusal::Expired));
    assert_eq!(cart.closed(&cart, over), Err(Refusal::Expired));
}

#[test]
fn a_closed_cart_refuses_everything() {
    let cart = filled();
    let closed = cart.closed(&cart, at(2).now).unwrap();
    assert_eq!((closed.status, closed.version, closed.expires_at), (CartStatus::CheckedOut, 4, cart.expires_at));
    assert_eq!(closed.after(&Change::Remove(sku("DESK")), at(3).now), Err(Refusal::CheckedOut));
    assert_eq!(closed.closed(&closed, at(3).now), Err(Refusal::CheckedOut));
    assert_eq!(empty().closed(&empty(), at(1).now), Err(Refusal::Empty));
}

#[test]
fn a_quote_ends_when_it_says() {
    let cart = filled();
    assert!(!cart.has_expired_quote(at(899).now));
    assert!(cart.has_expired_quote(at(900).now));
}

#[test]
fn a_quote_for_something_else_is_refused() {
    let cart = empty();
    let wanted = cart.after(&Change::Add(line("LAMP", 2)), at(1).now).unwrap();
    let misquoted = |quote: PricedCart| cart.repriced(wanted.clone(), Some(&quote), at(1)).is_err();
    assert!(!misquoted(priced(&wanted.lines, 900)));
    assert!(misquoted(priced(&[line("LAMP", 3)], 900)), "another quantity");
    assert!(misquoted(priced(&[line("DESK", 2)], 900)), "another SKU");
    assert!(misquoted(priced(&[], 900)), "nothing");
    let good = priced(&wanted.lines, 900);
    assert!(misquoted(PricedCart { total: Money::new(1, Currency::Usd), ..good.clone() }), "a sum that is none");
    let yen = |line: &PricedLine| PricedLine { unit_price: Money::new(1_000, Currency::Jpy), ..line.clone() };
    assert!(misquoted(PricedCart { lines: good.lines.iter().map(yen).collect(), ..good }), "another currency");
    assert!(cart.repriced(wanted.clone(), None, at(1)).is_err(), "goods without a quote");
}

#[test]
fn the_tables_know_the_ends_of_a_cart() {
    for end in [CartStatus::CheckedOut, CartStatus::Expired] {
        assert!(states::allows("cart", CartStatus::Open, end));
        assert!(!states::allows("cart", end, CartStatus::Open));
    }
}
