//! Scheduled work: what a crash, a lost stream or an outage left undone is found and finished.
//!
//! Everything here may run twice at once and may be left out once. A task that fails is logged, the
//! others go on, and the run as a whole fails so that it is seen.

pub(crate) mod announcements;
pub(crate) mod due;
pub mod lanes;
pub mod versions;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::aggregation::coarse;
use crate::catalog::items::{catalog_get, location_of, registers_ever};
use crate::catalog::reach::every_location_id;
use crate::database::{Query, Table};
use crate::dispatch::sweeper;
use crate::error::{Error, Result};
use crate::ports::{EventStream, Ports, WakeUpQueue};
use crate::pos::plan;
use crate::stock::expiry::sweep_expired;
use crate::stock::ledger_gaps::walk_ledger_gaps;
use crate::stock::split::merge_quiet;
use crate::stock::{
    backorders, counts, long_reservations, lots, purchases, reconciliation, stock_facts, transfers,
};
use crate::tenancy::TenantScope;
use tillstream_domain::location::{Location, LocationKind};

/// Plans looked at in one run.
const PLANS_MAX: usize = 200;
/// Transfers looked at in one run.
const TRANSFERS_MAX: usize = 200;
/// Count sheets looked at in one run.
const COUNTS_MAX: usize = 200;
/// Differences that are looked at again in one run.
const DIFFERENCES_MAX: usize = 200;
/// Long reservations looked at in one run.
const RESERVATIONS_MAX: usize = 200;
/// Purchase orders looked at in one run.
const PURCHASE_ORDERS_MAX: usize = 200;
/// Queues of backorders looked at in one run, and backorders besides.
const BACKORDERS_MAX: usize = 200;
/// Recalls looked at in one run.
const RECALLS_MAX: usize = 500;
/// Stock items of which a lot is past its day, looked at in one turn: of a chain they are all at the same midnight.
const LOTS_MAX: usize = 10_000;
/// Orders of changed status looked at in one run, and things to be told of stock besides.
const VERSIONS_MAX: usize = 200;
/// Stock items whose ledger is looked at in one run, per tenant.
const LEDGER_ITEMS: u32 = 2_000;

/// How often it runs, in seconds: the template's schedule.
const RUN_SECONDS: i64 = 60;

/// Days of one store whose coarse pages are made in one run.
const COARSE_DAYS_MAX: usize = 31;

/// What a run did, for its log.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Plans looked at.
    pub plans: usize,
    /// Transfers looked at that nobody went on with.
    pub transfers: usize,
    /// Count sheets looked at whose closing nobody went on with.
    pub counts: usize,
    /// Long reservations looked at that nobody went on with.
    pub reservations: usize,
    /// Purchase orders looked at that nobody went on with.
    pub purchase_orders: usize,
    /// Backorders looked at whose time was over, and queues in which somebody waits.
    pub backorders: usize,
    /// Holds freed.
    pub holds: usize,
    /// Recalls looked at that nobody went on with, and stock items of which a lot was past its day.
    pub lots: usize,
    /// Facts sent again.
    pub sent_again: usize,
    /// Wake-ups sent.
    pub woken: usize,
    /// Gaps of the ledger closed.
    pub ledger_gaps: usize,
    /// Stock items merged that were split and are quiet.
    pub merged: usize,
    /// Differences between what stock says of itself that were found, or found again.
    pub differences: usize,
    /// Tasks that failed.
    pub failed: Vec<String>,
}

impl Report {
    fn note<T>(&mut self, task: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::error!(task, %error, "scheduled task failed");
                self.failed.push(task.to_owned());
                None
            }
        }
    }

    fn note_failed(&mut self, items: usize, task: &str) {
        if items > 0 {
            self.failed.push(format!("{task} of {items} stock items"));
        }
    }
}

