//! Buy-gets and bundles against a second calculation that tries everything, piece by piece.

use super::super::*;
use super::fixtures::*;
use super::random_orders::Dice;

const SKUS: [&str; 4] = ["a", "b", "c", "d"];

/// Takes off a buy-get by laying all pieces in a row.
#[test]
fn a_buy_get_is_what_a_row_of_pieces_says() {
    for seed in 0..2_000 {
        let dice = &mut Dice::new(seed);
        let lines: Vec<(i64, i64)> =
            (0..dice.roll(1, 5)).map(|_| (dice.roll(1, 9), dice.roll(1, 7))).collect();
        let (buy, get) = (dice.roll(1, 3), dice.roll(1, 3));
        let mut row: Vec<i64> =
            lines.iter().flat_map(|(price, n)| (0..*n).map(move |_| price * 100)).collect();
        row.sort_unstable();
        let given = row.len() / usize::try_from(buy + get).unwrap() * usize::try_from(get).unwrap();
        let expected: i64 = row.iter().take(given).sum();
        let basket_lines =
            (1..).zip(&lines).map(|(n, (price, pieces))| line(n, "a", &price.to_string(), *pieces));
        let promotion = buy_get("p", u32::try_from(buy).unwrap(), u32::try_from(get).unwrap());
        let priced = price_with(basket_lines, [promotion]);
        assert_eq!(priced.amounts.discount_shown, expected, "{lines:?}, {buy} and {get}");
    }
}

/// Takes off a buy-get of two pools by trying every way to buy and give pieces.
struct Pools {
    /// Price of each piece, and whether it may be bought and may be given.
    pieces: Vec<(i64, bool, bool)>,
    buy: usize,
    get: usize,
}

impl Pools {
    /// Most groups, and the least that the pieces given in so many are worth.
    fn best(&self) -> (usize, i64) {
        let most = (0..=self.pieces.len()).rev();
        let mut found = most.map(|groups| (groups, self.worth(0, groups * self.buy, groups * self.get)));
        let (groups, worth) = found.find(|(_, worth)| worth.is_some()).unwrap();
        (groups, worth.unwrap())
    }

    /// The least that `give` pieces from `at` on are worth where `buy` others can be bought.
    fn worth(&self, at: usize, buy: usize, give: usize) -> Option<i64> {
        if (buy, give) == (0, 0) {
            return Some(0);
        }
        let (price, may_buy, may_give) = *self.pieces.get(at)?;
        let unused = self.worth(at + 1, buy, give);
        let bought = (may_buy && buy > 0).then(|| self.worth(at + 1, buy - 1, give)).flatten();
        let given = (may_give && give > 0).then(|| self.worth(at + 1, buy, give - 1)).flatten();
        [unused, bought, given.map(|worth| worth + price)].into_iter().flatten().min()
    }
}

#[test]
fn of_two_pools_the_cheapest_of_all_is_given() {
    let mut with_several = 0;
    for seed in 0..4_000 {
        let dice = &mut Dice::new(seed);
        let chosen = |dice: &mut Dice| -> Vec<&str> {
            let some: Vec<&str> = SKUS.into_iter().filter(|_| dice.roll(0, 1) == 1).collect();
            if some.is_empty() { SKUS.to_vec() } else { some }
        };
        let (bought, given) = (chosen(dice), chosen(dice));
        let (buy, get) = (dice.roll(1, 3), dice.roll(1, 2));
        let pieces: Vec<(i64, &str)> = (0..dice.roll(1, 9))
            .map(|_| (dice.roll(1, 9) * 100, SKUS[usize::try_from(dice.roll(0, 3)).unwrap()]))
            .collect();
        let of = |(price, sku): &(i64, &str)| (*price, bought.contains(sku), given.contains(sku));
        let pools = Pools {
            pieces: pieces.iter().map(of).collect(),
            buy: usize::try_from(buy).unwrap(),
            get: usize::try_from(get).unwrap(),
        };
        let (groups, worth) = pools.best();
        let lines = (1..).zip(&pieces).map(|(n, (price, sku))| line(n, sku, &format!("{}", price / 100), 1));
        let [buy, get] = [buy, get].map(|quantity| u32::try_from(quantity).unwrap());
        let promotion = buy_get_other("p", (&bought, buy), (&given, get), 10_000);
        let priced = price_with(lines, [promotion]);
        let uses = priced.promotion_uses.get("p").copied().unwrap_or(0);
        assert_eq!((priced.amounts.discount_shown, uses), (worth, u32::try_from(groups).unwrap()), "{seed}");
        with_several += u32::from(uses > 1);
    }
    assert!(with_several > 100, "{with_several}");
}

