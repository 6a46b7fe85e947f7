//! The use cases: load, decide (domain), save and announce in one transaction.

use std::{pin::pin, time::Duration};

use cart_api::{CartStatus, Carts, FrozenCart};
use inventory_api::{Inventory, ReserveItem};
use order_api::{
    CancelReason, CreateOrder, Order as View, OrderItem, OrderPayment, OrderShipment, OrderStatus, PaymentMethod, TimelineEntry,
};
use payment_api::Payments;
use platform::{
    Clock, Ids,
    auth::session_digest,
    db::{Db, DbError, Tx},
    http::Answer,
    idempotency::{Idempotency, Key},
    problem::Problem,
    service::{Background, BuildError, Env, Live, Progress},
};
use saga::{Runner, runner::Parts};
use types::{Address, CartId, CustomerId, OrderId};

use crate::{
    checkout::{self, Checkout, Data},
    config::{Config, PaymentNews},
    domain::{Order, Totals},
    error::OrderError,
    store,
    telling::{Teller, Told},
    waiting::Bells,
};

/// How often one who waits for an order looks by himself: another process of the service may have settled it, and rings nobody here.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub struct App {
    pub db: Db,
    pub clock: Clock,
    pub sagas: Runner<Checkout>,
    pub(crate) ids: Ids,
    pub teller: Teller,
    pub(crate) idempotency: Idempotency,
    bells: Bells,
    carts: Carts,
    config: Live<Config>,
}

impl App {
    pub fn new(env: &Env, config: Live<Config>) -> Result<Self, BuildError> {
        let outbox = env.outbox();
        outbox.register::<order_api::events::OrderCreated>()?;
        outbox.register::<order_api::events::OrderStatusChanged>()?;
        outbox.register::<order_api::events::OrderCreditGranted>()?;
        let teller = Teller::new(env, outbox, config.clone());
        let own = config.clone();
        let bells = Bells::default();
        let checkout = Checkout {
            clock: env.clock,
            config,
            inventory: Inventory(env.client("inventory")),
            payments: Payments(env.client("payment")),
            teller: teller.clone(),
            bells: bells.clone(),
        };
        let parts = Parts {
            table: checkout::TABLE,
            db: env.db(),
            clock: env.clock,
            chance: env.chance,
            tasks: env.tasks.clone(),
            leases: env.leases.clone(),
            contexts: env.contexts.clone(),
        };
        Ok(Self {
            db: env.db(),
            clock: env.clock,
            sagas: Runner::new(parts, checkout),
            ids: env.ids.clone(),
            teller,
            idempotency: env.idempotency(),
            bells,
            carts: Carts(env.client("cart")),
            config: own,
        })
    }

