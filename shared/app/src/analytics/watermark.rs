//! What an answer contains, and waiting for what it shall contain.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tillstream_contracts::analytics::{LaneMark, Watermark};
use tillstream_domain::lane::{Lane, LaneNumber};

use super::stores::Store;
use crate::aggregation::completeness::{self, Completeness};
use crate::aggregation::stored::{Stored, analytics_get};
use crate::error::Result;
use crate::ports::Ports;
use crate::pos::lane_write::{LaneState, lane_get};
use crate::tenancy::Caller;

/// How long a query waits for its token's number.
const WAIT_MAX: SignedDuration = SignedDuration::from_millis(1_500);
/// How often it looks.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// The stores' completeness records as of before the pages are read, and the watermark they make.
#[derive(Debug)]
pub struct Seen {
    /// By store.
    pub records: BTreeMap<String, Completeness>,
    /// For the reply.
    pub watermark: Watermark,
    /// Whether the token's number is in the record; absent without a token.
    pub satisfied: Option<bool>,
}

/// Waits for the token's number, briefly, then reads the records and the lanes' last numbers.
///
/// # Errors
/// 403 `store_out_of_reach` where the token is of a store out of reach.
pub async fn see(
    ports: &Ports,
    caller: &Caller,
    stores: &[Store],
    token: Option<&LaneNumber>,
) -> Result<Seen> {
    let satisfied = match token {
        None => None,
        Some(token) => Some(wait(ports, caller, token).await?),
    };
    let as_of = ports.environment.now();
    let scope = &caller.scope;
    let gets = stores.iter().map(|store| analytics_get(scope.completeness(&store.location.id))).collect();
    let mut records = BTreeMap::new();
    for (store, item) in stores.iter().zip(ports.database.get_many(gets).await?) {
        records.insert(store.location.id.clone(), Stored::<Completeness>::of(item.as_ref())?.content);
    }
    let lanes = lanes(ports, caller, stores, &records).await?;
    Ok(Seen { records, watermark: Watermark { lanes, as_of }, satisfied })
}

/// The marks of all lanes that have counted anything: those of the stores' registers, the virtual
/// ones, and whatever else the records hold.
async fn lanes(
    ports: &Ports,
    caller: &Caller,
    stores: &[Store],
    records: &BTreeMap<String, Completeness>,
) -> Result<BTreeMap<String, LaneMark>> {
    let mut registers = BTreeSet::<(String, String)>::new();
    for store in stores {
        let id = &store.location.id;
        let named = store.location.registers.iter().cloned().chain(Lane::virtual_registers());
        registers.extend(named.map(|register| (id.clone(), register)));
        if let Some(record) = records.get(id) {
            registers.extend(record.folded.lanes().map(|(register, _, _)| (id.clone(), register.to_owned())));
        }
    }
    let gets = registers.iter().map(|(store, register)| lane_get(&caller.scope, store, register)).collect();
    let items = ports.database.get_many(gets).await?;
    let mut marks = BTreeMap::new();
    for ((store, register), item) in registers.into_iter().zip(items) {
        let state = LaneState::of(item.as_ref())?;
        let mut epochs = BTreeMap::new();
        for ended in state.epochs().filter(|epoch| epoch.last > 0) {
            let gaps = vec![(1, ended.last)];
            epochs.insert(ended.epoch, LaneMark { through: 0, gaps, unaccounted: None });
        }
        if let Some(record) = records.get(&store) {
            for (_, epoch, set) in record.folded.lanes().filter(|(r, _, _)| *r == register) {
                // Of an epoch before, the lane tells the last number whose order was restored; what was counted
                // beyond it has no order any more. Of one that it does not know, the last that was counted
                // must do. The record may be ahead of the current epoch: it was read later or sooner.
                let ended = state.earlier.iter().find(|ended| ended.epoch == epoch).map(|ended| ended.last);
                let last = match ended {
                    Some(last) => last,
                    None if epoch == state.epoch => state.last.max(set.last()),
                    None => set.last(),
                };
                let unaccounted = (last < set.last()).then(|| (last + 1, set.last()));
                let mark = LaneMark { through: set.through(), gaps: set.gaps_up_to(last), unaccounted };
                epochs.insert(epoch, mark);
            }
        }
        for (epoch, mark) in epochs {
            let lane = Lane { epoch, ..Lane::new(store.as_str(), register.as_str()) };
            marks.insert(lane.to_string(), mark);
        }
    }
    Ok(marks)
}

/// Whether the token's number is counted, or gets to be within [`WAIT_MAX`].
async fn wait(ports: &Ports, caller: &Caller, token: &LaneNumber) -> Result<bool> {
    caller.require_store(&token.lane.store_id)?;
    let give_up = ports.environment.now().saturating_add(WAIT_MAX).unwrap_or(Timestamp::MAX);
    loop {
        let record = completeness::read(ports, &caller.scope, &token.lane.store_id).await?;
        if record.content.contains(token) {
            return Ok(true);
        }
        if ports.environment.now() >= give_up {
            return Ok(false);
        }
        ports.environment.sleep(POLL_EVERY).await;
    }
}
