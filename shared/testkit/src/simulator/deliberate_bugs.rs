//! Bugs to switch on by name, so that it is known that the simulator finds such.
//!
//! They sit at the ports: a write that lacks a condition, a record that is taken for done too early. To
//! the tables and to everybody else that is what the same bug in the code would be, and the code stays
//! free of it.

mod bugs;
mod lots;
mod restores_rules_and_feeds;
mod sending;
mod supplies;
mod tills_and_policies;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tillstream_app::database::{
    Change, Condition, Database, DatabaseError, Get, Item, Key, Partition, Query, QueryPage, Table, Value,
    Write,
};
use tillstream_app::dispatch::transport::HqTransport;
use tillstream_app::ports::EventStream;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_domain::cart::{Applied, CartKind};
use tillstream_domain::compact;

pub use self::bugs::Bug;
use self::sending::{BuggyLine, BuggyStream};
use super::chance::Chance;
use super::network::HqLine;
use crate::item_name::item_name;
use crate::memory_messaging::MemoryStream;

impl Bug {
    /// Its name on the command line.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The bug of a name.
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.iter().copied().find(|bug| bug.name() == name)
    }

    pub(super) fn database(
        bug: Option<Bug>,
        inner: Arc<dyn Database>,
        chance: Arc<Chance>,
    ) -> Arc<dyn Database> {
        match bug {
            Some(bug) => Arc::new(BuggyDatabase {
                bug,
                inner,
                chance,
                order: Mutex::default(),
                before: Mutex::default(),
                rules: Mutex::default(),
            }),
            None => inner,
        }
    }

    pub(super) fn stream(bug: Option<Bug>, inner: Arc<MemoryStream>) -> Arc<dyn EventStream> {
        match bug {
            Some(bug) => Arc::new(BuggyStream { bug, inner }),
            None => inner,
        }
    }

    pub(super) fn transport(bug: Option<Bug>, inner: Arc<HqLine>) -> Arc<dyn HqTransport> {
        match bug {
            Some(bug) => Arc::new(BuggyLine { bug, inner }),
            None => inner,
        }
    }
}

struct BuggyDatabase {
    bug: Bug,
    inner: Arc<dyn Database>,
    chance: Arc<Chance>,
    /// The last order that became final.
    order: Mutex<Option<Item>>,
    /// The key of the last write.
    before: Mutex<String>,
    /// Tenants' rules as they were read first, by partition.
    rules: Mutex<BTreeMap<Partition, QueryPage>>,
}

fn forget_condition(write: &mut Write) {
    match write {
        Write::Put { condition, .. } | Write::Update { condition, .. } | Write::Delete { condition, .. } => {
            *condition = None;
        }
        Write::Check { .. } => {}
    }
}

fn forget_changes(write: &mut Write, of: &[&str]) {
    if let Write::Update { changes, .. } = write {
        changes.retain(|change| match change {
            Change::Add(name, _) | Change::Set(name, _) | Change::SetIfAbsent(name, _) => !of.contains(name),
            Change::Remove(_) => true,
        });
    }
}

/// A condition without those parts of it that `is_it`.
fn without(condition: Condition, is_it: &impl Fn(&Condition) -> bool) -> Condition {
    match condition {
        Condition::All(all) => {
            Condition::All(all.into_iter().filter(|one| !is_it(one)).map(|one| without(one, is_it)).collect())
        }
        other => other,
    }
}

fn forget_part_of_condition(write: &mut Write, is_it: impl Fn(&Condition) -> bool) {
    if let Write::Update { condition, .. } = write {
        *condition = condition.take().map(|condition| without(condition, &is_it));
    }
}

impl BuggyDatabase {
    /// Looks for products in the first tenant's catalogue.
    fn mistake_tenant(&self, gets: &mut [Get]) {
        if self.bug != Bug::CatalogueOfAnotherTenant {
            return;
        }
        for get in gets.iter_mut().filter(|get| get.table == Table::Catalog && get.key.sk() == "product") {
            let pk = get.key.pk().replacen("globex#", "acme#", 1).replacen("mallory#", "acme#", 1);
            let other = Item::default().with("pk", pk).with("sk", get.key.sk());
            if let Ok(key) = Key::of(&other) {
                get.key = key;
            }
        }
    }

