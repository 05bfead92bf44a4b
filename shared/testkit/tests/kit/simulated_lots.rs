//! Lots as the simulator follows them, movement by movement.

use std::collections::BTreeMap;

use tillstream_testkit::simulator::parts::LotShelf;

#[test]
fn what_leaves_is_of_the_first_lots_and_what_comes_is_of_none() {
    let rank = |until: i64, id: &str| (until == 0, until, 1, id.to_owned());
    let lots = BTreeMap::from([(rank(50, "b"), (2, 0)), (rank(40, "a"), (3, 1)), (rank(0, "c"), (4, 0))]);
    let shelf = LotShelf { lots, unknown: 5 };
    let of = |shelf: &LotShelf| -> Vec<(String, (i64, i64))> {
        shelf.lots.iter().map(|(rank, there)| (rank.3.clone(), *there)).collect()
    };
    let told = |id: &str, for_sale, aside| (id.to_owned(), (for_sale, aside));
    assert_eq!(of(&shelf.clone().moved(-4)), [told("a", 0, 1), told("b", 1, 0), told("c", 4, 0)]);
    let sold_out = shelf.clone().moved(-15);
    assert_eq!((of(&sold_out), sold_out.unknown), (vec![told("a", 0, 1)], -1));
    assert_eq!(shelf.clone().moved(7), LotShelf { unknown: 12, ..shelf.clone() });
    // What is named leaves its lot, the rest the first ones; of what is not there somebody is to be told.
    let named = |lot: &str, quantity| BTreeMap::from([(lot.to_owned(), quantity)]);
    let few = named("c", 3);
    let (left, short) = shelf.clone().sold_as(&few, 4);
    assert_eq!(of(&left), [told("a", 2, 1), told("b", 2, 0), told("c", 1, 0)]);
    assert!(short.is_empty());
    let many = named("a", 5);
    let (left, short) = shelf.sold_as(&many, 5);
    assert_eq!(of(&left), [told("b", 1, 0), told("c", 4, 0)]);
    assert_eq!(short, [("a", true)]);
}
