//! What holds of every price, tried with chance.

use pricing_api::{Effect, Expression, Field, Literal, RuleRequest};
use proptest::prelude::*;
use types::{BasisPoints, Currency, Money, Region, Sku, Timestamp, id::Uuid};

use super::{
    Context,
    cart::{Line, Tariff, sums},
    check, condition,
    promotion::Promotion,
    rule::{self, Rule, Verdict},
};

fn now() -> Timestamp {
    Timestamp::from_seconds(1_000_000)
}

fn money() -> impl Strategy<Value = Money> {
    (0..200_000_i64, prop::sample::select(vec![Currency::Usd, Currency::Usd, Currency::Usd, Currency::Jpy]))
        .prop_map(|(amount, currency)| Money::new(amount, currency))
}

fn effect() -> impl Strategy<Value = Effect> {
    prop_oneof![
        3 => (1..=10_000_u32).prop_map(|share| Effect::PercentOff(BasisPoints(share))),
        2 => money().prop_map(Effect::AmountOff),
        1 => money().prop_map(Effect::FixedPrice),
    ]
}

fn text(words: &[&str]) -> impl Strategy<Value = Literal> {
    prop::sample::select(words.iter().map(|word| Literal::Text((*word).to_owned())).collect::<Vec<_>>())
}

fn leaf() -> impl Strategy<Value = Expression> {
    let seconds = 999_990_i64..1_000_010;
    let time = seconds.prop_map(|seconds| Literal::Text(Timestamp::from_seconds(seconds).to_string()));
    prop_oneof![
        text(&["VIP", "NEW"]).prop_map(|word| Expression::Eq((Field::Segment, word))),
        prop::collection::vec(text(&["US", "EU", "APAC"]), 0..3).prop_map(|words| Expression::In((Field::Region, words))),
        text(&["web", "app"]).prop_map(|word| Expression::Eq((Field::Channel, word))),
        text(&["USD", "JPY"]).prop_map(|word| Expression::Eq((Field::Currency, word))),
        (0..20_i64).prop_map(|number| Expression::Gte((Field::Quantity, Literal::Number(number)))),
        (0..20_i64).prop_map(|number| Expression::Lt((Field::Quantity, Literal::Number(number)))),
        time.clone().prop_map(|time| Expression::Gte((Field::Time, time))),
        time.prop_map(|time| Expression::Eq((Field::Time, time))),
    ]
}

fn expression() -> impl Strategy<Value = Expression> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Expression::All),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Expression::Any),
            inner.prop_map(|part| Expression::Not(Box::new(part))),
        ]
    })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let moment = || prop::option::weighted(0.2, (999_990_i64..1_000_010).prop_map(Timestamp::from_seconds));
    let one = (any::<u128>(), -3..3_i32, prop::bool::weighted(0.15), prop::option::of(expression()), effect(), moment(), moment());
    let one = one.prop_map(|(id, priority, exclusive, when, effect, starts_at, ends_at)| Rule {
        id: Uuid::from_u128(id),
        name: "rule".into(),
        skus: Vec::new(),
        priority,
        exclusive,
        when,
        effect,
        starts_at,
        ends_at,
        version: 1,
    });
    prop::collection::vec(one, 0..8).prop_map(|mut rules| {
        rule::sort(&mut rules);
        rules
    })
}

fn context() -> impl Strategy<Value = Context> {
    let segment = prop::option::of(prop::sample::select(vec!["VIP".to_owned(), "NEW".to_owned()]));
    let region = prop::option::of(prop::sample::select(Region::ALL.to_vec()));
    let channel = prop::sample::select(vec!["web".to_owned(), "app".to_owned()]);
    (segment, region, channel, 1..20_i64).prop_map(|(segment, region, channel, quantity)| Context {
        segment,
        region,
        channel,
        quantity,
        currency: Currency::Usd,
        time: now(),
    })
}

/// The slow, obvious version: a rule at a time, by the sentences of the contract.
fn by_hand(rules: &[Rule], context: &Context, list: i64) -> i64 {
    let mut left: Vec<&Rule> = rules.iter().collect();
    let mut price = list;
    while !left.is_empty() {
        let first =
            left.iter().enumerate().max_by_key(|(_, rule)| (rule.priority, std::cmp::Reverse(rule.id))).map_or(0, |(index, _)| index);
        let rule = left.remove(first);
        let in_time = rule.starts_at.is_none_or(|start| start <= context.time) && rule.ends_at.is_none_or(|end| context.time < end);
        if !in_time || rule.when.as_ref().is_some_and(|when| !condition::holds(when, context)) {
            continue;
        }
        price = match rule.effect {
            Effect::PercentOff(share) => {
                let exact = i128::from(price) * i128::from(share.0);
                let (whole, rest) = (exact / 10_000, exact % 10_000);
                let is_up = rest > 5_000 || (rest == 5_000 && whole % 2 == 1);
                price - i64::try_from(whole + i128::from(is_up)).unwrap_or(0)
            }
            Effect::AmountOff(money) if money.currency == context.currency => (price - money.amount).max(0),
            Effect::FixedPrice(money) if money.currency == context.currency => money.amount,
            _ => continue,
        };
        if rule.exclusive {
            break;
        }
    }
    price
}