    /// What the bug makes of a write; `false` where it forgets it altogether.
    fn distort(&self, write: &mut Write) -> bool {
        let (table, pk, sk) = item_name(write);
        let is_cart = table == Table::Orders && sk == "cart";
        let is_lane = table == Table::Orders && sk == "lane";
        let is_stock = table == Table::Stock && sk == "stock";
        let is_first_part = is_stock && adds_to(write, "version_offset");
        let is_product = table == Table::Catalog && sk == "product";
        let is_completeness = table == Table::Analytics && sk == "complete";
        let is_coarse_page = table == Table::Analytics && sk.starts_with("coarse-");
        let is_page = table == Table::Analytics && (sk.starts_with("hour#") || sk.starts_with("products#"));
        match self.bug {
            Bug::CartVersionUnchecked if is_cart => forget_condition(write),
            Bug::CartForgetsItsKeys if is_cart => {
                if let (Write::Put { item, .. }, Ok(keys)) = (write, compact::encode(&Applied::default())) {
                    item.0.insert("keys".to_owned(), Value::B(keys));
                }
            }
            Bug::LaneNumberUnchecked if is_lane => forget_condition(write),
            Bug::CashNotCounted if is_lane => forget_changes(write, &["cash_paid"]),
            Bug::ShiftClosedOverSales if is_lane => {
                let closes = |change: &Change| matches!(change, Change::Remove("shift_id"));
                if matches!(write, Write::Update { changes, .. } if changes.iter().any(closes)) {
                    forget_condition(write);
                }
            }
            Bug::ShiftOpenedOverAnother if is_lane => {
                let opens = |change: &Change| matches!(change, Change::Set("shift_id", _));
                if matches!(write, Write::Update { changes, .. } if changes.iter().any(opens)) {
                    forget_condition(write);
                }
            }
            Bug::LaneNumberNotCounted if is_lane => forget_changes(write, &["last"]),
            Bug::StockUnchecked if is_stock => {
                forget_part_of_condition(write, |one| matches!(one, Condition::Ge("available", _)));
            }
            Bug::SplitKeepsWhatItGives if is_first_part && is_movement(write, "split") => {
                forget_changes(write, &["on_hand", "available", "last_on_hand"]);
            }
            Bug::MergeForgetsItsParts if is_first_part && is_movement(write, "merge") => {
                forget_changes(write, &["on_hand", "available", "last_on_hand"]);
            }
            Bug::AvailableForgotten if is_stock && is_movement(write, "sale") => {
                forget_changes(write, &["available"]);
            }
            Bug::MovementNotCounted if is_stock && is_movement(write, "adjustment") => {
                forget_changes(write, &["seq"]);
            }
            Bug::MovementForgetsItsDelta if is_stock && is_movement(write, "return") => {
                forget_changes(write, &["last_on_hand"]);
            }
            Bug::ReservedForgotten if is_stock && is_movement(write, "commit") => {
                forget_changes(write, &["reserved", "available", "last_reserved"]);
                if let Write::Update { changes, .. } = write {
                    let taken = changes.iter().find_map(|change| match change {
                        Change::Add("on_hand", by) => Some(*by),
                        _ => None,
                    });
                    changes.push(Change::Set("last_reserved", Value::N(0)));
                    changes.extend(taken.map(|by| Change::Add("available", by)));
                }
            }
            Bug::ReservationOverwritten if pk.contains("#reservation#") || pk.contains("#holds#") => {
                if matches!(write, Write::Put { .. }) {
                    forget_condition(write);
                }
            }
            Bug::HoldGivenBackTwice if table == Table::Stock && pk.contains("#holds#") => {
                if matches!(write, Write::Delete { .. }) {
                    forget_condition(write);
                }
            }
            Bug::UpdateRecordForgotten if table == Table::Stock && sk == "update" => return false,
            Bug::ParkedMarkerStays if pk.contains("#parked-carts#") => {
                return !matches!(write, Write::Delete { .. });
            }
            Bug::ApprovalUsedTwice
                if sk == "approval"
                    && matches!(write, Write::Put { item, .. } if item.get("used").is_some()) =>
            {
                forget_condition(write);
            }
            Bug::ExceptionForgotten if sk == "exception" => {
                return !sets(write, &Change::Set("kind", "oversold_offline".into()));
            }
            Bug::ExceptionResolvedTwice
                if sk == "exception" && sets(write, &Change::Set("state", "resolved".into())) =>
            {
                forget_condition(write);
            }
            Bug::ReturnedUnchecked if sk == "returned" => forget_condition(write),
            Bug::UndoingUnchecked
                if sk == "returned"
                    && matches!(write, Write::Put { item, .. } if item.get("undone").is_some()) =>
            {
                forget_condition(write);
            }
            Bug::UndoneOrderStands if is_cart => return !is_undone(write),
            Bug::UsesUnchecked if sk == "uses" => forget_condition(write),
            Bug::UsesNotGivenBack if sk == "uses" => return !lowers(write, "used"),
            Bug::OfflineUseNotCounted if sk == "uses" => return !is_above_limit(write),
            Bug::UsesAboveLimitForgotten if sk == "exception" => {
                return !sets(write, &Change::Set("kind", "uses_above_limit".into()));
            }
            Bug::BalanceUnchecked if sk == "balance" => {
                forget_part_of_condition(write, |one| matches!(one, Condition::Ge("balance", _)));
            }
            Bug::GiftCardRequestForgotten if pk.contains("#stored-value#") && sk.starts_with("change#") => {
                return false;
            }
            Bug::GiftCardNotTaken if sk == "balance" => return !lowers(write, "balance"),
            Bug::ExchangeForgetsReturn if is_cart && is_exchanged_return(write) => return false,
            Bug::TransferVersionUnchecked if sk == "transfer" => forget_condition(write),
            Bug::ShippedAndStillThere if is_stock && is_movement(write, "transfer_ship") => {
                return !lowers(write, "on_hand");
            }
            Bug::PageVersionUnchecked if is_page => forget_condition(write),
            Bug::CoarsePageForgotten if is_coarse_page => return false,
            Bug::DeliveryNeverDue if table == Table::Dispatch => {
                if let Write::Put { item, .. } = write
                    && item.get("lane_number").is_some()
                {
                    item.0.remove("due_pk");
                }
            }
            Bug::WatermarkDropped if is_completeness => return false,
            Bug::WatermarkVersionUnchecked if is_completeness => forget_condition(write),
            Bug::FeedVersionUnchecked if is_product && !is_put_by_hand(write) => forget_condition(write),
            Bug::ProductVersionUnchecked if is_product && is_put_by_hand(write) => forget_condition(write),
            Bug::PricesVersionUnchecked if table == Table::Catalog && sk == "prices" => {
                forget_condition(write)
            }
            Bug::LocationOverwritten if table == Table::Catalog && sk == "location" => {
                forget_condition(write)
            }
            Bug::TotalRoundedPerOrder if is_cart => {
                if let Write::Put { item, .. } = write
                    && let Some(total) = rounded_once(item)
                {
                    item.0.insert("total".to_owned(), Value::N(total));
                }
            }
            Bug::ReturnForgetsDiscount if is_cart => {
                if let Write::Put { item, .. } = write
                    && item.opt_text("kind") == Some("return")
                {
                    item.0.remove("charged");
                }
            }
            Bug::ReturnForgetsKits if is_cart => {
                if let Write::Put { item, .. } = write
                    && item.opt_text("kind") == Some("return")
                {
                    item.0.remove("kits");
                }
            }
            Bug::OrderRewritten if is_cart => {
                if let Write::Put { item, .. } = write
                    && item.opt_number("lane_number").is_some()
                {
                    *self.order.lock().unwrap_or_else(PoisonError::into_inner) = Some(item.clone());
                }
            }
            _ => {
                return self.distort_more(write, (table, &sk))
                    && self.distort_policies(write, &sk)
                    && self.distort_supplies(write, (table, &sk))
                    && self.distort_lots(write, is_stock);
            }
        }
        true
    }