    /// Makes the order of a cart and sets its saga going. With `wait`, answers when that has ended or the time is up. With `buyer`, only of
    /// a cart that is this customer's.
    pub async fn create(
        &self,
        request: CreateOrder,
        key: Key,
        wait: Option<Duration>,
        buyer: Option<CustomerId>,
    ) -> Result<Answer, OrderError> {
        if let Some(answer) = self.idempotency.answered(&self.db, &key).await? {
            return Ok(answer);
        }
        let frozen = self.freeze(request.cart_id, buyer).await?;
        let token = key.token().to_owned();
        let stored = if wait.is_none() { Some(key.clone()) } else { None };
        let (id, answer) = self.insert(frozen, request.payment_method, request.shipping_address, token, stored).await?;
        self.sagas.kick(id.uuid());
        let Some(wait) = wait else { return Ok(answer) };
        let view = self.settled(id, wait).await?;
        let (idempotency, answer) = (self.idempotency.clone(), created(&view)?);
        self.db.write(async move |tx: &mut Tx<'_>| idempotency.keep(tx, Some(&key), answer.clone()).await).await
    }

    /// The order of a cart that was checked out but of which nothing was heard: made now if it is not there.
    pub async fn create_for_cart(&self, cart: CartId) -> Result<(), OrderError> {
        if store::is_ordered(&self.db, cart).await? {
            return Ok(());
        }
        let frozen = self.freeze(cart, None).await?;
        // Whoever made the order by POST /orders told us how it is paid; only a checkout of the cart leaves that with the cart.
        let Some(checkout) = frozen.checkout.clone() else { return Ok(()) };
        let made = self.insert(frozen, checkout.payment_method, checkout.shipping_address, format!("checkout-{cart}"), None).await;
        match made {
            Ok((id, _)) => {
                self.sagas.kick(id.uuid());
                Ok(())
            }
            Err(OrderError::CartOrdered { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn freeze(&self, cart: CartId, buyer: Option<CustomerId>) -> Result<FrozenCart, OrderError> {
        let frozen = self.carts.freeze(cart, buyer).await.map_err(|error| match error.refusal() {
            Some(problem) if problem.status == 404 => OrderError::UnknownCart(cart),
            Some(problem) => OrderError::CartRefused(problem.clone()),
            None => OrderError::Call(error),
        })?;
        if frozen.cart.status != CartStatus::CheckedOut {
            return Err(OrderError::CartUnfit("the cart is not checked out"));
        }
        if frozen.cart.items.is_empty() {
            return Err(OrderError::CartUnfit("the cart is empty"));
        }
        Ok(frozen)
    }

    async fn insert(
        &self,
        frozen: FrozenCart,
        method: PaymentMethod,
        address: Address,
        token: String,
        key: Option<Key>,
    ) -> Result<(OrderId, Answer), OrderError> {
        let this = self.clone();
        let id: OrderId = self.ids.make();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let order = this.new_order(id, &frozen, address.clone(), token.clone());
                let (told, first_state) = order.created();
                if !store::insert(tx, &order, &first_state).await? {
                    let gone = || DbError::NoRow(format!("the order of cart {}", order.cart_id));
                    let existing = store::by_cart(tx, order.cart_id).await?.ok_or_else(gone)?;
                    // The same request, said again while the first one's answer was lost.
                    if existing.request_token == token {
                        let existing = store::with_lines(tx, existing).await?;
                        return Ok((existing.id, created(&view(tx, &existing).await?)?));
                    }
                    return Err(OrderError::CartOrdered { cart: order.cart_id, order: existing.id });
                }
                let mut events = Told::default();
                this.teller.add(&mut events, &told)?;
                this.teller.add(&mut events, &first_state)?;
                this.teller.done(tx, events).await?;
                this.sagas.begin(tx, id.uuid(), &saga_data(&order, method.clone())).await?;
                let first = TimelineEntry { status: first_state.status, at: first_state.at, reason: first_state.reason };
                let answer = created(&shown(&order, vec![first]))?;
                Ok((id, this.idempotency.keep::<OrderError>(tx, key.as_ref(), answer).await?))
            })
            .await
    }

    fn new_order(&self, id: OrderId, frozen: &FrozenCart, address: Address, token: String) -> Order {
        let (cart, now) = (&frozen.cart, self.clock.now());
        Order {
            id,
            cart_id: cart.id,
            customer_id: cart.customer_id,
            guest_session: cart.customer_id.is_none().then(|| session_digest(&cart.session_token)),
            region: cart.region,
            currency: cart.currency,
            status: OrderStatus::Pending,
            items: cart
                .items
                .iter()
                .map(|item| OrderItem { sku: item.sku.clone(), quantity: item.quantity, unit_price: item.unit_price })
                .collect(),
            totals: Totals {
                subtotal: cart.subtotal.amount,
                discounts: cart.discounts.amount,
                tax: cart.tax.amount,
                shipping: cart.shipping.amount,
                total: cart.total.amount,
            },
            payment_id: None,
            payment_status: None,
            payment_refunded: 0,
            payment_version: 0,
            shipping_address: (!frozen.erased).then_some(address),
            cancel_note: None,
            request_token: token,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    pub async fn get(&self, id: OrderId) -> Result<View, OrderError> {
        self.db.read(async |tx: &mut Tx<'_>| one(tx, id).await).await
    }

    /// [`App::get`] for who is only shown it: a replica may answer.
    pub async fn shown(&self, id: OrderId) -> Result<View, OrderError> {
        self.db.look(async |tx: &mut Tx<'_>| one(tx, id).await).await
    }

    /// The digest of the session's token, of an order without a customer.
    pub async fn guest_session(&self, id: OrderId) -> Result<Option<String>, OrderError> {
        self.db.read(async |tx: &mut Tx<'_>| Ok(store::head(tx, id).await?.and_then(|order| order.guest_session))).await
    }

    /// A customer's orders, the newest first.
    pub async fn of_customer(&self, customer: CustomerId, before: i64, limit: u32) -> Result<Vec<(i64, View)>, OrderError> {
        self.db
            .look(async |tx: &mut Tx<'_>| {
                let mut views = Vec::new();
                for (seq, order) in store::of_customer(tx, customer, before, limit).await? {
                    views.push((seq, view(tx, &order).await?));
                }
                Ok(views)
            })
            .await
    }

    /// Undoes an order from wherever it stands, and answers when that is done (or still under way after `wait`).
    pub async fn cancel(&self, id: OrderId, note: Option<String>, key: Option<Key>, wait: Duration) -> Result<Answer, OrderError> {
        if let Some(key) = &key
            && let Some(answer) = self.idempotency.answered(&self.db, key).await?
        {
            return Ok(answer);
        }
        let this = self.clone();
        self.db
            .write(async move |tx: &mut Tx<'_>| {
                let order = store::by_id(tx, id).await?.ok_or(OrderError::Unknown(id))?;
                let aborted = order.can_be_cancelled() && this.sagas.abort(tx, id.uuid(), CancelReason::Customer.as_str()).await?;
                if !aborted {
                    return Err(OrderError::NotCancellable(order.status));
                }
                match &note {
                    Some(note) => Ok(store::note_cancel(tx, id, note).await?),
                    None => Ok(()),
                }
            })
            .await?;
        self.sagas.kick(id.uuid());
        let view = self.cancelled(id, wait).await?;
        let (idempotency, answer) = (self.idempotency.clone(), Answer::ok(&view)?.version(view.version));
        self.db.write(async move |tx: &mut Tx<'_>| idempotency.keep(tx, key.as_ref(), answer.clone()).await).await
    }

    /// Whether what is told of a payment is held against what was heard before.
    pub(crate) fn hears_only_news(&self) -> bool {
        self.config.get().payment_news == PaymentNews::Newest
    }

    /// An order once it has settled, or as it stands when the time is up.
    pub async fn settled(&self, id: OrderId, wait: Duration) -> Result<View, OrderError> {
        self.watch(id, wait, OrderStatus::is_settled).await
    }

    async fn cancelled(&self, id: OrderId, wait: Duration) -> Result<View, OrderError> {
        self.watch(id, wait, |status| status == OrderStatus::Cancelled).await
    }

    async fn watch(&self, id: OrderId, wait: Duration, is_there: impl Fn(OrderStatus) -> bool) -> Result<View, OrderError> {
        let until = self.clock.now().plus(wait);
        loop {
            let mut rung = pin!(self.bells.of(id).notified());
            rung.as_mut().enable();
            let is_over = self.clock.now() >= until;
            // While it is on its way nothing is asked for but how far it has come.
            let seen = async |tx: &mut Tx<'_>| -> Result<Option<View>, OrderError> {
                let order = store::head(tx, id).await?.ok_or(OrderError::Unknown(id))?;
                if !is_over && !is_there(order.status) {
                    return Ok(None);
                }
                let order = store::with_lines(tx, order).await?;
                view(tx, &order).await.map(Some)
            };
            if let Some(view) = self.db.read(seen).await? {
                return Ok(view);
            }
            // Rung or not, it is looked at once more.
            self.clock.timeout(until.since(self.clock.now()).min(LOOK), rung).await.unwrap_or(());
        }
    }

    /// How much a customer has bought.
    pub async fn summary(&self, customer: CustomerId) -> Result<order_api::client::CustomerSummary, OrderError> {
        let sums = self.db.read(async |tx: &mut Tx<'_>| store::summary(tx, customer).await).await?;
        Ok(order_api::client::CustomerSummary {
            orders: sums.iter().map(|(count, _)| count).sum(),
            spent: sums.into_iter().map(|(_, spent)| spent).collect(),
        })
    }

    /// Removes what is personal from a customer's orders; when it answers, the bytes are gone from the disk too.
    pub async fn erase(&self, customer: CustomerId) -> Result<u64, OrderError> {
        let now = self.clock.now();
        let records = self.db.write(async move |tx: &mut Tx<'_>| store::erase(tx, customer, now).await).await?;
        self.db.checkpoint().await?;
        Ok(records)
    }

    /// Forgets answers that are older than a day, once an hour.
    #[must_use]
    pub fn purge_work(&self) -> Background {
        let this = self.clone();
        Background::new("old answers", Duration::from_secs(3_600), None, move || {
            let this = this.clone();
            Box::pin(async move { this.idempotency.purge(&this.db).await.map(|_| Progress::Idle) })
        })
    }
}

fn saga_data(order: &Order, method: PaymentMethod) -> Data {
    Data {
        lines: order.items.iter().map(|item| ReserveItem { sku: item.sku.clone(), quantity: item.quantity }).collect(),
        region: order.region,
        total: order.money(order.totals.total),
        method,
        customer: order.customer_id,
        hold: None,
        secured: false,
        payment: None,
        payment_status: None,
        payment_refunded: 0,
        payment_version: 0,
        payment_began_at: None,
        paid_at: None,
    }
}

fn created(view: &View) -> Result<Answer, Problem> {
    Ok(Answer::created(format!("/orders/{}", view.id), view)?.version(view.version))
}

async fn one(tx: &mut Tx<'_>, id: OrderId) -> Result<View, OrderError> {
    let order = store::by_id(tx, id).await?.ok_or(OrderError::Unknown(id))?;
    view(tx, &order).await
}

/// The order as others see it.
async fn view(tx: &mut Tx<'_>, order: &Order) -> Result<View, OrderError> {
    let timeline = store::timeline(tx, order.id).await?;
    Ok(shown(order, timeline))
}

fn shown(order: &Order, timeline: Vec<TimelineEntry>) -> View {
    let totals = order.totals;
    View {
        id: order.id,
        cart_id: order.cart_id,
        customer_id: order.customer_id,
        region: order.region,
        status: order.status,
        items: order.items.clone(),
        subtotal: order.money(totals.subtotal),
        discounts: order.money(totals.discounts),
        tax: order.money(totals.tax),
        shipping: order.money(totals.shipping),
        total: order.money(totals.total),
        payment: order.payment_id.map(|id| OrderPayment {
            id,
            status: order.payment_status.clone().unwrap_or_default(),
            refunded: order.money(order.payment_refunded),
        }),
        shipment: OrderShipment::default(),
        timeline,
        version: order.version,
        created_at: order.created_at,
    }
}
