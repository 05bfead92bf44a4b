//! Which days the keeper has marked, makes, and leaves to its next run, and what it writes of them.

use std::collections::BTreeSet;

use jiff::civil::Date;
use tillstream_app::aggregation::coarse;
use tillstream_app::aggregation::stored::StoredContent;
use tillstream_app::database::*;
use tillstream_app::tenancy::TenantScope;
use tillstream_domain::aggregates::coarse_page::{ProductBlock, SalesPage};
use tillstream_testkit::made_up_sales::*;
use tillstream_testkit::memory_database::MemoryDatabase;

use crate::fixture::*;

/// A coarse page as it is stored: of whom, and whether it is empty.
struct Coarse {
    pk: String,
    members: BTreeSet<String>,
    is_empty: bool,
}

fn coarse_pages(database: &MemoryDatabase) -> Vec<Coarse> {
    let items = database.items(Table::Analytics);
    let coarse = items.iter().filter(|item| item.text("sk").unwrap().starts_with("coarse-"));
    let page = |item: &Item| {
        let (pk, body) = (item.text("pk").unwrap().to_owned(), item.bytes("body").unwrap());
        if item.text("sk").unwrap().starts_with("coarse-products#") {
            let block = ProductBlock::of_bytes(body).unwrap();
            Coarse { pk, is_empty: block.products.is_empty(), members: block.members }
        } else {
            let page = SalesPage::of_bytes(body).unwrap();
            let is_empty = page.slots.is_empty();
            Coarse { pk, is_empty, members: page.members.into_values().flatten().collect() }
        }
    };
    coarse.map(page).collect()
}

#[test]
fn a_store_alone_is_merged_with_none() {
    run(async {
        let (shop, database) = stores().await;
        fold_all(&shop.ports, &[sale_on(STORE, "r-1", 1, 0)]).await;
        // The second store tells days as the first does, but has sold nothing.
        assert_eq!(keep(&shop.ports, "2010-12-31", 50).await.unwrap(), 0);
        let first = record(&shop.ports, STORE).await;
        assert_eq!((first.calendar, first.unmerged.len()), (None, 0));
        let merged =
            || coarse_pages(&database).into_iter().filter(|page| page.pk.contains("#stores#")).count();
        assert_eq!(merged(), 0);

        fold_all(&shop.ports, &[sale_on("s-2", "r-1", 1, 0)]).await;
        assert_eq!(keep(&shop.ports, "2010-12-31", 50).await.unwrap(), 0);
        for id in [STORE, "s-2"] {
            assert!(record(&shop.ports, id).await.is_merged("Europe/London 00:00", day(0)), "{id}");
        }
        assert!(merged() > 0);
        assert!(coarse_pages(&database).iter().all(|page| !page.is_empty), "what is empty needs no item");
    });
}

#[test]
fn a_merge_of_some_days_says_how_many_remain_and_leaves_them_marked() {
    run(async {
        let (shop, _) = stores().await;
        let sold = [(STORE, 0), (STORE, 1), (STORE, 2), ("s-2", 0)];
        let events: Vec<_> = (1..).zip(sold).map(|(n, (id, day))| sale_on(id, "r-1", n, day)).collect();
        fold_all(&shop.ports, &events).await;
        let mut locations = Vec::new();
        for id in [STORE, "s-2"] {
            coarse::refresh(&shop.ports, &shop.scope, id, day(9), 50).await.unwrap();
            locations.push(store(&shop.ports, id).await);
        }
        for left in [vec![day(1), day(2)], vec![day(2)], vec![]] {
            let merged = coarse::merge(&shop.ports, &shop.scope, &locations, 1).await;
            assert_eq!(merged.unwrap(), left.len());
            let unmerged: Vec<Date> = record(&shop.ports, STORE).await.unmerged.into_keys().collect();
            assert_eq!(unmerged, left);
        }
    });
}

/// Where a store was before it told days otherwise, the others are merged without it, also on days when
/// none of them sold anything.
#[test]
fn a_store_that_leaves_its_calendar_is_in_none_of_its_pages() {
    run(async {
        let (shop, database) = stores().await;
        shop.store("s-4").await.unwrap();
        let zone = async |id: &str, zone: &str| {
            set_store(&shop.ports, id, |store| store.time_zone = zone.to_owned()).await;
        };
        zone(STORE, "Europe/Lisbon").await;
        zone("s-3", "Europe/London").await;
        let sold = [(STORE, 40), ("s-2", 40), ("s-3", 0), ("s-3", 40), ("s-4", 40)];
        let events: Vec<_> = (1..).zip(sold).map(|(n, (id, day))| sale_on(id, "r-1", n, day)).collect();
        fold_all(&shop.ports, &events).await;
        let keep_all = async || {
            let mut locations = Vec::new();
            for id in [STORE, "s-2", "s-3", "s-4"] {
                coarse::refresh(&shop.ports, &shop.scope, id, day(60), 50).await.unwrap();
                locations.push(store(&shop.ports, id).await);
            }
            coarse::merge(&shop.ports, &shop.scope, &locations, 50).await.unwrap()
        };
        let with_third = || {
            let pages = coarse_pages(&database).into_iter();
            pages.filter(|page| page.pk.contains("London") && page.members.contains("s-3")).count()
        };
        while keep_all().await > 0 {}
        assert!(with_third() > 0);
        zone("s-3", "Europe/Lisbon").await;
        while keep_all().await > 0 {}
        assert_eq!(with_third(), 0);
        assert!(record(&shop.ports, "s-2").await.is_merged("Europe/London 00:00", day(40)));
    });
}

/// Days that were closed before keep what was settled of them; those that are not over yet are not
/// touched.
#[test]
fn closing_more_days_marks_these_and_no_others() {
    run(async {
        let (fine, _) = shop().await;
        let (live, _) = shop().await;
        let refresh = async |through: Date, days_max: usize| {
            let scope = TenantScope::from_own_record(TENANT);
            coarse::refresh(&live.ports, &scope, STORE, through, days_max).await.unwrap()
        };
        let sold = async |number: u64, n_day: u64| {
            for shop in [&fine, &live] {
                fold_all(&shop.ports, &[sale_on(STORE, "r-1", number, n_day)]).await;
            }
        };
        sold(1, 0).await;
        assert_eq!(refresh(day(0), 50).await, 0);
        sold(2, 3).await;
        sold(3, 9).await;
        let marked = refresh(day(5), 0).await;
        let changed = record(&live.ports, STORE).await.changed;
        assert_eq!(changed.len(), marked);
        assert!(changed.contains_key(&day(3)));
        assert!(changed.keys().all(|changed| (day(1)..=day(5)).contains(changed)), "{changed:?}");
        assert_eq!(refresh(day(5), 50).await, 0);
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
    });
}