/// The time of a run, shared out: each duty has its share from when it begins, and what one leaves is for those
/// after it. So no duty, however much it meets, keeps another from its turn.
#[derive(Debug, Clone, Copy)]
struct Shares {
    deadline: Timestamp,
    /// Of the duties that are still to come.
    weight: i32,
}

/// Shares of the duties over all tenants; what is left is for the tasks of each tenant.
mod share {
    pub(super) const PLANS: i32 = 2;
    pub(super) const TRANSFERS: i32 = 2;
    pub(super) const COUNTS: i32 = 2;
    pub(super) const RESERVATIONS: i32 = 2;
    pub(super) const PURCHASE_ORDERS: i32 = 2;
    pub(super) const BACKORDERS: i32 = 2;
    pub(super) const VERSIONS: i32 = 1;
    pub(super) const STOCK_FACTS: i32 = 1;
    pub(super) const DIFFERENCES: i32 = 1;
    pub(super) const DELIVERIES: i32 = 3;
    pub(super) const HOLDS: i32 = 3;
    pub(super) const LOTS: i32 = 2;
    /// Of all.
    pub(super) const ALL: i32 = 29;
}

impl Shares {
    fn new(deadline: Timestamp, weight: i32) -> Self {
        Shares { deadline, weight }
    }

    /// Until when a duty of this weight has its turn that begins now.
    fn next(&mut self, now: Timestamp, weight: i32) -> Timestamp {
        let left = self.deadline.duration_since(now).max(SignedDuration::ZERO);
        let share = left * weight / self.weight.max(1);
        self.weight -= weight;
        now.checked_add(share).unwrap_or(self.deadline)
    }
}