proptest! {
    #[test]
    fn a_price_is_what_the_rules_say_and_never_below_zero(mut rules in rules(), context in context(), list in 0..1_000_000_i64) {
        let sorted: Vec<&Rule> = rules.iter().collect();
        let priced = rule::price(&sorted, &context, Some(list)).expect("it has a list price");
        prop_assert!(priced.unit.amount >= 0);
        prop_assert_eq!(priced.list.amount, list);
        prop_assert_eq!(priced.unit.amount, by_hand(&rules, &context, list));
        rules.reverse();
        rule::sort(&mut rules);
        let again = rule::price(&rules.iter().collect::<Vec<_>>(), &context, Some(list)).expect("it has a list price");
        prop_assert_eq!(priced.unit, again.unit, "the order in which they were read does not matter");
    }

    #[test]
    fn an_explanation_agrees_with_the_price(rules in rules(), context in context(), list in 0..1_000_000_i64) {
        let sorted: Vec<&Rule> = rules.iter().collect();
        let priced = rule::price(&sorted, &context, Some(list)).expect("it has a list price");
        prop_assert_eq!(priced.verdicts.len(), rules.len());
        let last = priced.verdicts.iter().rev().find_map(|verdict| match verdict {
            Verdict::Applied { after } => Some(*after),
            _ => None,
        });
        prop_assert_eq!(last.unwrap_or(list), priced.unit.amount);
        // Nothing applies behind an exclusive rule that did, and everything behind it says so.
        let closed = sorted.iter().zip(&priced.verdicts).position(|(rule, verdict)| rule.exclusive && matches!(verdict, Verdict::Applied { .. }));
        for (index, verdict) in priced.verdicts.iter().enumerate() {
            prop_assert_eq!(*verdict == Verdict::Excluded, closed.is_some_and(|closed| index > closed));
        }
        for (rule, verdict) in sorted.iter().zip(&priced.verdicts) {
            let (reason, pointer) = rule::reason(rule, *verdict, &context);
            prop_assert!(!reason.is_empty());
            prop_assert_eq!(pointer.is_some(), *verdict == Verdict::Unmet);
        }
    }

    #[test]
    fn the_part_that_is_named_is_one_that_does_not_hold(expression in expression(), context in context()) {
        let unmet = condition::unmet(&expression, &context);
        prop_assert_eq!(unmet.is_none(), condition::holds(&expression, &context));
        if let Some(unmet) = unmet {
            let json = serde_json::to_value(&expression).expect("JSON");
            let (parent, word) = unmet.pointer.rsplit_once('/').expect("a pointer");
            let part = json.pointer(parent).expect("it points into the expression").clone();
            prop_assert!(part.get(word).is_some());
            let part: Expression = serde_json::from_value(part).expect("an expression");
            prop_assert!(!condition::holds(&part, &context));
        }
    }

    #[test]
    fn until_a_quote_ends_its_price_stays(rules in rules(), context in context(), list in 0..1_000_000_i64, share in 0.0..1.0_f64) {
        let sorted: Vec<&Rule> = rules.iter().collect();
        let latest = Timestamp::from_seconds(1_000_008);
        let until = rule::valid_until(sorted.iter().map(|rule| rule.bounds()), now(), latest);
        prop_assert!(until > now() && until <= latest);
        let before = rule::price(&sorted, &context, Some(list));
        #[expect(clippy::cast_possible_truncation, reason = "a share of some microseconds")]
        let offset = ((until.micros() - now().micros() - 1) as f64 * share) as i64;
        for time in [now().micros() + offset, until.micros() - 1] {
            let later = Context { time: Timestamp::from_micros(time), ..context.clone() };
            prop_assert_eq!(before.as_ref().map(|priced| priced.unit), rule::price(&sorted, &later, Some(list)).map(|priced| priced.unit));
        }
    }

    #[test]
    fn a_carts_sums_add_up(
        lines in prop::collection::vec((0..500_000_i64, 1..50_i64), 0..12),
        effects in prop::collection::vec(effect(), 0..5),
        tax in 0..=10_000_u32,
        context in context(),
    ) {
        let lines: Vec<Line> = lines.iter().map(|(unit, quantity)| Line { unit: Money::new(*unit, Currency::Usd), quantity: *quantity }).collect();
        let promotions: Vec<Promotion> = effects
            .into_iter()
            .map(|effect| Promotion {
                id: Uuid::nil(), code: None, name: "campaign".into(), when: None, effect,
                starts_at: Timestamp::from_seconds(0), ends_at: Timestamp::from_seconds(2_000_000), usage_limit: None, used: 0,
            })
            .collect();
        let tariff = Tariff { tax: BasisPoints(tax), shipping_minor: 599, free_shipping_from_minor: 100_000 };
        let sums = sums(&lines, &promotions, &context, tariff).expect("it fits");
        prop_assert_eq!(sums.subtotal.amount, lines.iter().map(|line| line.unit.amount * line.quantity).sum::<i64>());
        prop_assert!((0..=sums.subtotal.amount).contains(&sums.discounts.amount));
        prop_assert_eq!(sums.lines.iter().map(|(discount, _)| discount.amount).sum::<i64>(), sums.discounts.amount);
        prop_assert_eq!(sums.lines.iter().map(|(_, tax)| tax.amount).sum::<i64>(), sums.tax.amount);
        for (line, (discount, tax)) in lines.iter().zip(&sums.lines) {
            prop_assert!((0..=line.unit.amount * line.quantity).contains(&discount.amount), "no line pays for another");
            prop_assert!(tax.amount >= 0);
        }
        prop_assert_eq!(sums.total.amount, sums.subtotal.amount - sums.discounts.amount + sums.tax.amount + sums.shipping.amount);
        let is_free = lines.is_empty() || sums.subtotal.amount - sums.discounts.amount >= 100_000;
        prop_assert_eq!(sums.shipping.amount, if is_free { 0 } else { 599 });
    }

    #[test]
    fn what_is_refused_or_kept_is_evaluated_without_a_guess(expression in expression(), context in context()) {
        let mut wrong = Vec::new();
        check::expression_at("/when", &expression, &mut wrong);
        prop_assert!(wrong.is_empty(), "every part here is of its field's kind: {wrong:?}");
        let read: Expression = serde_json::from_str(&serde_json::to_string(&expression).expect("JSON")).expect("an expression");
        prop_assert_eq!(&read, &expression);
        prop_assert_eq!(condition::holds(&read, &context), condition::holds(&expression, &context));
    }
}