#[test]
fn of_two_pools_that_are_one_it_is_the_buy_get_of_one() {
    for seed in 0..2_000 {
        let dice = &mut Dice::new(seed);
        let lines: Vec<BasketLine> = (1..=u32::try_from(dice.roll(1, 5)).unwrap())
            .map(|n| line(n, "a", &format!("{}.33", dice.roll(1, 9)), dice.roll(1, 7)))
            .collect();
        let (buy, get) = (u32::try_from(dice.roll(1, 3)).unwrap(), u32::try_from(dice.roll(1, 3)).unwrap());
        let bps = u32::try_from(dice.roll(1, 10_000)).unwrap();
        let of_one = promotion("p", Benefit::BuyGet { buy, get, bps });
        let of_two = buy_get_other("p", (&["a"], buy), (&["a"], get), bps);
        // A pair afterwards, so that it shows which pieces were used.
        let pair = || Promotion { priority: 20, ..bundle("q", &[(&["a"], 2)], 100) };
        let [one, two] = [of_one, of_two].map(|first| price_with(lines.clone(), [first, pair()]));
        assert_eq!((off(&one), &one.promotion_uses), (off(&two), &two.promotion_uses), "{seed}");
    }
}

/// Pieces by price and SKU; what is in each bundle by component; the price of a bundle.
struct Trial {
    pieces: Vec<(i64, usize)>,
    components: Vec<(Vec<usize>, i64)>,
    price: i64,
}

impl Trial {
    /// The most that any number of bundles of any pieces saves.
    fn best(&self) -> i64 {
        let bundles = self.pieces.len()
            / self.components.iter().map(|(_, n)| usize::try_from(*n).unwrap()).sum::<usize>();
        let of = |bundles: usize| {
            let bundles = i64::try_from(bundles).unwrap();
            let room: Vec<i64> = self.components.iter().map(|(_, n)| n * bundles).collect();
            self.worth(0, room).map(|worth| worth - bundles * self.price)
        };
        (0..=bundles).filter_map(of).max().unwrap()
    }

    /// The most that pieces from `at` on are worth that fill exactly `room`, if any do.
    fn worth(&self, at: usize, room: Vec<i64>) -> Option<i64> {
        if room.iter().all(|left| *left == 0) {
            return Some(0);
        }
        let (price, sku) = self.pieces.get(at)?;
        let mut best = self.worth(at + 1, room.clone());
        for (component, (skus, _)) in self.components.iter().enumerate() {
            if skus.contains(sku) && room[component] > 0 {
                let mut rest = room.clone();
                rest[component] -= 1;
                best = best.max(self.worth(at + 1, rest).map(|worth| worth + price));
            }
        }
        best
    }
}

#[test]
fn a_bundle_is_the_best_of_all() {
    let mut with_several = 0;
    for seed in 0..3_000 {
        let dice = &mut Dice::new(seed);
        let component = |dice: &mut Dice| {
            let skus = (0..SKUS.len()).filter(|_| dice.roll(0, 1) == 1).collect();
            (skus, dice.roll(1, 2))
        };
        let trial = Trial {
            pieces: (0..dice.roll(1, 7))
                .map(|_| (dice.roll(1, 9) * 100, usize::try_from(dice.roll(0, 3)).unwrap()))
                .collect(),
            components: (0..dice.roll(1, 3)).map(|_| component(dice)).collect(),
            price: dice.roll(0, 12) * 100,
        };
        // An empty list chooses everything, here and there.
        let mut trial = trial;
        for (skus, _) in &mut trial.components {
            if skus.is_empty() {
                skus.extend(0..SKUS.len());
            }
        }
        let lines = (1..)
            .zip(&trial.pieces)
            .map(|(n, (price, sku))| line(n, SKUS[*sku], &format!("{}", price / 100), 1));
        let components = trial.components.iter().map(|(skus, quantity)| {
            let skus: Vec<&str> = skus.iter().map(|sku| SKUS[*sku]).collect();
            BundleComponent { selector: only(&skus), quantity: u32::try_from(*quantity).unwrap() }
        });
        let benefit = Benefit::Bundle { components: components.collect(), price: trial.price };
        let priced = price_with(lines, [promotion("p", benefit)]);
        assert_eq!(priced.amounts.discount_shown, trial.best(), "seed {seed}");
        with_several += u32::from(priced.promotion_uses.values().any(|uses| *uses > 1));
    }
    assert!(with_several > 100, "{with_several}");
}