/// One run of all tasks. Those over all tenants have their shares of the time until `deadline`, the tasks of
/// each tenant what is left: whatever one of them meets, the others have their turn.
///
/// # Errors
/// [`Error::Retryable`] naming the tasks that failed, after all were tried.
pub async fn run(
    ports: &Ports,
    stream: &dyn EventStream,
    queue: &dyn WakeUpQueue,
    deadline: Timestamp,
) -> Result<Report> {
    let now = ports.environment.now();
    let mut report = Report::default();
    let mut shares = Shares::new(deadline, share::ALL);
    let mut until = |weight| shares.next(ports.environment.now(), weight);
    let recovered = plan::recover(ports, now, PLANS_MAX, until(share::PLANS)).await;
    report.plans = report.note("plans", recovered).unwrap_or(0);
    let continued = transfers::recover(ports, now, TRANSFERS_MAX, until(share::TRANSFERS)).await;
    report.transfers = report.note("transfers", continued).unwrap_or(0);
    let closed = counts::recover(ports, now, COUNTS_MAX, until(share::COUNTS)).await;
    report.counts = report.note("counts", closed).unwrap_or(0);
    let until_then = until(share::RESERVATIONS);
    let continued = long_reservations::recover(ports, now, RESERVATIONS_MAX, until_then).await;
    report.reservations = report.note("reservations", continued).unwrap_or(0);
    let until_then = until(share::PURCHASE_ORDERS);
    let continued = purchases::recover(ports, now, PURCHASE_ORDERS_MAX, until_then).await;
    report.purchase_orders = report.note("purchase orders", continued).unwrap_or(0);
    let until_then = until(share::BACKORDERS);
    let ended = backorders::recover(ports, now, BACKORDERS_MAX, until_then).await;
    report.backorders = report.note("backorders", ended).unwrap_or(0);
    let served = backorders::recover_queues(ports, now, BACKORDERS_MAX, until_then).await;
    report.backorders += report.note("queues of backorders", served).unwrap_or(0);
    let announced = versions::announce_due(ports, queue, now, VERSIONS_MAX, until(share::VERSIONS)).await;
    report.note("versions", announced);
    let until_then = until(share::STOCK_FACTS);
    let announced = stock_facts::announce_due(ports, queue, now, VERSIONS_MAX, until_then).await;
    report.note("facts of stock", announced);
    let again = reconciliation::look_again(ports, now, DIFFERENCES_MAX, until(share::DIFFERENCES)).await;
    report.differences += report.note("differences", again).unwrap_or(0);
    let left = until(share::DELIVERIES).duration_since(ports.environment.now());
    let budget = sweeper::Budget::default();
    let time = Duration::try_from(left).unwrap_or_default().min(budget.time);
    let swept = sweeper::sweep(ports, queue, now, sweeper::Budget { time, ..budget }).await;
    report.woken = report.note("deliveries", swept).map_or(0, |swept| swept.woken);
    let freed = sweep_expired(ports, now, until(share::HOLDS)).await;
    if let Some(freed) = report.note("holds", freed) {
        report.holds = freed.items;
        report.note_failed(freed.failed, "expired holds");
    }
    let until_then = until(share::LOTS);
    let recalled = lots::recall::recover(ports, now, RECALLS_MAX, until_then).await;
    report.lots = report.note("recalls", recalled).unwrap_or(0);
    let kept_aside = lots::due::sweep(ports, now, LOTS_MAX, until_then).await;
    let kept_aside = report.note("lots", kept_aside).unwrap_or(0);
    report.lots += kept_aside;
    let tenants = report.note("tenants", tenants(ports).await).unwrap_or_default();
    for scope in in_turn(tenants, now) {
        if ports.environment.now() >= deadline {
            break;
        }
        let stores = report.note("locations", locations(ports, &scope).await).unwrap_or_default();
        let stores = in_turn(stores, now);
        let is_late = || ports.environment.now() >= deadline;
        for location in &stores {
            if is_late() {
                break;
            }
            let checked = lanes::check(ports, stream, queue, &scope, location, now).await;
            report.sent_again += report.note("lanes", checked).unwrap_or(0);
        }
        for location in &stores {
            if is_late() {
                break;
            }
            let refreshed = refresh_coarse(ports, &scope, location, now).await;
            report.note("coarse pages", refreshed);
        }
        let quiet = merge_quiet(ports, &scope, deadline).await;
        if let Some(quiet) = report.note("split stock", quiet) {
            report.merged += quiet.merged;
            report.note_failed(quiet.failed, "split stock");
        }
        if !is_late() {
            report.note("coarse pages over stores", merge_coarse(ports, &scope, &stores).await);
        }
        let mut shares = Shares::new(deadline, 2);
        let half = shares.next(ports.environment.now(), 1);
        let walked = walk_ledger_gaps(ports, &scope, LEDGER_ITEMS, half).await;
        if let Some(walked) = report.note("ledger", walked) {
            report.ledger_gaps += walked.gaps_closed;
            report.note_failed(walked.failed, "ledger");
        }
        let compared =
            reconciliation::walk(ports, &scope, &stores, reconciliation::Budget::default(), deadline).await;
        if let Some(compared) = report.note("reconciliation", compared) {
            report.differences += compared.differences;
            report.note_failed(compared.failed, "reconciliation");
        }
    }
    if kept_aside > 0 && ports.environment.now() < deadline {
        // What is left of the time is for what is left of them.
        let kept_aside = lots::due::sweep(ports, now, LOTS_MAX, deadline).await;
        report.lots += report.note("lots", kept_aside).unwrap_or(0);
    }
    if report.failed.is_empty() {
        Ok(report)
    } else {
        Err(Error::retryable(format!("tasks failed: {}", report.failed.join(", "))))
    }
}

/// Where the time does not suffice for all tenants, all stores of one, or all shards of an index, each is
/// the first once in as many runs as there are.
pub(crate) fn in_turn<T>(mut all: Vec<T>, now: Timestamp) -> Vec<T> {
    let runs = usize::try_from(now.as_second() / RUN_SECONDS).unwrap_or(0);
    let first = runs.checked_rem(all.len()).unwrap_or(0);
    all.rotate_left(first);
    all
}

