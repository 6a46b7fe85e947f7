//! Prices: of one SKU, of one SKU in many contexts with the reasons, of a whole cart.

use std::collections::{BTreeMap, BTreeSet};

use platform::{
    db::{DbError, Tx},
    http::Answer,
    idempotency::Key,
};
use pricing_api::{
    AppliedRule, CartLine, PriceCart, PricedCart, PricedLine, Quote, QuoteQuery, RuleVerdict, SimulateContext, SimulateRequest,
    SimulatedQuote, Simulation,
};
use types::{CartId, Currency, Money, Sku, Timestamp, id::Uuid};

use super::App;
use crate::{
    domain::{
        Context, DEFAULT_CHANNEL,
        cart::{self, Line},
        check::{self, Wrong},
        promotion::Promotion,
        rule::{self, Priced, Rule, Verdict},
    },
    error::PricingError,
    store,
};

/// How many lines a cart may have, and how many contexts and draft rules a simulation.
const MAX_LINES: usize = 100;
const MAX_CONTEXTS: usize = 50;
const MAX_DRAFTS: usize = 50;

impl App {
    /// The price of one SKU for one context.
    pub async fn quote(&self, sku: &Sku, query: QuoteQuery) -> Result<Quote, PricingError> {
        let mut wrong = Vec::new();
        check::word(query.customer_segment.as_ref(), "/customerSegment", &mut wrong);
        check::word(query.channel.as_ref(), "/channel", &mut wrong);
        PricingError::of(wrong)?;
        let now = self.clock.now();
        let latest = now.plus(self.config.quote_valid());
        let context = Context {
            segment: query.customer_segment,
            region: query.region,
            channel: query.channel.unwrap_or_else(|| DEFAULT_CHANNEL.to_owned()),
            quantity: query.quantity.map_or(1, |quantity| quantity.as_i64()),
            currency: query.currency.unwrap_or(Currency::Usd),
            time: now,
        };
        let (prices, mut rules) = self
            .db
            .read(async |tx: &mut Tx<'_>| -> Result<_, DbError> {
                let prices = store::book_prices(tx, context.currency, &[sku]).await?;
                Ok((prices, store::rules_about(tx, &[sku], now, latest).await?))
            })
            .await?;
        rule::sort(&mut rules);
        let rules: Vec<&Rule> = rules.iter().collect();
        let priced = rule::price(&rules, &context, prices.get(sku).copied())
            .ok_or_else(|| PricingError::Unpriced { sku: sku.clone(), currency: context.currency })?;
        self.counters.quotes.inc();
        Ok(quoted(sku, &rules, &priced, now, latest))
    }

    /// Tries a SKU's price out in contexts, with rules in force and rules that are only thought of, and tells why.
    pub async fn simulate(&self, sku: Sku, request: SimulateRequest, key: Option<Key>) -> Result<Answer, PricingError> {
        PricingError::of(wrong_simulation(&request))?;
        let drafts: Vec<Rule> = request.draft_rules.into_iter().map(|draft| self.rule_of(draft)).collect();
        self.computed(key, async || Ok(Answer::ok(&self.simulation(sku, request.contexts, drafts).await?)?)).await
    }

    async fn simulation(&self, sku: Sku, contexts: Vec<SimulateContext>, drafts: Vec<Rule>) -> Result<Simulation, PricingError> {
        let (prices, kept) = self
            .db
            .read(async |tx: &mut Tx<'_>| -> Result<_, DbError> {
                Ok((store::prices_of(tx, &sku).await?, store::rules_ever_about(tx, &sku).await?))
            })
            .await?;
        let draft_ids: BTreeSet<Uuid> = drafts.iter().map(|rule| rule.id).collect();
        let mut rules: Vec<Rule> = kept.into_iter().filter(|rule| !draft_ids.contains(&rule.id)).collect();
        let (drafts, strangers): (Vec<Rule>, Vec<Rule>) = drafts.into_iter().partition(|rule| rule.concerns(&sku));
        rules.extend(drafts);
        rule::sort(&mut rules);
        let rules: Vec<&Rule> = rules.iter().collect();
        let now = self.clock.now();
        let (mut quotes, mut unpriced) = (Vec::new(), Vec::new());
        for (index, asked) in contexts.into_iter().enumerate() {
            let context = context_of(&asked, now);
            match rule::price(&rules, &context, prices.get(&context.currency).copied()) {
                Some(priced) => {
                    let latest = context.time.plus(self.config.quote_valid());
                    let quote = quoted(&sku, &rules, &priced, context.time, latest);
                    let rules = rules.iter().zip(&priced.verdicts);
                    let rules = rules.map(|(rule, verdict)| told(rule, *verdict, &context, draft_ids.contains(&rule.id)));
                    let rules = rules.chain(strangers.iter().map(|rule| told(rule, Verdict::OtherSku, &context, true))).collect();
                    quotes.push(SimulatedQuote { context: asked, quote, rules });
                }
                None => unpriced.push((index, context.currency)),
            }
        }
        match (unpriced.first(), quotes.is_empty()) {
            (Some((_, currency)), true) => Err(PricingError::Unpriced { sku, currency: *currency }),
            (Some(_), false) => Err(PricingError::Invalid(
                unpriced
                    .into_iter()
                    .map(|(index, currency)| Wrong::new(format!("/contexts/{index}/currency"), format!("{sku} has no price in {currency}")))
                    .collect(),
            )),
            (None, _) => Ok(Simulation { sku, quotes }),
        }
    }

    /// Prices a cart. A coupon that this very cart has used up is not held against it.
    pub async fn price_cart(&self, request: PriceCart, cart: Option<CartId>, key: Option<Key>) -> Result<Answer, PricingError> {
        self.computed(key, async || Ok(Answer::ok(&self.priced_cart(request, cart).await?)?)).await
    }

    async fn priced_cart(&self, request: PriceCart, cart: Option<CartId>) -> Result<PricedCart, PricingError> {
        let mut wrong = Vec::new();
        check::word(request.customer_segment.as_ref(), "/customerSegment", &mut wrong);
        check::word(request.channel.as_ref(), "/channel", &mut wrong);
        if request.lines.len() > MAX_LINES {
            wrong.push(Wrong::new("/lines", format!("must be at most {MAX_LINES}")));
        }
        PricingError::of(wrong)?;
        let now = self.clock.now();
        let latest = now.plus(self.config.quote_valid());
        let known = self.read_cart(&request, cart, now, latest).await?;
        let mut context = Context {
            segment: request.customer_segment,
            region: Some(request.region),
            channel: request.channel.unwrap_or_else(|| DEFAULT_CHANNEL.to_owned()),
            quantity: 0,
            currency: request.currency,
            time: now,
        };
        let by_sku = by_sku(&request.lines, &known.rules);
        let (mut lines, mut priced, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for (index, line) in request.lines.iter().enumerate() {
            context.quantity = line.quantity.as_i64();
            let rules = by_sku.get(&line.sku).map(Vec::as_slice).unwrap_or_default();
            match rule::price(rules, &context, known.prices.get(&line.sku).copied()) {
                Some(price) => {
                    lines.push(Line { unit: price.unit, quantity: context.quantity });
                    priced.push((applied(rules, &price), price));
                }
                None => {
                    unknown.push(Wrong::new(format!("/lines/{index}/sku"), format!("{} has no price in {}", line.sku, request.currency)))
                }
            }
        }
        PricingError::of(unknown)?;
        context.quantity = request.lines.iter().map(|line| line.quantity.as_i64()).sum();
        let tariff = self.config.tariff(request.region, request.currency);
        let sums = cart::sums(&lines, &known.promotions, &context, tariff)
            .map_err(|_| PricingError::invalid("/lines", "cost more together than can be counted"))?;
        let bounds = known.rules.iter().map(Rule::bounds).chain(known.promotions.iter().map(Promotion::bounds));
        let valid_until = rule::valid_until(bounds, now, latest);
        let shown =
            request.lines.into_iter().zip(priced).zip(sums.lines).map(|((line, (applied_rules, price)), (discount, tax))| PricedLine {
                sku: line.sku,
                quantity: line.quantity,
                list_price: price.list,
                unit_price: price.unit,
                discount,
                tax,
                applied_rules,
            });
        self.counters.carts.inc();
        Ok(PricedCart {
            lines: shown.collect(),
            subtotal: sums.subtotal,
            discounts: sums.discounts,
            tax: sums.tax,
            shipping: sums.shipping,
            total: sums.total,
            quoted_at: now,
            valid_until,
        })
    }

    /// Everything that a cart's price depends on, as of one moment.
    async fn read_cart(&self, request: &PriceCart, cart: Option<CartId>, now: Timestamp, latest: Timestamp) -> Result<Known, PricingError> {
        let skus: Vec<&Sku> = request.lines.iter().map(|line| &line.sku).collect::<BTreeSet<_>>().into_iter().collect();
        self.db
            .read(async |tx: &mut Tx<'_>| -> Result<_, PricingError> {
                let (mut prices, mut rules) = (BTreeMap::new(), Vec::new());
                if !skus.is_empty() {
                    prices = store::book_prices(tx, request.currency, &skus).await?;
                    rules = store::rules_about(tx, &skus, now, latest).await?;
                    rule::sort(&mut rules);
                }
                let mut promotions = store::promotions::automatic(tx, now, latest).await?;
                if let Some(code) = &request.coupon {
                    let coupon = store::promotions::by_code(tx, code).await?;
                    let coupon = coupon.ok_or_else(|| PricingError::invalid("/coupon", format!("there is no coupon {code}")))?;
                    if !coupon.is_active(now) {
                        let detail = format!("{code} holds from {} to {}", coupon.starts_at, coupon.ends_at);
                        return Err(PricingError::invalid("/coupon", detail));
                    }
                    let is_own_use = match cart {
                        Some(cart) if coupon.is_used_up() => store::promotions::is_redeemed(tx, coupon.id, cart).await?,
                        _ => false,
                    };
                    if coupon.is_used_up() && !is_own_use {
                        return Err(PricingError::invalid("/coupon", format!("{code} has been used as often as it may be")));
                    }
                    promotions.push(coupon);
                }
                Ok(Known { prices, rules, promotions })
            })
            .await
    }
}

