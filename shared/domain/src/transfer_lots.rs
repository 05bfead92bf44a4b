//! The lots of a line of a transfer: which left, and which of them arrived or came back.
//!
//! Who receives or refuses may name the lot. Who does not is taken to have the lots in the order in which they expire,
//! but first what is kept aside of them: one of what was shipped is recalled, and nobody says that this is not it.
//!
//! All quantities are thousandths of the product's unit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;
use crate::transfer::{Settled, TransferAction};

/// A lot that left with a line. A line's lots stand in the order in which they expire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippedLot {
    /// Which; `None`: goods of no known lot.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub lot_id: Option<String>,
    /// How much of it left.
    #[serde(rename = "q")]
    pub shipped: i64,
    /// How much of that arrived, fit for sale or damaged, or is back.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub settled: i64,
}

fn is_zero(quantity: &i64) -> bool {
    *quantity == 0
}

impl ShippedLot {
    /// What of it is on its way.
    pub fn outstanding(&self) -> i64 {
        (self.shipped - self.settled).max(0)
    }
}

/// How much arrived fit for sale, arrived damaged, or is back at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parts {
    /// Arrived fit for sale.
    pub received: i64,
    /// Arrived damaged.
    pub damaged: i64,
    /// Back at the source.
    pub returned: i64,
}

impl Parts {
    /// What a step does with a count: so many fit for sale, or refused, and so many damaged besides.
    pub fn of(action: TransferAction, quantity: Quantity, damaged: Quantity) -> Self {
        let (quantity, damaged) = (quantity.thousandths(), damaged.thousandths());
        match action {
            TransferAction::Ship | TransferAction::Receive => {
                Parts { received: quantity, damaged, returned: 0 }
            }
            TransferAction::Damage => Parts { damaged: quantity + damaged, ..Parts::default() },
            TransferAction::Return | TransferAction::Cancel => {
                Parts { returned: quantity + damaged, ..Parts::default() }
            }
        }
    }

    /// All of it.
    pub fn total(&self) -> i64 {
        self.received + self.damaged + self.returned
    }
}

/// What a step says of a lot that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedLot {
    /// Position of the line.
    pub line: u32,
    /// Which lot.
    pub lot_id: String,
    /// How much of it.
    pub parts: Parts,
}

/// Of which lots it is what a step settles of a line, of which it `names` some; `lots` say afterwards what is settled
/// of each. What is more than is known to have left is of no known lot.
pub fn share_out<'n>(
    lots: &mut [ShippedLot],
    settled: &Settled,
    names: impl IntoIterator<Item = &'n NamedLot>,
    is_aside: impl Fn(&str) -> bool,
) -> BTreeMap<Option<String>, Parts> {
    let mut shares: BTreeMap<Option<String>, Parts> = BTreeMap::new();
    let mut rest = Parts {
        received: settled.received.thousandths(),
        damaged: settled.damaged.thousandths(),
        returned: settled.returned.thousandths(),
    };
    for named in names {
        let lot = lots.iter_mut().find(|lot| lot.lot_id.as_ref() == Some(&named.lot_id));
        let Some(lot) = lot else { continue };
        lot.settled += named.parts.total();
        let share = shares.entry(lot.lot_id.clone()).or_default();
        share.received += named.parts.received;
        share.damaged += named.parts.damaged;
        share.returned += named.parts.returned;
        rest.received -= named.parts.received;
        rest.damaged -= named.parts.damaged;
        rest.returned -= named.parts.returned;
    }
    let goes_first = |lot: &ShippedLot| lot.lot_id.as_deref().is_some_and(&is_aside);
    let (first, then): (Vec<usize>, Vec<usize>) =
        (0..lots.len()).partition(|at| lots.get(*at).is_some_and(goes_first));
    let order = [first, then].concat();
    take(lots, &order, rest.received, |lot_id, many| shares.entry(lot_id).or_default().received += many);
    take(lots, &order, rest.damaged, |lot_id, many| shares.entry(lot_id).or_default().damaged += many);
    take(lots, &order, rest.returned, |lot_id, many| shares.entry(lot_id).or_default().returned += many);
    shares
}

