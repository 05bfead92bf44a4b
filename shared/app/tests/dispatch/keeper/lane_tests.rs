//! What a lane gave out and the figures or HQ lack is sent again: all of it, after some patience, and
//! nothing else.

use std::time::Duration;

use tillstream_app::database::{Change, Database, Table, Write};
use tillstream_testkit::memory_messaging::SendFault;
use tillstream_testkit::shop::STORE;

use super::fixture::{Keeping, Lost, MINUTE};

impl Keeping {
    /// What the last check missed, as it is kept for the next.
    async fn remembered(&self) -> Option<tillstream_app::database::Item> {
        self.item(Table::Catalog, self.shop.scope.walk(&format!("missing#{STORE}"))).await
    }

    /// Up to which number the deliveries of `r-1` are known to be whole.
    async fn verified(&self) -> Option<i64> {
        let key = self.shop.scope.verified_deliveries(STORE, "r-1", 0);
        self.item(Table::Dispatch, key).await.map(|item| item.number("through").unwrap())
    }
}

#[tokio::test]
async fn what_the_figures_or_hq_lack_is_sent_again() {
    for lost in [Lost::Event, Lost::Fact, Lost::Both] {
        let keeping = Keeping::new().await;
        keeping.sell("r-1", "a", Lost::Nothing).await;
        keeping.sell("r-1", "b", lost).await;
        assert_eq!(keeping.check().await, 0, "{lost:?}: it may be on its way");
        keeping.pass(MINUTE);
        assert_eq!(keeping.check().await, 1, "{lost:?}");
        assert_eq!((keeping.stream.all().len(), keeping.deliveries()), (2, 2), "{lost:?}: each once");
        keeping.fold().await;
        keeping.pass(MINUTE);
        assert_eq!(keeping.check().await, 0, "{lost:?}: nothing is missing any more");
    }
}

#[tokio::test]
async fn what_could_not_be_sent_again_does_not_count_as_sent_and_is_tried_anew() {
    let keeping = Keeping::new().await;
    for cart in ["a", "b", "c"] {
        keeping.sell("r-1", cart, Lost::Event).await;
    }
    keeping.check().await;
    keeping.pass(MINUTE);
    keeping.stream.fail_next(SendFault::Refuses([1].into()));
    assert_eq!(keeping.check().await, 2);
    keeping.fold().await;
    keeping.pass(MINUTE);
    assert_eq!(keeping.check().await, 1);
    assert_eq!(keeping.stream.all().len(), 3);
}

/// A check costs a store that lost nothing no write.
#[tokio::test]
async fn where_nothing_is_missing_nothing_is_written() {
    let keeping = Keeping::new().await;
    keeping.sell("r-1", "a", Lost::Nothing).await;
    assert_eq!((keeping.check().await, keeping.remembered().await), (0, None));

    // Once something was missing, that it came is written, once.
    keeping.sell("r-1", "b", Lost::Both).await;
    keeping.check().await;
    keeping.relay("b", Lost::Nothing).await;
    keeping.pass(MINUTE);
    keeping.check().await;
    let all = |table| keeping.memory.items(table);
    let before = (all(Table::Catalog), all(Table::Dispatch));
    keeping.pass(MINUTE);
    keeping.check().await;
    assert_eq!((all(Table::Catalog), all(Table::Dispatch)), before);
}

/// However closely checks follow each other: patience is counted from the first that missed it.
#[tokio::test]
async fn what_is_missing_for_twenty_seconds_is_sent_again() {
    let keeping = Keeping::new().await;
    keeping.sell("r-1", "a", Lost::Both).await;
    let mut waited = 0;
    for (millis, sent) in [(0, 0), (5_000, 0), (10_000, 0), (19_999, 0), (20_000, 1)] {
        keeping.pass(Duration::from_millis(millis - waited));
        waited = millis;
        assert_eq!(keeping.check().await, sent, "after {millis} ms");
    }
}

/// What came by itself is forgotten at once, so that what is missing next has its own patience.
#[tokio::test]
async fn a_loss_soon_after_another_was_mended_waits_no_longer() {
    let keeping = Keeping::new().await;
    keeping.sell("r-1", "a", Lost::Both).await;
    keeping.check().await;
    keeping.pass(Duration::from_secs(10));
    keeping.relay("a", Lost::Nothing).await;
    keeping.check().await;
    keeping.pass(Duration::from_secs(5));
    keeping.sell("r-1", "b", Lost::Both).await;
    assert_eq!(keeping.check().await, 0);
    keeping.pass(Duration::from_secs(20));
    assert_eq!(keeping.check().await, 1);
}

/// Each number is looked at about once: what is known to be whole is left out, and what comes after it
/// is judged by itself.
#[tokio::test]
async fn deliveries_are_verified_from_where_they_were_whole() {
    let keeping = Keeping::new().await;
    let check_in_a_minute = async || {
        keeping.pass(MINUTE);
        keeping.check().await
    };
    for cart in ["a-1", "a-2", "a-3"] {
        keeping.sell("r-1", cart, Lost::Nothing).await;
    }
    assert_eq!((check_in_a_minute().await, keeping.verified().await), (0, Some(3)));
    for cart in ["a-4", "a-5"] {
        keeping.sell("r-1", cart, Lost::Nothing).await;
    }
    for _ in 0..2 {
        assert_eq!((check_in_a_minute().await, keeping.verified().await), (0, Some(5)));
    }
    for cart in ["a-6", "a-7"] {
        keeping.sell("r-1", cart, Lost::Both).await;
    }
    assert_eq!(check_in_a_minute().await, 0, "never missed before");
    assert_eq!((check_in_a_minute().await, keeping.deliveries()), (2, 7), "these and no others");
    keeping.fold().await;
    assert_eq!((check_in_a_minute().await, keeping.verified().await), (0, Some(7)));
}

#[tokio::test]
async fn deliveries_without_the_first_are_whole_up_to_nowhere() {
    let keeping = Keeping::new().await;
    keeping.sell("r-1", "a", Lost::Fact).await;
    keeping.sell("r-1", "b", Lost::Nothing).await;
    assert_eq!((keeping.check().await, keeping.verified().await), (0, None));
}

/// After a restore from backup the numbers begin anew in another epoch: that those of the old one were
/// whole says nothing.
#[tokio::test]
async fn each_epoch_of_a_lane_is_looked_after() {
    let keeping = Keeping::new().await;
    for cart in ["a-1", "a-2", "a-3"] {
        keeping.sell("r-1", cart, Lost::Nothing).await;
    }
    keeping.check().await;
    assert_eq!(keeping.verified().await, Some(3));
    let key = keeping.shop.scope.lane(STORE, "r-1");
    let changes = vec![Change::Set("epoch", 1.into()), Change::Set("last", 0.into())];
    let write = Write::Update { table: Table::Orders, key, changes, condition: None };
    keeping.memory.write(write).await.unwrap();
    for cart in ["b-1", "b-2"] {
        keeping.sell("r-1", cart, Lost::Both).await;
    }
    keeping.check().await;
    keeping.pass(MINUTE);
    assert_eq!(keeping.check().await, 2);
    assert_eq!((keeping.stream.all().len(), keeping.deliveries()), (5, 5));
}
