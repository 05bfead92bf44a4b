//! Many stock items whose lots are past their day at once: several are seen to at a time, and no tenant's backlog
//! keeps another's waiting.

use jiff::Timestamp;
use tillstream_app::database::{Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::lots::due;
use tillstream_app::tenancy::TenantScope;
use tillstream_testkit::due_lots::stock_of_due_lot;

use crate::counted_calls::CountedCalls;
use crate::fixture::{Fixture, put};

const SHOP: &str = "s-leeds";

impl Fixture {
    /// So many stock items of a tenant of which a lot is past its day since so many seconds.
    async fn lots_due(&self, tenant_id: &str, count: u64, seconds_ago: i64) {
        let scope = TenantScope::from_own_record(tenant_id);
        let due_at = self.environment.now().as_millisecond() - seconds_ago * 1_000;
        for n in 0..count {
            let sku = format!("L-{n:04}");
            let item = stock_of_due_lot(&scope, SHOP, &sku, n, due_at);
            put(&self.memory, Table::Stock, item).await;
        }
    }

    /// Stock items of a tenant of which a lot is due.
    fn still_due(&self, tenant_id: &str) -> usize {
        let is_due = |item: &&Item| {
            item.opt_text("tenant_id") == Some(tenant_id) && item.opt_number("lots_due_at").is_some()
        };
        self.memory.items(Table::Stock).iter().filter(is_due).count()
    }
}

#[tokio::test]
async fn one_tenants_backlog_leaves_the_others_their_turns() {
    let fixture = Fixture::new(1).await;
    fixture.lots_due("big", 400, 3_600).await;
    fixture.lots_due("small", 2, 1).await;
    fixture.lots_due("tiny", 1, 1).await;
    let now = fixture.environment.now();
    // Six turns, two for each; of which one has need of one only: what it leaves is for the others.
    assert_eq!(due::sweep(&fixture.ports, now, 6, Timestamp::MAX).await.unwrap(), 6);
    let left = || ["big", "small", "tiny"].map(|tenant_id| fixture.still_due(tenant_id));
    assert_eq!(left(), [397, 0, 0]);
    // Who is alone has all the turns, over all shards.
    assert_eq!(due::sweep(&fixture.ports, now, 10_000, Timestamp::MAX).await.unwrap(), 397);
    assert_eq!(left(), [0, 0, 0]);
}

#[tokio::test]
async fn several_are_seen_to_at_once_and_not_all() {
    let fixture = Fixture::new(2).await;
    fixture.lots_due("demo", 100, 1).await;
    let (ports, calls) = CountedCalls::ports_over(&fixture);
    let now = fixture.environment.now();
    assert_eq!(due::sweep(&ports, now, 1_000, Timestamp::MAX).await.unwrap(), 100);
    assert_eq!(fixture.still_due("demo"), 0);
    assert!((8..=16).contains(&calls.most_at_once()), "{}", calls.most_at_once());
}

#[tokio::test]
async fn nothing_is_begun_once_the_time_is_up() {
    let fixture = Fixture::new(3).await;
    fixture.lots_due("demo", 10, 1).await;
    let now = fixture.environment.now();
    assert_eq!(due::sweep(&fixture.ports, now, 1_000, now).await.unwrap(), 0);
    assert_eq!(fixture.still_due("demo"), 10);
}