/// Settles so much of what is on its way, in this order of the lots, and gives it lot by lot.
fn take(lots: &mut [ShippedLot], order: &[usize], wanted: i64, mut give: impl FnMut(Option<String>, i64)) {
    let mut left = wanted;
    for at in order {
        let Some(lot) = lots.get_mut(*at) else { continue };
        let taken = lot.outstanding().min(left);
        if taken > 0 {
            lot.settled += taken;
            left -= taken;
            give(lot.lot_id.clone(), taken);
        }
    }
    if left > 0 {
        give(None, left);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shipped(lots: &[(Option<&str>, i64)]) -> Vec<ShippedLot> {
        let lot = |(id, shipped): &(Option<&str>, i64)| ShippedLot {
            lot_id: id.map(str::to_owned),
            shipped: *shipped,
            settled: 0,
        };
        lots.iter().map(lot).collect()
    }

    fn settled(received: i64, damaged: i64, returned: i64) -> Settled {
        let [received, damaged, returned] = [received, damaged, returned].map(Quantity::of_counter);
        Settled { line: 0, received, damaged, returned }
    }

    fn parts(received: i64, damaged: i64, returned: i64) -> Parts {
        Parts { received, damaged, returned }
    }

    fn of(id: &str) -> Option<String> {
        Some(id.to_owned())
    }

    #[test]
    fn what_nobody_names_goes_in_the_order_of_the_lots() {
        let mut lots = shipped(&[(Some("b"), 3), (Some("a"), 4), (None, 2)]);
        let shares = share_out(&mut lots, &settled(2, 2, 0), [], |_| false);
        assert_eq!(shares, BTreeMap::from([(of("b"), parts(2, 1, 0)), (of("a"), parts(0, 1, 0))]));
        assert_eq!(lots.iter().map(ShippedLot::outstanding).collect::<Vec<_>>(), [0, 3, 2]);
        let shares = share_out(&mut lots, &settled(0, 0, 4), [], |_| false);
        assert_eq!(shares, BTreeMap::from([(of("a"), parts(0, 0, 3)), (None, parts(0, 0, 1))]));
        // More than is known to have left is of no known lot.
        let shares = share_out(&mut lots, &settled(5, 0, 0), [], |_| false);
        assert_eq!(shares, BTreeMap::from([(None, parts(5, 0, 0))]));
    }

    #[test]
    fn what_is_named_is_of_that_lot_and_what_is_kept_aside_goes_before_the_others() {
        let mut lots = shipped(&[(Some("a"), 3), (Some("b"), 4)]);
        let named = [NamedLot { line: 0, lot_id: "a".into(), parts: parts(1, 1, 0) }];
        let shares = share_out(&mut lots, &settled(4, 1, 0), &named, |lot_id| lot_id == "b");
        assert_eq!(shares, BTreeMap::from([(of("a"), parts(1, 1, 0)), (of("b"), parts(3, 0, 0))]));
        assert_eq!(lots.iter().map(ShippedLot::outstanding).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn lots_are_read_as_they_were_written() {
        let mut lots = shipped(&[(Some("a"), 3), (None, 4)]);
        lots[0].settled = 2;
        let text = serde_json::to_string(&lots).unwrap();
        assert_eq!(text, r#"[{"i":"a","q":3,"s":2},{"q":4}]"#);
        assert_eq!(serde_json::from_str::<Vec<ShippedLot>>(&text).unwrap(), lots);
    }

    proptest! {
        /// In whatever steps a line is settled: each step's shares add up to the step, and in the end each lot is
        /// settled exactly.
        #[test]
        fn no_lot_is_lost_in_any_number_of_steps(
            quantities in proptest::collection::vec(1_i64..9, 1..6),
            steps in proptest::collection::vec((0_i64..5, 0_i64..3, 0_i64..3, any::<bool>(), 0_usize..6), 0..12),
            aside in 0_usize..7,
        ) {
            let ids: Vec<String> = (0..quantities.len()).map(|n| format!("l{n}")).collect();
            let all: Vec<_> = ids.iter().map(|id| Some(id.as_str())).zip(quantities.iter().copied()).collect();
            let mut lots = shipped(&all);
            let is_aside = |lot_id: &str| ids.get(aside).is_some_and(|id| id == lot_id);
            let mut sums: BTreeMap<Option<String>, i64> = BTreeMap::new();
            let left = |lots: &[ShippedLot]| lots.iter().map(ShippedLot::outstanding).sum::<i64>();
            for (received, damaged, returned, names, which) in steps {
                let mut rest = left(&lots);
                let [received, damaged, returned] = [received, damaged, returned].map(|wanted| {
                    let taken = wanted.min(rest);
                    rest -= taken;
                    taken
                });
                let lot = &lots[which % lots.len()];
                let named = NamedLot {
                    line: 0,
                    lot_id: lot.lot_id.clone().unwrap(),
                    parts: parts(received.min(lot.outstanding()), 0, 0),
                };
                let named = names.then_some(named);
                let shares = share_out(&mut lots, &settled(received, damaged, returned), &named, is_aside);
                let total = shares.values().fold(parts(0, 0, 0), |sum, share| {
                    parts(sum.received + share.received, sum.damaged + share.damaged, sum.returned + share.returned)
                });
                prop_assert_eq!(total, parts(received, damaged, returned));
                for (lot_id, share) in shares {
                    *sums.entry(lot_id).or_default() += share.total();
                }
            }
            let rest = left(&lots);
            for (lot_id, share) in share_out(&mut lots, &settled(rest, 0, 0), [], is_aside) {
                *sums.entry(lot_id).or_default() += share.total();
            }
            sums.retain(|_, sum| *sum != 0);
            let expected: BTreeMap<_, _> = ids.iter().map(|id| of(id)).zip(quantities).collect();
            prop_assert_eq!(sums, expected);
        }
    }
}
