//! First deliveries. An adjustment has no natural key of its own, so it is guarded twice: a key for runs of the same day, and a look at
//! the shelf for all that come later.

use inventory_api::{Adjust, Stock};

use super::{
    Effect, Row, Run,
    ask::{For, SeedError},
};
use crate::{
    manifest::Kind,
    plan::{PlannedStock, text},
    shop::{Call, Shop},
};

impl Row for PlannedStock {
    const KIND: Kind = Kind::Stock;

    async fn place<S: Shop>(&self, run: &Run<'_, S>, look: bool) -> Result<Effect, SeedError> {
        let asker = For { kind: Self::KIND, row: self.sku.as_str() };
        if look && self.is_on_the_shelf(run, asker).await? {
            return Ok(Effect::Found);
        }
        let delivery = Adjust {
            sku: self.sku.clone(),
            warehouse: self.warehouse.clone(),
            delta: self.units,
            reason: text::short("first delivery"),
            allow_shortfall: false,
        };
        let key = format!("seed-{}-{}-{}", run.seed, self.sku, self.warehouse);
        let told = run.ask(asker, Call::post("/inventory/adjust", &delivery).idempotency_key(key), &[]).await?;
        Ok(if told.answer.is_replayed() { Effect::Found } else { Effect::Created })
    }
}

impl PlannedStock {
    /// Whether this warehouse knows the SKU, be it sold out by now.
    async fn is_on_the_shelf<S: Shop>(&self, run: &Run<'_, S>, asker: For<'_>) -> Result<bool, SeedError> {
        let Some(told) = run.find(asker, format!("/inventory/{}", self.sku)).await? else { return Ok(false) };
        let stock: Stock = told.read("warehouses")?;
        Ok(stock.warehouses.iter().any(|shelf| shelf.warehouse == self.warehouse))
    }
}
