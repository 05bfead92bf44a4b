//! A shop to test in: a store with registers, products with stock, and a till that sends commands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::catalog::items::{location_item, product_item};
use tillstream_app::database::{Consistency, Database, Get, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::stock::counters::{Counters, Delta, Movement, stock_update};
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_app::{Ports, Result};
use tillstream_domain::kit::KitComponent;
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::money::Currency;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{Quantity, QuantityInput, Unit};

/// The store every shop begins with.
pub const STORE: &str = "s-1";

/// A shop of tenant `demo`.
#[derive(Clone)]
pub struct Shop {
    /// What its commands run on.
    pub ports: Ports,
    /// Its tenant.
    pub scope: TenantScope,
}

/// A caller with `roles` over all stores of a tenant.
pub fn caller(tenant_id: &str, roles: &[Role]) -> Caller {
    Caller {
        scope: TenantScope::from_own_record(tenant_id),
        subject: "e-1".to_owned(),
        roles: roles.iter().copied().collect::<BTreeSet<_>>(),
        stores: Stores::All,
        register_id: None,
    }
}

impl Shop {
    /// A shop with store [`STORE`] and registers `r-1` to `r-4`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn open(database: Arc<dyn Database>, environment: Arc<dyn Environment>) -> Result<Shop> {
        let shop =
            Shop { ports: Ports { database, environment }, scope: TenantScope::from_own_record("demo") };
        shop.store(STORE).await?;
        Ok(shop)
    }

    /// Adds a store with four registers.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn store(&self, id: &str) -> Result<()> {
        let location = Location {
            id: id.to_owned(),
            kind: LocationKind::Store,
            name: id.to_owned(),
            time_zone: "Europe/London".to_owned(),
            currency: Currency::GBP,
            business_day_start: "00:00".to_owned(),
            region: None,
            address: None,
            tax_number: None,
            capacity: None,
            hours: None,
            coordinates: None,
            stock: Default::default(),
            registers: (1..=4).map(|n| format!("r-{n}")).collect(),
            version: 1,
        };
        self.put(location_item(&self.scope, &location)?).await
    }

    async fn put(&self, item: tillstream_app::database::Item) -> Result<()> {
        Ok(self.ports.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await?)
    }

    /// A product sold by the piece, for GBP `price`.
    ///
    /// # Errors
    /// Of a malformed price.
    pub fn plain(sku: &str, price: &str) -> Result<Product> {
        Ok(Product {
            sku: sku.to_owned(),
            name: format!("Product {sku}"),
            unit_price: price.parse().map_err(tillstream_app::Error::bug)?,
            currency: Currency::GBP,
            stocked: true,
            unit: Unit::Piece,
            category: None,
            barcodes: Vec::new(),
            attributes: BTreeMap::new(),
            tax_category: None,
            tax_exempt: false,
            discountable: true,
            modifiers: vec![],
            components: vec![],
            variant_of: None,
            sellable: true,
            lots: false,
            version: 1,
        })
    }

    /// Writes a product as it is, over whatever stands there.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn put_product(&self, product: &Product) -> Result<()> {
        self.put(product_item(&self.scope, product)?).await
    }

    /// Adds a kit of so many pieces of each component, or makes it one of these from now on.
    ///
    /// # Errors
    /// Those of the database, or of a malformed price.
    pub async fn kit(&self, sku: &str, price: &str, components: &[(&str, i64)]) -> Result<()> {
        let component = |(sku, pieces): &(&str, i64)| KitComponent {
            sku: (*sku).to_owned(),
            quantity: QuantityInput::Whole(*pieces),
        };
        let components = components.iter().map(component).collect();
        self.put_product(&Product { components, ..Self::plain(sku, price)? }).await
    }

    /// Adds a product sold by the piece, with `pieces` of it in `store_id`.
    ///
    /// # Errors
    /// Those of the database, or of a malformed price.
    pub async fn product(&self, store_id: &str, sku: &str, price: &str, pieces: i64) -> Result<()> {
        self.named_product(store_id, sku, &format!("Product {sku}"), price, pieces).await
    }

    /// As [`Self::product`], with a name: carts and orders hold it, so its length is part of what they cost.
    ///
    /// # Errors
    /// Those of the database, or of a malformed price.
    pub async fn named_product(
        &self,
        store_id: &str,
        sku: &str,
        name: &str,
        price: &str,
        pieces: i64,
    ) -> Result<()> {
        self.put_product(&Product { name: name.to_owned(), ..Self::plain(sku, price)? }).await?;
        let movement = Movement {
            kind: "sync",
            reference: "opening".to_owned(),
            actor: "test".to_owned(),
            at: self.ports.environment.now(),
            reason: None,
        };
        let quantity = Quantity::from_pieces(pieces).map_err(tillstream_app::Error::bug)?;
        let update =
            stock_update(&self.scope, store_id, sku, Delta::restock(quantity), &movement, vec![], vec![]);
        Ok(self.ports.database.write(update).await?)
    }

    /// The counters of a SKU in a store.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn counters(&self, store_id: &str, sku: &str) -> Result<Counters> {
        let key = self.scope.stock(store_id, sku);
        let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
        let item = self.ports.database.get(get).await?;
        item.map_or_else(|| Ok(Counters::default()), |item| Counters::of(&item))
    }

    /// Sends a command of register `r-1` as an operator.
    ///
    /// # Errors
    /// What the command is refused for.
    pub async fn command(&self, key: &str, action: &str, payload: Value) -> Result<Answered> {
        self.at("r-1", key, action, payload).await
    }

    /// Sends a command of a register as an operator.
    ///
    /// # Errors
    /// What the command is refused for.
    pub async fn at(&self, register: &str, key: &str, action: &str, payload: Value) -> Result<Answered> {
        let sent = envelope(STORE, register, key, action, payload);
        execute(&self.ports, &caller("demo", &[Role::Operator]), sent).await
    }

    /// Opens a cart, adds `lines` (SKU, pieces), tenders and pays by card; the cart is ready to finalise.
    ///
    /// # Errors
    /// What any of the commands is refused for.
    pub async fn ready(&self, register: &str, cart: &str, lines: &[(&str, i64)]) -> Result<()> {
        self.at(register, &format!("{cart}-open"), "create_cart", json!({"cart_id": cart})).await?;
        for (n, (sku, pieces)) in lines.iter().enumerate() {
            let payload = json!({"cart_id": cart, "sku": sku, "quantity": pieces});
            self.at(register, &format!("{cart}-line-{n}"), "add_line_item", payload).await?;
        }
        let tendering = json!({"cart_id": cart});
        let answered = self.at(register, &format!("{cart}-tender"), "set_tendering", tendering).await?;
        let due = answered.reply.cart.map_or(0, |cart| cart.totals.due.amount);
        if due > 0 {
            let amount = json!({"amount": due, "currency": "GBP"});
            let payload = json!({"cart_id": cart, "tender": "card", "amount": amount});
            self.at(register, &format!("{cart}-pay"), "add_payment", payload).await?;
        }
        Ok(())
    }

    /// Finalises a cart of a register.
    ///
    /// # Errors
    /// What the command is refused for.
    pub async fn finalize(&self, register: &str, cart: &str) -> Result<Answered> {
        self.at(register, &format!("{cart}-final"), "finalize_order", json!({"cart_id": cart})).await
    }
}

/// An envelope.
pub fn envelope(store: &str, register: &str, key: &str, action: &str, payload: Value) -> Value {
    json!({
        "version": "1",
        "idempotency_key": key,
        "store_id": store,
        "register_id": register,
        "employee_id": "e-7",
        "occurred_at": "2010-12-01T08:26:00Z",
        "action": action,
        "payload": payload,
    })
}
