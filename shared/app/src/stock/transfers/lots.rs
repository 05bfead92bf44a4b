//! Goods of a transfer that are kept by lots: they arrive as the lots that left, or come back as these.

use jiff::Timestamp;
use tillstream_domain::quantity::Quantity;
use tillstream_domain::transfer::{Settled, TransferLine};

use super::drive::{in_transit, settle_writes};
use super::item::StoredTransfer;
use crate::database::Write;
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement};
use crate::stock::lots::back::{Coming, TakenLots, arrival};
use crate::tenancy::TenantScope;

/// Settles a line, of which `taken` tells the lots that left. What of them cannot be written as lots is of no known
/// lot.
///
/// # Errors
/// As the database.
pub(super) async fn settle_line(
    ports: &Ports,
    scope: &TenantScope,
    transfer: &StoredTransfer,
    (line, settled): (&TransferLine, &Settled),
    taken: &TakenLots,
    (movement, now): (&Movement, Timestamp),
) -> Result<Vec<Write>> {
    let plain = || settle_writes(scope, transfer, line, settled, movement);
    let Some(lots) = taken.get(&line.sku) else { return Ok(plain()) };
    let coming = |location_id, quantity, more| Coming {
        location_id,
        sku: line.sku.as_str(),
        quantity,
        unit: Some(line.unit),
        more,
    };
    let mut writes = Vec::new();
    let arrived = Delta { damaged: settled.damaged.thousandths(), ..-in_transit(settled.total()) };
    let mut ends = vec![coming(transfer.to.as_str(), settled.received, arrived)];
    if settled.returned > Quantity::ZERO {
        ends.push(coming(transfer.from.as_str(), settled.returned, Delta::default()));
    }
    for end in ends {
        match arrival(ports, scope, end, lots, (movement, now)).await? {
            // Both ends may name the same lot: one of a transaction's actions says how it is.
            Some(of_end) => {
                let new = of_end.into_iter().filter(|write| !writes.contains(write)).collect::<Vec<_>>();
                writes.extend(new);
            }
            None => return Ok(plain()),
        }
    }
    Ok(writes)
}
