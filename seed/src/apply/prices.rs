//! Price books, rules and campaigns.

use pricing_api::{BookEntryRequest, PromotionRequest, RuleRequest};

use super::{
    Effect, Row, Run,
    ask::{For, SeedError},
};
use crate::{
    manifest::Kind,
    plan::PlannedPrice,
    shop::{Call, Shop},
};

/// Which campaigns without a code there are. These have no other natural key than their name, so the list is asked.
pub(super) async fn look_around<S: Shop>(run: &Run<'_, S>) -> Result<(), SeedError> {
    let asker = For { kind: Kind::Promotions, row: "all" };
    for promotion in run.list(asker, "/promotions").await? {
        if let (None, Some(name)) = (promotion["code"].as_str(), promotion["name"].as_str()) {
            run.known().campaigns.insert(name.to_owned());
        }
    }
    Ok(())
}

impl Row for PlannedPrice {
    const KIND: Kind = Kind::Prices;

    async fn place<S: Shop>(&self, run: &Run<'_, S>, look: bool) -> Result<Effect, SeedError> {
        let asker = For { kind: Self::KIND, row: self.sku.as_str() };
        let path = format!("/pricing/books/{}/entries/{}", self.book, self.sku);
        // An entry that somebody has changed since stays as it is.
        if look && run.find(asker, path.clone()).await?.is_some() {
            return Ok(Effect::Found);
        }
        run.ask(asker, Call::put(path, &BookEntryRequest { unit_price: self.unit_price }), &[]).await?;
        Ok(Effect::Created)
    }
}

impl Row for RuleRequest {
    const KIND: Kind = Kind::Rules;

    async fn place<S: Shop>(&self, run: &Run<'_, S>, _: bool) -> Result<Effect, SeedError> {
        let asker = For { kind: Self::KIND, row: self.name.as_str() };
        // Always asked for: there are few, and a POST would write over what somebody has changed.
        if let Some(id) = self.id
            && run.find(asker, format!("/pricing/rules/{id}")).await?.is_some()
        {
            return Ok(Effect::Found);
        }
        let told = run.ask(asker, Call::post("/pricing/rules", self), &[]).await?;
        // 200: there was one with this id.
        Ok(if told.answer.status == 201 { Effect::Created } else { Effect::Found })
    }
}

impl Row for PromotionRequest {
    const KIND: Kind = Kind::Promotions;

    async fn place<S: Shop>(&self, run: &Run<'_, S>, look: bool) -> Result<Effect, SeedError> {
        let asker = For { kind: Self::KIND, row: self.name.as_str() };
        let call = Call::post("/promotions", self);
        let Some(code) = &self.code else {
            if run.known().campaigns.contains(self.name.as_str()) {
                return Ok(Effect::Found);
            }
            // The key keeps two runs at the same time from making it twice.
            let key = format!("seed-campaign-{}", self.name.as_str().replace(' ', "-"));
            let told = run.ask(asker, call.idempotency_key(key), &[]).await?;
            return Ok(if told.answer.is_replayed() { Effect::Found } else { Effect::Created });
        };
        let path = format!("/promotions/{code}");
        if look && run.find(asker, path.clone()).await?.is_some() {
            return Ok(Effect::Found);
        }
        let told = run.ask(asker, call, &[409]).await?;
        if told.answer.status.is_success() {
            return Ok(Effect::Created);
        }
        match run.find(asker, path).await? {
            Some(_) => Ok(Effect::Found),
            None => Err(told.refused()),
        }
    }
}