    /// Changes the last final order, now and then.
    async fn rewrite_an_order(&self) -> Result<(), DatabaseError> {
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_written = |order: &Item| order.opt_number("lane_number").is_some();
        let Some(order) = order.filter(is_written).filter(|_| self.chance.percent(5)) else { return Ok(()) };
        let Ok(key) = Key::of(&order) else { return Ok(()) };
        // Not before it is there: its transaction may have been cancelled.
        let condition = Some(Condition::Has("lane_number"));
        let changes = vec![Change::Set("total", Value::N(1))];
        match self.inner.write(Write::Update { table: Table::Orders, key, changes, condition }).await {
            Err(DatabaseError::ConditionFailed(_)) => Ok(()),
            other => other,
        }
    }

    fn distort_all(&self, mut writes: Vec<Write>) -> Vec<Write> {
        if self.bug == Bug::StockOfOneLineForgotten && writes.len() > 4 {
            let is_sale = |write: &Write| item_name(write).2 == "stock" && is_movement(write, "sale");
            if let Some(at) = writes.iter().position(is_sale) {
                writes.remove(at);
            }
        }
        if self.bug == Bug::KitComponentForgotten
            && let Some(sku) = writes.iter().find_map(component_sold)
        {
            writes.retain(|write| {
                let (_, pk, sk) = item_name(write);
                !(sk == "stock" && pk.ends_with(&format!("#{sku}")) && is_movement(write, "sale"))
            });
        }
        if self.bug == Bug::SettlementForgetsStock {
            let settles = writes.iter().any(|write| match write {
                Write::Update { key, changes, .. } => {
                    key.sk().starts_with("chunk#")
                        && changes.contains(&Change::Set("state", Value::S("settled".to_owned())))
                }
                _ => false,
            });
            if settles {
                writes.retain(|write| item_name(write).2 != "stock");
            }
        }
        self.forget_supplies(&mut writes);
        self.forget_cart_holds(&mut writes);
        self.forget_recalls(&mut writes);
        writes.retain_mut(|write| self.distort(write));
        writes
    }
}

