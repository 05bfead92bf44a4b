//! Bugs of restores, rules, prices by segment, the change feed and transfers.

use std::sync::PoisonError;

use tillstream_app::database::{Change, DatabaseError, Item, Query, QueryPage, Table, Value, Write};
use tillstream_app::stock::change_feed::ChangePage;
use tillstream_app::stock::transfers::Body;
use tillstream_app::tenancy::TenantScope;
use tillstream_domain::compact;
use tillstream_domain::quantity::Quantity;

use super::super::price_book::SEGMENTS;
use super::super::set_up::TENANTS;
use super::tills_and_policies::is_policy;
use super::{Bug, BuggyDatabase, forget_changes, forget_condition, lots};

impl BuggyDatabase {
    /// What the bug makes of a write; `false` where it forgets it altogether.
    pub(super) fn distort_more(&self, write: &mut Write, (table, sk): (Table, &str)) -> bool {
        let is_raised = table == Table::Orders && sk == "lane" && changes_of(write).any(is_of_restore);
        match self.bug {
            Bug::EpochForgotten if is_raised => forget_changes(write, &["epoch"]),
            Bug::LaneNotRaised if is_raised => return self.chance.percent(60),
            Bug::ChangePageOverwritten if is_change_page(write) => forget_condition(write),
            Bug::ChangeNotNoted if is_change_page(write) => forget_last_name(write),
            Bug::DamageWrittenDownAsFit if sk == "transfer" => write_down_as_fit(write),
            _ => {}
        }
        true
    }

    /// What the bug reads where this stands.
    pub(super) fn misread(&self, item: &mut Item) {
        match (self.bug, item.opt_text("kind")) {
            (Bug::PriceOfAnotherSegment, Some("prices")) => {
                change_json(item, |data| {
                    for entry in data.as_array_mut().into_iter().flatten() {
                        let segment = entry.get("segment").and_then(|segment| segment.as_str());
                        let at = segment.and_then(|own| SEGMENTS.iter().position(|known| *known == own));
                        if let Some(other) = at.and_then(|at| SEGMENTS.iter().cycle().nth(at + 1)) {
                            entry["segment"] = (*other).into();
                        }
                    }
                });
            }
            (Bug::SegmentsForgotten, Some("customer")) => {
                change_json(item, |data| data["segments"] = serde_json::json!([]))
            }
            _ => {}
        }
    }

    pub(super) async fn query_wrongly(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        let rules = |tenant: &&str| TenantScope::from_own_record(tenant).tenant_rules() == query.partition;
        if self.bug == Bug::RulesReadOnce && TENANTS.iter().any(rules) {
            let known =
                self.rules.lock().unwrap_or_else(PoisonError::into_inner).get(&query.partition).cloned();
            if let Some(known) = known {
                return Ok(known);
            }
            let partition = query.partition.clone();
            let page = self.inner.query(query).await?;
            self.rules.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, page.clone());
            return Ok(page);
        }
        let (is_of_places, forgets_policies) = (lots::is_of_places(&query), self.forgets_policies(&query));
        let mut page = self.inner.query(query).await?;
        if self.bug == Bug::ChangePageSkipped {
            page.items.iter_mut().for_each(skip_page);
        }
        if self.bug == Bug::RecallOfOneLocation && is_of_places {
            page.items.truncate(1);
        }
        if forgets_policies {
            page.items.retain(|item| !is_policy(item));
        }
        Ok(page)
    }
}

/// As if every fifth page of the change feed named nothing.
fn skip_page(item: &mut Item) {
    let is_fifth = item.opt_number("page").is_some_and(|page| page % 5 == 0);
    if is_fifth
        && item.get("mark").is_some()
        && let Ok(body) = compact::encode(&ChangePage { names: Vec::new() })
    {
        item.0.insert("body".to_owned(), Value::B(body));
    }
}

fn changes_of(write: &Write) -> impl Iterator<Item = &Change> {
    let changes = match write {
        Write::Update { changes, .. } => changes.as_slice(),
        _ => &[],
    };
    changes.iter()
}

fn is_of_restore(change: &Change) -> bool {
    matches!(change, Change::Set("restore_id", _))
}

fn is_change_page(write: &Write) -> bool {
    matches!(write, Write::Put { table: Table::Ledger, item, .. } if item.get("page").is_some())
}

fn without_last_name(page: &Item) -> Option<Vec<u8>> {
    let mut content: ChangePage = compact::decode(page.bytes("body").ok()?).ok()?;
    // Where it is the only one, it stays: most pages have one.
    (content.names.len() > 1).then(|| content.names.pop())?;
    compact::encode(&content).ok()
}

fn forget_last_name(write: &mut Write) {
    if let Write::Put { item, .. } = write
        && let Some(body) = without_last_name(item)
    {
        item.0.insert("body".to_owned(), Value::B(body));
    }
}

fn write_down_as_fit(write: &mut Write) {
    let Write::Put { item, .. } = write else { return };
    let Some(mut body) = item.bytes("body").ok().and_then(|body| compact::decode::<Body>(body).ok()) else {
        return;
    };
    for settled in body.steps.iter_mut().flat_map(|step| &mut step.settled) {
        settled.received = settled.received.plus(std::mem::replace(&mut settled.damaged, Quantity::ZERO));
    }
    for line in &mut body.lines {
        line.received = line.received.plus(std::mem::replace(&mut line.damaged, Quantity::ZERO));
    }
    if let Ok(body) = compact::encode(&body) {
        item.0.insert("body".to_owned(), Value::B(body));
    }
}

fn change_json(item: &mut Item, change: impl FnOnce(&mut serde_json::Value)) {
    let data = item.opt_text("data").and_then(|data| serde_json::from_str::<serde_json::Value>(data).ok());
    if let Some(mut data) = data {
        change(&mut data);
        item.0.insert("data".to_owned(), Value::S(data.to_string()));
    }
}