/// What a cart's price depends on.
struct Known {
    prices: BTreeMap<Sku, i64>,
    /// In the order in which they apply.
    rules: Vec<Rule>,
    promotions: Vec<Promotion>,
}

/// For each SKU of a cart the rules that concern it, in their order.
fn by_sku<'a>(lines: &'a [CartLine], rules: &'a [Rule]) -> BTreeMap<&'a Sku, Vec<&'a Rule>> {
    let mut by_sku: BTreeMap<&Sku, Vec<&Rule>> = lines.iter().map(|line| (&line.sku, Vec::new())).collect();
    for rule in rules {
        if rule.skus.is_empty() {
            by_sku.values_mut().for_each(|about| about.push(rule));
        }
        for sku in &rule.skus {
            if let Some(about) = by_sku.get_mut(sku) {
                about.push(rule);
            }
        }
    }
    by_sku
}

fn wrong_simulation(request: &SimulateRequest) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    if request.contexts.is_empty() || request.contexts.len() > MAX_CONTEXTS {
        wrong.push(Wrong::new("/contexts", format!("must be from 1 to {MAX_CONTEXTS}")));
        return wrong;
    }
    if request.draft_rules.len() > MAX_DRAFTS {
        wrong.push(Wrong::new("/draftRules", format!("must be at most {MAX_DRAFTS}")));
        return wrong;
    }
    for (index, context) in request.contexts.iter().enumerate() {
        check::word(context.customer_segment.as_ref(), &format!("/contexts/{index}/customerSegment"), &mut wrong);
        check::word(context.channel.as_ref(), &format!("/contexts/{index}/channel"), &mut wrong);
    }
    let mut ids = BTreeSet::new();
    for (index, draft) in request.draft_rules.iter().enumerate() {
        let at = |inner: Wrong| Wrong::new(format!("/draftRules/{index}{}", inner.pointer), inner.detail);
        wrong.extend(check::rule(draft).into_iter().map(at));
        if draft.id.is_some_and(|id| !ids.insert(id)) {
            wrong.push(Wrong::new(format!("/draftRules/{index}/id"), "is the id of a draft before it"));
        }
    }
    wrong
}