/// As if every price had always been valid, until it is not any more.
fn forget_valid_from(item: &mut Item) {
    if item.opt_text("kind") == Some("prices")
        && let Some(mut entries) =
            item.opt_text("data").and_then(|data| serde_json::from_str::<Vec<serde_json::Value>>(data).ok())
    {
        for entry in entries.iter_mut().filter_map(serde_json::Value::as_object_mut) {
            entry.remove("valid_from");
        }
        item.0.insert("data".to_owned(), Value::S(serde_json::Value::from(entries).to_string()));
    }
}

/// As if what was denied had been granted.
fn take_for_granted(item: &mut Item) {
    if item.opt_text("kind") == Some("approval")
        && let Some(decision) = item.opt_text("decision")
    {
        let granted = decision.replace("\"granted\":false", "\"granted\":true");
        item.0.insert("decision".to_owned(), Value::S(granted));
    }
}

/// What an order comes to where its lines are added up before they are rounded; none where it is no order, or a
/// return, whose lines are worth what is left of the sale's.
fn rounded_once(item: &Item) -> Option<i64> {
    item.opt_number("lane_number")?;
    let cart = cart_of(item).ok().filter(|cart| cart.kind == CartKind::Sale)?;
    // Prices are ten-thousandths of a unit of money, quantities thousandths: of a hundredth, 10⁵ parts.
    let exact = cart
        .lines
        .iter()
        .map(|line| i128::from(line.unit_price.ten_thousandths()) * i128::from(line.quantity.thousandths()));
    let off = cart.totals().ok()?.discount;
    i64::try_from((exact.sum::<i128>() + 50_000) / 100_000 - i128::from(off)).ok()
}

