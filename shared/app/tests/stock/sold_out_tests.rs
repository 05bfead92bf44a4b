//! A thousand want one of ten pieces at once, of plain stock and of split stock: in each of a hundred orders of events
//! ten get one, and what they got is sold once.

use std::collections::BTreeSet;
use std::sync::Arc;

use tillstream_app::database::{Item, Table};

use crate::fixture::{Fixture, SKUS, request};
use crate::lot_concurrency_tests::{SEEDS, a_thousand, commit_all, trouble};

const SHOP: &str = "s-leeds";
const A: &str = SKUS[0];
const PIECES: i64 = 10;

impl Fixture {
    /// On hand, reserved and available over all parts, in thousandths, and how many hold lines there are.
    fn standing_of_all_parts(&self) -> (i64, i64, i64, usize) {
        let items = self.memory.items(Table::Stock);
        let parts = || items.iter().filter(|item| item.opt_number("seq").is_some());
        let sum = |name: &str| parts().map(|part| part.opt_number(name).unwrap_or(0)).sum::<i64>();
        let is_hold = |item: &&Item| item.opt_text("pk").unwrap().contains("#holds");
        (sum("on_hand"), sum("reserved"), sum("available"), items.iter().filter(is_hold).count())
    }

    /// A thousand ask for one each; who got one commits it.
    async fn a_thousand_want_one(self: &Arc<Self>, seed: u64, label: &str) {
        trouble(self, seed);
        let made = a_thousand(self, &request(&[(SHOP, A, 1)], 900)).await;
        let ids: BTreeSet<&str> = made.iter().map(|one| one.reservation.reservation_id.as_str()).collect();
        let pieces = usize::try_from(PIECES).unwrap();
        assert_eq!((made.len(), ids.len()), (pieces, pieces), "{label}");
        let all = PIECES * 1_000;
        assert_eq!(self.standing_of_all_parts(), (all, all, 0, pieces), "{label}");
        commit_all(self, &made).await;
        self.heal();
        assert_eq!(self.standing_of_all_parts(), (0, 0, 0, 0), "{label}");
        self.check().await;
    }
}

#[tokio::test]
async fn of_a_thousand_who_want_one_of_ten_pieces_ten_get_one() {
    for seed in 0..SEEDS {
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.count(SHOP, A, PIECES).await;
        fixture.a_thousand_want_one(seed, &format!("seed {seed}")).await;
    }
}

/// What a hot product's pieces lie in is no matter: two parts or as many as there are pieces.
#[tokio::test]
async fn of_a_thousand_who_want_one_of_ten_pieces_of_split_stock_ten_get_one() {
    for seed in 0..SEEDS {
        let parts = match seed % 3 {
            0 => 2,
            1 => 4,
            _ => 10,
        };
        let fixture = Arc::new(Fixture::new(seed).await);
        fixture.count(SHOP, A, PIECES).await;
        fixture.split(parts).await;
        fixture.a_thousand_want_one(seed, &format!("seed {seed}, {parts} parts")).await;
    }
}