#[test]
fn a_tree_of_sixteen_is_deep_enough() {
    let deep = |depth: usize| {
        let leaf = Expression::Eq((Field::Channel, Literal::Text("web".into())));
        let when = (1..depth).fold(leaf, |inner, _| Expression::Not(Box::new(inner)));
        let mut wrong = Vec::new();
        check::expression_at("/when", &when, &mut wrong);
        wrong.len()
    };
    assert_eq!((deep(16), deep(17)), (0, 1));
    let wide = |values: usize| {
        let when = Expression::In((Field::Quantity, vec![Literal::Number(1); values]));
        let mut wrong = Vec::new();
        check::expression_at("/when", &when, &mut wrong);
        wrong.len()
    };
    assert_eq!((wide(199), wide(200)), (0, 1));
}

#[test]
fn a_rule_for_all_skus_does_not_make_a_price() {
    let context = Context {
        segment: None,
        region: None,
        channel: "web".into(),
        quantity: 1,
        currency: Currency::Usd,
        time: Timestamp::from_seconds(0),
    };
    let sku = Sku::new("LAMP").expect("a SKU");
    let rule = |skus: Vec<Sku>| Rule {
        id: Uuid::nil(),
        name: "fixed".into(),
        skus,
        priority: 1,
        exclusive: false,
        when: None,
        effect: Effect::FixedPrice(Money::new(5, Currency::Usd)),
        starts_at: None,
        ends_at: None,
        version: 1,
    };
    let price = |rule: &Rule| rule::price(&[rule], &context, None).map(|priced| priced.unit.amount);
    assert_eq!(price(&rule(Vec::new())), None);
    assert_eq!(price(&rule(vec![sku])), Some(5));
}

#[test]
fn the_contracts_json_is_read() {
    let rule: RuleRequest = serde_json::from_str(
        r#"{"name": "bulk", "sku": "LAMP", "priority": 5, "when": {"all": [{"eq": ["region", "EU"]}, {"gte": ["quantity", 10]}]},
            "effect": {"percentOff": 1000}, "startsAt": "2026-01-01T00:00:00Z"}"#,
    )
    .expect("a rule");
    assert!(check::rule(&rule).is_empty());
    assert_eq!(rule.effect, Effect::PercentOff(BasisPoints(1_000)));
}