fn adds_to(write: &Write, attribute: &str) -> bool {
    match write {
        Write::Update { changes, .. } => {
            changes.iter().any(|change| matches!(change, Change::Add(name, _) if *name == attribute))
        }
        _ => false,
    }
}

fn sets(write: &Write, wanted: &Change) -> bool {
    matches!(write, Write::Update { changes, .. } if changes.contains(wanted))
}

fn lowers(write: &Write, attribute: &str) -> bool {
    match write {
        Write::Update { changes, .. } => changes
            .iter()
            .any(|change| matches!(change, Change::Add(name, by) if *name == attribute && *by < 0)),
        _ => false,
    }
}

/// Whether a use is counted that its limit does not allow: on what is used already, not on what there may be.
fn is_above_limit(write: &Write) -> bool {
    matches!(
        write,
        Write::Update {
            condition: Some(Condition::Ge("used", _) | Condition::Eq("used", _) | Condition::Lacks("used")),
            ..
        }
    )
}

/// Whether an order is written to stand where all of it went back.
fn is_undone(write: &Write) -> bool {
    match write {
        Write::Update { changes, .. } => changes.iter().any(|change| {
            ["voided", "cancelled"].iter().any(|status| *change == Change::Set("status", (*status).into()))
        }),
        _ => false,
    }
}

/// The first component of the first kit of a sale that is made final.
fn component_sold(write: &Write) -> Option<String> {
    let Write::Put { item, .. } = write else { return None };
    item.opt_number("lane_number").and(item.get("kits"))?;
    let cart = cart_of(item).ok().filter(|cart| cart.kind == CartKind::Sale)?;
    let mut components = cart.lines.iter().flat_map(|line| cart.components_of(line));
    components.next().map(|(sku, ..)| sku.to_owned())
}

/// Whether it makes a return final that is half of an exchange.
fn is_exchanged_return(write: &Write) -> bool {
    matches!(write, Write::Put { item, .. } if item.get("exchange").is_some()
        && cart_of(item).is_ok_and(|cart| cart.kind == CartKind::Return))
}

/// Whether a product or location is written by a request, which leaves its key there, not by a feed.
fn is_put_by_hand(write: &Write) -> bool {
    matches!(write, Write::Put { item, .. } if item.get("puts").is_some())
}

fn is_movement(write: &Write, kind: &str) -> bool {
    match write {
        Write::Update { changes, .. } => {
            changes.contains(&Change::Set("last_kind", Value::S(kind.to_owned())))
        }
        _ => false,
    }
}

#[async_trait]
impl Database for BuggyDatabase {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.inner.get(get).await
    }

    async fn get_many(&self, mut gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.mistake_tenant(&mut gets);
        let mut items = self.inner.get_many(gets).await?;
        if self.bug == Bug::FuturePriceCharged {
            items.iter_mut().flatten().for_each(forget_valid_from);
        }
        if self.bug == Bug::DeniedApprovalGranted {
            items.iter_mut().flatten().for_each(take_for_granted);
        }
        items.iter_mut().flatten().for_each(|item| self.misread(item));
        Ok(items)
    }

    async fn get_together(&self, mut gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.mistake_tenant(&mut gets);
        self.inner.get_together(gets).await
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.query_wrongly(self.ask_wrongly(query)).await
    }

    async fn write(&self, mut write: Write) -> Result<(), DatabaseError> {
        if self.bug == Bug::OrderRewritten {
            self.rewrite_an_order().await?;
        }
        if self.bug == Bug::LogLineOfTheWriteBefore {
            let key = item_name(&write).1;
            let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
            tracing::info!(key, before = *before, "written");
            *before = key;
        }
        if self.distort(&mut write) { self.inner.write(write).await } else { Ok(()) }
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        let writes = self.distort_all(writes);
        if writes.is_empty() { Ok(()) } else { self.inner.transact(writes).await }
    }

    async fn put_many(&self, table: Table, mut items: Vec<Item>) -> Result<(), DatabaseError> {
        self.forget_traces(table, &mut items);
        self.inner.put_many(table, items).await
    }
}
