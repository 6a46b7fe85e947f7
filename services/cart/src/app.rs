//! The use cases: load, decide (domain), ask pricing what it costs, save and announce in one transaction.
//!
//! Pricing is asked before the transaction and outside of it. If the cart was changed meanwhile, nothing is saved and all of it is done
//! again; a caller who said which version it has seen is told instead.

use cart_api::{Cart as View, CreateCart, events::CartItemAdded};
use order_api::Orders;
use platform::{
    Clock, Ids,
    auth::Caller,
    db::{Db, Tx},
    event::Outbox,
    http::{Answer, IfMatch},
    idempotency::{Idempotency, Key},
    service::{BuildError, Env, Live},
    telemetry::metrics::{Counter, Family},
};
use pricing_api::Pricing;
use types::{CartId, CustomerId, id::Uuid};

use crate::{
    config::Config,
    domain::{Cart, Change, Moment},
    error::CartError,
    quoting::reprice,
    snapshot::Snapshots,
    store,
    turns::Turns,
};

/// How often a change is tried anew when another instance was faster. With two of them at it all the time, losing this often in a row
/// is one chance in four billion.
pub(crate) const TRIES: u32 = 32;
/// How many of a customer's carts are made anonymous at a time.
const ERASED_AT_ONCE: u32 = 200;

#[derive(Clone, Debug)]
pub struct App {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) outbox: Outbox,
    pub(crate) idempotency: Idempotency,
    pub(crate) pricing: Pricing,
    pub(crate) orders: Orders,
    pub(crate) snapshots: Snapshots,
    pub(crate) turns: Turns,
    pub(crate) checkouts: Family<Counter>,
    pub(crate) config: Live<Config>,
    ids: Ids,
}

impl App {
    pub fn new(env: &Env, config: Live<Config>) -> Result<Self, BuildError> {
        let outbox = env.outbox();
        outbox.register::<CartItemAdded>()?;
        outbox.register::<cart_api::events::CartCheckedOut>()?;
        Ok(Self {
            db: env.db(),
            clock: env.clock,
            outbox,
            idempotency: env.idempotency(),
            pricing: Pricing(env.client("pricing")),
            orders: Orders(env.client("order")),
            snapshots: Snapshots::new(env.cache.clone(), env.clock, config.get().cache_ttl(), &env.metrics),
            turns: Turns::default(),
            checkouts: env.metrics.counters("cart_checkouts_total", "Carts that were asked to check out, by what became of it."),
            config,
            ids: env.ids.clone(),
        })
    }