fn context_of(asked: &SimulateContext, now: Timestamp) -> Context {
    Context {
        segment: asked.customer_segment.clone(),
        region: asked.region,
        channel: asked.channel.clone().unwrap_or_else(|| DEFAULT_CHANNEL.to_owned()),
        quantity: asked.quantity.map_or(1, |quantity| quantity.as_i64()),
        currency: asked.currency.unwrap_or(Currency::Usd),
        time: asked.at.unwrap_or(now),
    }
}

fn quoted(sku: &Sku, rules: &[&Rule], priced: &Priced, now: Timestamp, latest: Timestamp) -> Quote {
    Quote {
        sku: sku.clone(),
        unit_price: priced.unit,
        list_price: priced.list,
        applied_rules: applied(rules, priced),
        quoted_at: now,
        valid_until: rule::valid_until(rules.iter().map(|rule| rule.bounds()), now, latest),
    }
}

fn applied(rules: &[&Rule], priced: &Priced) -> Vec<AppliedRule> {
    let applied = rules.iter().zip(&priced.verdicts).filter(|(_, verdict)| matches!(verdict, Verdict::Applied { .. }));
    applied.map(|(rule, _)| AppliedRule { rule_id: rule.id, name: rule.name.clone(), effect: rule.effect }).collect()
}

fn told(rule: &Rule, verdict: Verdict, context: &Context, draft: bool) -> RuleVerdict {
    let (reason, condition) = rule::reason(rule, verdict, context);
    let after = match verdict {
        Verdict::Applied { after } => Some(Money::new(after, context.currency)),
        _ => None,
    };
    RuleVerdict {
        rule_id: rule.id,
        name: rule.name.clone(),
        priority: rule.priority,
        exclusive: rule.exclusive,
        effect: rule.effect,
        draft,
        applied: after.is_some(),
        reason,
        condition,
        unit_price_after: after,
    }
}
