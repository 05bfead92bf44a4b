//! The item of a lot: of which product it is, its last day of sale, and whether it is recalled.
//!
//! A lot is one of its tenant, of one SKU, wherever of it lies. Beside it stands an item for each location that ever
//! had of it, so that a recall finds them all.

use jiff::civil::Date;
use tillstream_contracts::lots::{Lot as Shown, LotStatus};

use crate::database::{Change, Condition, Consistency, Get, Item, Table, Write};
use crate::error::{Error, Result};
use crate::keys;
use crate::ports::Ports;
use crate::pos::identity::spread;
use crate::tenancy::TenantScope;

/// Kind of work that is due where a recall or release has not reached all locations.
pub(super) const SETTLING: &str = "lot";
/// How long whoever began it has before the keeper goes on with it.
const SETTLING_MILLIS: i64 = 30_000;

/// A lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) lot_id: String,
    pub(super) sku: String,
    pub(super) expires_on: Option<Date>,
    /// When any of it came first, in epoch milliseconds.
    pub(super) created_at: i64,
    pub(super) is_recalled: bool,
    pub(super) version: i64,
    /// Whether stock may not be as the status says yet.
    pub(super) is_settling: bool,
    /// When it was recalled or released last, in epoch milliseconds.
    pub(super) changed_at: Option<i64>,
    pub(super) changed_by: Option<String>,
    pub(super) reason: Option<String>,
}

pub(super) fn get(scope: &TenantScope, lot_id: &str) -> Get {
    Get { table: Table::Stock, key: scope.lot(lot_id), consistency: Consistency::Strong }
}

/// The lot of an id.
///
/// # Errors
/// As the database.
pub(super) async fn find(ports: &Ports, scope: &TenantScope, lot_id: &str) -> Result<Option<Header>> {
    ports.database.get(get(scope, lot_id)).await?.as_ref().map(Header::of).transpose()
}

impl Header {
    /// Reads it.
    ///
    /// # Errors
    /// A bug if the item is none.
    pub(super) fn of(item: &Item) -> Result<Self> {
        let day = item.opt_text("expires_on").map(str::parse::<Date>).transpose();
        Ok(Header {
            lot_id: item.text("lot_id")?.to_owned(),
            sku: item.text("sku")?.to_owned(),
            expires_on: day.map_err(Error::bug)?,
            created_at: item.number("created_at")?,
            is_recalled: item.text("state")? == "quarantined",
            version: item.number("version")?,
            is_settling: item.get("due_pk").is_some(),
            changed_at: item.opt_number("changed_at"),
            changed_by: item.opt_text("changed_by").map(str::to_owned),
            reason: item.opt_text("reason").map(str::to_owned),
        })
    }

    fn item(&self, scope: &TenantScope) -> Item {
        let item = Item::new(&scope.lot(&self.lot_id))
            .with("tenant_id", scope.tenant_id())
            .with("lot_id", self.lot_id.as_str())
            .with("sku", self.sku.as_str())
            .with_some("expires_on", self.expires_on.map(|day| day.to_string()))
            .with("created_at", self.created_at)
            .with("state", if self.is_recalled { "quarantined" } else { "sellable" })
            .with("version", self.version)
            .with_some("changed_at", self.changed_at)
            .with_some("changed_by", self.changed_by.as_deref())
            .with_some("reason", self.reason.as_deref());
        if !self.is_settling {
            return item;
        }
        item.with("due_pk", keys::due(SETTLING, spread(&self.lot_id)).value())
            .with("due_at", self.changed_at.unwrap_or(0).saturating_add(SETTLING_MILLIS))
    }

    /// Makes it.
    pub(super) fn create(&self, scope: &TenantScope) -> Write {
        Write::Put { table: Table::Stock, item: self.item(scope), condition: Some(Condition::NotExists) }
    }

    /// Writes it over that of `before`.
    pub(super) fn replace(&self, scope: &TenantScope, before: &Header) -> Write {
        let condition = Some(Condition::Eq("version", before.version.into()));
        Write::Put { table: Table::Stock, item: self.item(scope), condition }
    }

    /// That it is as it was read.
    pub(super) fn check(&self, scope: &TenantScope) -> Write {
        let condition = Condition::Eq("version", self.version.into());
        Write::Check { table: Table::Stock, key: scope.lot(&self.lot_id), condition }
    }

    /// As a client reads it.
    ///
    /// # Errors
    /// A bug if its times are none.
    pub(super) fn shown(&self) -> Result<Shown> {
        let time = |millis| jiff::Timestamp::from_millisecond(millis).map_err(Error::bug);
        Ok(Shown {
            lot_id: self.lot_id.clone(),
            sku: self.sku.clone(),
            expires_on: self.expires_on,
            status: if self.is_recalled { LotStatus::Quarantined } else { LotStatus::Sellable },
            created_at: time(self.created_at)?,
            reason: self.reason.clone(),
            changed_at: self.changed_at.map(time).transpose()?,
            changed_by: self.changed_by.clone(),
            version: self.version,
        })
    }
}

/// That a location has, or had, of a lot.
pub(super) fn place_write(scope: &TenantScope, lot_id: &str, location_id: &str, now_millis: i64) -> Write {
    Write::Update {
        table: Table::Stock,
        key: scope.lot_place(lot_id, location_id),
        changes: vec![
            Change::Set("tenant_id", scope.tenant_id().into()),
            Change::Set("lot_id", lot_id.into()),
            Change::Set("location_id", location_id.into()),
            Change::SetIfAbsent("received_at", now_millis.into()),
        ],
        condition: None,
    }
}
