//! How a lane's running totals stand in its item: a number each, under names a person can read.
//!
//! What is nothing is not written, so a lane that never saw a voucher has no attribute for one, and an item
//! from before an attribute was known reads as nothing of it. Figures of a shift are differences, so that
//! is exact from the first shift on.

use std::collections::BTreeMap;

use tillstream_domain::cart::EXCHANGE;
use tillstream_domain::till::{LaneTotals, OTHER_TENDER, TenderTotals};

use crate::database::{Change, Item};

/// A tender, and where its payments, what they came to, its refunds and what they came to stand.
type TenderNames = (&'static str, [&'static str; 4]);

const TENDERS: [TenderNames; 7] = [
    ("cash", ["cash_payments", "cash_paid", "cash_refunds", "cash_refunded"]),
    ("card", ["card_payments", "card_paid", "card_refunds", "card_refunded"]),
    ("gift_card", ["gift_card_payments", "gift_card_paid", "gift_card_refunds", "gift_card_refunded"]),
    ("voucher", ["voucher_payments", "voucher_paid", "voucher_refunds", "voucher_refunded"]),
    ("account", ["account_payments", "account_paid", "account_refunds", "account_refunded"]),
    (EXCHANGE, ["exchange_payments", "exchange_paid", "exchange_refunds", "exchange_refunded"]),
    (OTHER_TENDER, ["other_payments", "other_paid", "other_refunds", "other_refunded"]),
];

fn names_of(tender: &str) -> &'static [&'static str; 4] {
    let [.., (_, other)] = &TENDERS;
    TENDERS.iter().find(|(name, _)| *name == tender).map_or(other, |(_, names)| names)
}

/// What final carts add to their lane's item.
pub fn additions(added: &LaneTotals) -> Vec<Change> {
    let cash = added.tender("cash");
    // These are told of every cart of a kind, so that a person finds them in the console.
    let mut always = vec![("cash_total", cash.paid - cash.refunded)];
    if added.sales != 0 {
        always.extend([("sales", added.sales), ("sales_total", added.sales_total)]);
    }
    if added.returns != 0 {
        always.extend([("returns", added.returns), ("returns_total", added.returns_total)]);
    }
    let mut some = vec![
        ("discounts", added.discounts),
        ("tax", added.tax),
        ("returns_tax", added.returns_tax),
        ("tips", added.tips),
        ("cash_tips", added.cash_tips),
        ("cash_rounding", added.cash_rounding),
    ];
    for (tender, by) in &added.tenders {
        let [payments, paid, refunds, refunded] = names_of(tender);
        some.extend([
            (*payments, by.payments),
            (*paid, by.paid),
            (*refunds, by.refunds),
            (*refunded, by.refunded),
        ]);
    }
    some.retain(|(_, amount)| *amount != 0);
    always.into_iter().chain(some).map(|(name, amount)| Change::Add(name, amount)).collect()
}

/// The totals in a lane's item.
pub fn of_item(item: &Item) -> LaneTotals {
    let number = |name: &str| item.opt_number(name).unwrap_or(0);
    let mut tenders = BTreeMap::new();
    for (tender, [payments, paid, refunds, refunded]) in TENDERS {
        let by = TenderTotals {
            payments: number(payments),
            paid: number(paid),
            refunds: number(refunds),
            refunded: number(refunded),
        };
        if by != TenderTotals::default() {
            tenders.insert(tender.to_owned(), by);
        }
    }
    LaneTotals {
        sales: number("sales"),
        sales_total: number("sales_total"),
        returns: number("returns"),
        returns_total: number("returns_total"),
        discounts: number("discounts"),
        tax: number("tax"),
        returns_tax: number("returns_tax"),
        tips: number("tips"),
        cash_tips: number("cash_tips"),
        cash_rounding: number("cash_rounding"),
        tenders,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tillstream_domain::cart;

    use super::*;
    use crate::tenancy::TenantScope;

    /// A tender without names of its own would be counted among others, and a report would not name it.
    #[test]
    fn every_tender_has_names_of_its_own() {
        let known: BTreeSet<&str> = TENDERS.iter().map(|(tender, _)| *tender).collect();
        assert_eq!(known, cart::TENDERS.into_iter().chain([EXCHANGE, OTHER_TENDER]).collect());
        let names: BTreeSet<&str> = TENDERS.iter().flat_map(|(_, names)| *names).collect();
        assert_eq!(names.len(), 4 * TENDERS.len());
        assert_eq!(names_of("shells"), names_of(OTHER_TENDER));
    }

    #[test]
    fn what_is_written_is_read() {
        let by = |n| TenderTotals { payments: n, paid: n + 1, refunds: n + 2, refunded: n + 3 };
        let tenders = TENDERS.iter().zip([10, 20, 30, 40, 50, 60, 70]);
        let totals = LaneTotals {
            sales: 1,
            sales_total: 2,
            returns: 8,
            returns_total: 9,
            discounts: 3,
            tax: 4,
            returns_tax: 5,
            tips: 6,
            cash_tips: 7,
            cash_rounding: -2,
            tenders: tenders.map(|((tender, _), n)| ((*tender).to_owned(), by(n))).collect(),
        };
        let mut item = Item::new(&TenantScope::from_own_record("t").lane("s", "r"));
        for change in additions(&totals) {
            let Change::Add(name, amount) = change else { panic!("{change:?}") };
            assert!(item.get(name).is_none(), "{name} stands twice");
            item = item.with(name, amount);
        }
        assert_eq!(of_item(&item), totals);
        let nothing = LaneTotals { sales: 1, ..LaneTotals::default() };
        assert_eq!(additions(&nothing).len(), 3, "what is nothing is not written");
    }
}