    /// A new cart (201), or the one that this session has open already (200) if it is a guest's or the caller's.
    pub async fn create(&self, request: CreateCart, key: Option<Key>, caller: Caller) -> Result<Answer, CartError> {
        let at = self.moment();
        let region = request.region.unwrap_or(types::Region::Us);
        let place = (region, request.currency.unwrap_or_else(|| region.currency()));
        let token = request.session_token.map_or_else(|| self.ids.make::<Uuid>().simple().to_string(), String::from);
        let fresh = Cart::new(self.ids.make(), request.customer_id, token, place, at);
        let key = about(key, request.customer_id);
        loop {
            let (fresh, caller) = (fresh.clone(), caller.clone());
            let made = self
                .idempotency
                .do_once::<CartError>(&self.db, key.clone(), async move |tx: &mut Tx<'_>| {
                    if let Some(open) = store::open_of_session(tx, &fresh.session_token).await? {
                        if !open.is_due(at.now) {
                            if open.customer_id.is_some() {
                                caller.must_own(open.customer_id, || CartError::UnknownSession)?;
                            }
                            return Ok(Answer::ok(&open.view())?.version(open.version));
                        }
                        store::expire(tx, open.id, at.now).await?;
                    }
                    store::insert(tx, &fresh).await?;
                    Ok(Answer::created(format!("/carts/{}", fresh.id), &fresh.view())?.version(fresh.version))
                })
                .await;
            match made {
                // Somebody opened a cart for this session between our look and our insert: it is there now.
                Err(CartError::Store(platform::db::DbError::Unique(_))) => {}
                made => return made,
            }
        }
    }

    /// A cart, from the cache if it is there.
    pub async fn get(&self, id: CartId) -> Result<View, CartError> {
        if let Some(view) = self.snapshots.get(id).await {
            return Ok(view);
        }
        let cart = self.db.read(async |tx: &mut Tx<'_>| store::by_id(tx, id).await).await?;
        self.shown(cart.ok_or(CartError::Unknown(id))?).await
    }

    /// The cart that this session has open; without one, its newest.
    pub async fn of_session(&self, token: &str) -> Result<View, CartError> {
        let cart = self
            .db
            .read(async |tx: &mut Tx<'_>| match store::open_of_session(tx, token).await? {
                Some(open) => Ok(Some(open)),
                None => store::newest_of_session(tx, token).await,
            })
            .await
            .map_err(CartError::Store)?;
        self.shown(cart.ok_or(CartError::UnknownSession)?).await
    }

    /// A cart that was read from the store, as it is shown: one whose time is over is noted as expired first.
    async fn shown(&self, mut cart: Cart) -> Result<View, CartError> {
        if cart.is_due(self.clock.now()) {
            self.expire(vec![cart.id]).await?;
            cart = self.load(cart.id).await?;
        }
        self.snapshots.keep(&cart).await;
        Ok(cart.view())
    }

    /// Changes an open cart and prices it anew. `seen` is the version that the caller has seen, if it says so.
    pub async fn change(&self, id: CartId, change: Change, seen: IfMatch, key: Option<Key>) -> Result<Answer, CartError> {
        let _turn = self.turns.take(id).await;
        for _ in 0..TRIES {
            if let Some(answer) = self.answered(key.as_ref()).await? {
                return Ok(answer);
            }
            let cart = self.load(id).await?;
            seen.check(cart.version)?;
            let at = self.moment();
            let wanted = cart.after(&change, at.now)?;
            let (next, mut notes) = reprice(&self.pricing, &cart, wanted, Some(&change), at).await?;
            notes.push(change.note(&cart));
            let added =
                if let Change::Add(line) = &change { next.item(&line.sku).map(|item| added(&next, item, line.quantity)) } else { None };
            self.snapshots.supersede(id, next.version).await;
            let answer = Answer::ok(&next.view())?.version(next.version);
            let key = about(key.clone(), cart.customer_id);
            let (outbox, saved) = (self.outbox.clone(), next.clone());
            let outcome = self
                .idempotency
                .do_once(&self.db, key, async move |tx: &mut Tx<'_>| {
                    if !store::save(tx, &saved, &notes).await? {
                        return Err(CartError::Raced);
                    }
                    if let Some(event) = &added {
                        outbox.add(tx, event).await?;
                    }
                    Ok(answer.clone())
                })
                .await;
            match outcome {
                Err(CartError::Raced) => {}
                Ok(answer) if answer.replayed => return Ok(answer),
                Ok(answer) => {
                    self.snapshots.keep(&next).await;
                    return Ok(answer);
                }
                Err(error) => return Err(error),
            }
        }
        Err(CartError::Raced)
    }

    /// Removes what is personal from a customer's carts and from the answers about them, and that they were this customer's; when it
    /// answers, the bytes are gone from the disk too. Says how many carts there were.
    pub async fn erase(&self, customer: CustomerId) -> Result<u32, CartError> {
        let mut records = 0_u32;
        loop {
            let carts = self.db.read(async |tx: &mut Tx<'_>| store::of_customer(tx, customer, ERASED_AT_ONCE).await).await?;
            if carts.is_empty() {
                let idempotency = self.idempotency.clone();
                self.db.write(async move |tx: &mut Tx<'_>| idempotency.forget_about(tx, customer).await).await?;
                self.db.checkpoint().await?;
                return Ok(records);
            }
            for (id, version) in &carts {
                self.snapshots.supersede(*id, version + 1).await;
            }
            let now = self.clock.now();
            let erased = self
                .db
                .write(async move |tx: &mut Tx<'_>| {
                    let mut erased = 0_u32;
                    for (id, version) in &carts {
                        // One that was changed meanwhile comes again in the next round.
                        erased += u32::from(store::erase(tx, *id, *version, now).await?);
                    }
                    Ok::<_, CartError>(erased)
                })
                .await?;
            records = records.saturating_add(erased);
        }
    }

    pub(crate) async fn load(&self, id: CartId) -> Result<Cart, CartError> {
        let cart = self.db.read(async |tx: &mut Tx<'_>| store::by_id(tx, id).await).await?;
        cart.ok_or(CartError::Unknown(id))
    }

    /// The answer that this key was given already.
    pub(crate) async fn answered(&self, key: Option<&Key>) -> Result<Option<Answer>, CartError> {
        match key {
            Some(key) => Ok(self.idempotency.answered(&self.db, key).await?),
            None => Ok(None),
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), ttl: self.config.get().cart_ttl() }
    }
}

/// The key, so that what is answered goes with the customer.
pub(crate) fn about(key: Option<Key>, customer: Option<CustomerId>) -> Option<Key> {
    match customer {
        Some(customer) => key.map(|key| key.about(customer)),
        None => key,
    }
}

fn added(cart: &Cart, item: &cart_api::CartItem, quantity: types::Quantity) -> CartItemAdded {
    CartItemAdded {
        cart_id: cart.id,
        customer_id: cart.customer_id,
        sku: item.sku.clone(),
        quantity,
        unit_price: item.unit_price,
        version: cart.version,
        at: cart.updated_at,
    }
}