/// Makes the coarse pages of days that are closed by now. Another run at the same store is no failure.
async fn refresh_coarse(
    ports: &Ports,
    scope: &TenantScope,
    location: &Location,
    now: Timestamp,
) -> Result<()> {
    if location.kind != LocationKind::Store {
        return Ok(());
    }
    let calendar = location.calendar().map_err(Error::bug)?;
    let today = calendar.business_day(now).map_err(Error::bug)?;
    match coarse::refresh(ports, scope, &location.id, coarse::last_closed(today)?, COARSE_DAYS_MAX).await {
        Err(Error::Conflict(_)) => Ok(()),
        other => other.map(|_| ()),
    }
}

/// Merges what the stores of a tenant have settled. Another run at the same pages is no failure.
async fn merge_coarse(ports: &Ports, scope: &TenantScope, stores: &[Location]) -> Result<()> {
    match coarse::merge(ports, scope, stores, COARSE_DAYS_MAX).await {
        Err(Error::Conflict(_)) => Ok(()),
        other => other.map(|_| ()),
    }
}

/// All tenants, from the registry.
///
/// # Errors
/// As the database.
pub async fn tenants(ports: &Ports) -> Result<Vec<TenantScope>> {
    let mut scopes = Vec::new();
    let mut query = Query::partition(Table::Catalog, crate::keys::tenant_registry());
    loop {
        let page = ports.database.query(query.clone()).await?;
        for item in &page.items {
            scopes.push(TenantScope::from_own_record(item.text("sk")?));
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => return Ok(scopes),
        }
    }
}

/// All locations of a tenant, deleted ones too, each with all the registers it ever had: the numbers that
/// they gave out are looked after for good.
///
/// # Errors
/// As the database.
pub async fn locations(ports: &Ports, scope: &TenantScope) -> Result<Vec<Location>> {
    let ids = every_location_id(ports, scope, usize::MAX).await?;
    let gets = ids.iter().map(|id| catalog_get(scope.location(id))).collect();
    let items = ports.database.get_many(gets).await?;
    // One that was deleted before it was known has nothing to look after.
    let known = items.iter().flatten().filter(|item| item.get("data").is_some());
    known
        .map(|item| {
            let registers = registers_ever(item)?.into_iter().collect();
            Ok(Location { registers, ..location_of(item)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_is_the_first_in_its_turn() {
        let at = |minute: i64| Timestamp::from_second(minute * 60 + 7).unwrap();
        let firsts: Vec<char> = (30..36).map(|minute| in_turn(vec!['a', 'b', 'c'], at(minute))[0]).collect();
        assert_eq!(firsts, ['a', 'b', 'c', 'a', 'b', 'c']);
        assert!(in_turn(Vec::<char>::new(), at(1)).is_empty());
    }

    #[test]
    fn each_duty_has_its_share_and_what_one_leaves_is_for_the_others() {
        let seconds = |second| Timestamp::from_second(second).unwrap();
        let mut shares = Shares::new(seconds(1_100), 10);
        assert_eq!(shares.next(seconds(1_000), 2), seconds(1_020));
        // It took all of it, or none.
        assert_eq!(shares.next(seconds(1_020), 4), seconds(1_060));
        assert_eq!(shares.next(seconds(1_020), 2), seconds(1_060));
        // What is too late already has none.
        assert_eq!(shares.next(seconds(1_200), 2), seconds(1_200));
        let duties = [
            share::PLANS,
            share::TRANSFERS,
            share::COUNTS,
            share::RESERVATIONS,
            share::PURCHASE_ORDERS,
            share::BACKORDERS,
            share::VERSIONS,
            share::STOCK_FACTS,
            share::DIFFERENCES,
            share::DELIVERIES,
            share::HOLDS,
            share::LOTS,
        ];
        assert!(share::ALL - duties.into_iter().sum::<i32>() >= 6, "something is left for the tenants");
    }
}
