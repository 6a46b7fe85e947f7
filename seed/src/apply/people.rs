//! Customers and their carts. Both are made in more than one request, so a row that is found may be half made; it is finished only when
//! its own version says that nobody has touched it since.

use cart_api::{Cart, CartStatus, CreateCart};
use serde_json::json;

use super::{
    Effect, Row, Run,
    ask::{For, SeedError, Told},
};
use crate::{
    manifest::Kind,
    plan::{Person, PlannedCart},
    shop::{Call, Shop},
};

impl Row for Person {
    const KIND: Kind = Kind::Customers;

    async fn place<S: Shop>(&self, run: &Run<'_, S>, look: bool) -> Result<Effect, SeedError> {
        let asker = For { kind: Self::KIND, row: &self.email };
        if look && let Some(effect) = self.look_up(run, asker).await? {
            return Ok(effect);
        }
        let body = json!({
            "email": self.email,
            "fullName": self.full_name,
            "phone": self.phone,
            "region": self.region,
            "locale": self.locale,
            "addresses": self.addresses,
        });
        // A taken address is a conflict: somebody was faster.
        let told = run.ask(asker, Call::post("/customers", &body), &[409]).await?;
        if told.answer.status.is_success() {
            let id = told.field("id")?;
            run.known().customers.insert(self.email.clone(), id);
            self.assign_segments(run, asker, &id.to_string()).await?;
            return Ok(Effect::Created);
        }
        match self.look_up(run, asker).await? {
            Some(effect) => Ok(effect),
            None => Err(told.refused()),
        }
    }
}

impl Person {
    async fn look_up<S: Shop>(&self, run: &Run<'_, S>, asker: For<'_>) -> Result<Option<Effect>, SeedError> {
        let told = run.ask(asker, Call::get(format!("/customers?email={}", self.email)), &[404]).await?;
        let Some(customer) = told.answer.body["items"].get(0) else { return Ok(None) };
        let Some(Ok(id)) = customer["id"].as_str().map(str::parse::<types::CustomerId>) else {
            return Err(told.unreadable("items/0/id"));
        };
        run.known().customers.insert(self.email.clone(), id);
        let is_untouched = customer["createdAt"].is_string() && customer["createdAt"] == customer["updatedAt"];
        let has = |segment: &str| customer["segments"].as_array().is_some_and(|all| all.iter().any(|one| one == segment));
        if is_untouched && !self.segments.iter().all(|segment| has(segment)) {
            self.assign_segments(run, asker, &id.to_string()).await?;
            return Ok(Some(Effect::Completed));
        }
        Ok(Some(Effect::Found))
    }

    async fn assign_segments<S: Shop>(&self, run: &Run<'_, S>, asker: For<'_>, id: &str) -> Result<(), SeedError> {
        if !self.segments.is_empty() {
            let call = Call::post(format!("/customers/{id}/segments"), &json!({"segments": self.segments}));
            run.ask(asker, call, &[]).await?;
        }
        Ok(())
    }
}

impl Row for PlannedCart {
    const KIND: Kind = Kind::Carts;

    async fn place<S: Shop>(&self, run: &Run<'_, S>, look: bool) -> Result<Effect, SeedError> {
        let asker = For { kind: Self::KIND, row: self.session_token.as_str() };
        let token = &self.session_token;
        if look && let Some(told) = run.find(asker, format!("/carts/by-session/{token}")).await? {
            let is_changed = self.fill(run, asker, &told).await?;
            return Ok(if is_changed { Effect::Completed } else { Effect::Found });
        }
        let customer_id = self.customer.as_ref().and_then(|email| run.known().customers.get(email).copied());
        let body = CreateCart { customer_id, session_token: Some(token.clone()), currency: Some(self.currency), region: Some(self.region) };
        let told = run.ask(asker, Call::post("/carts", &body), &[]).await?;
        self.fill(run, asker, &told).await?;
        Ok(Effect::Created)
    }
}

impl PlannedCart {
    /// Puts in what is missing from an open cart that has seen fewer changes than the plan has lines; says whether there was any.
    async fn fill<S: Shop>(&self, run: &Run<'_, S>, asker: For<'_>, told: &Told<'_>) -> Result<bool, SeedError> {
        let cart: Cart = told.read("id")?;
        run.known().carts.insert(self.session_token.clone(), cart.id);
        let is_unfinished = cart.status == CartStatus::Open && usize::try_from(cart.version).unwrap_or(0) <= self.items.len();
        let mut is_changed = false;
        for item in self.items.iter().filter(|_| is_unfinished) {
            if cart.items.iter().all(|there| there.sku != item.sku) {
                let key = format!("seed-{}-{}", cart.id, item.sku);
                run.ask(asker, Call::post(format!("/carts/{}/items", cart.id), item).idempotency_key(key), &[]).await?;
                is_changed = true;
            }
        }
        Ok(is_changed)
    }
}
