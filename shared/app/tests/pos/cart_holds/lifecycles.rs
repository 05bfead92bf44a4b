//! A thousand carts at random: added to, changed, parked, given up, sold or forgotten, over stock that is split and
//! merged under them. Whatever comes of each, what is reserved is what is held, and in the end nothing is.

use tillstream_domain::cart::CartState;

use super::*;

const SEEDS: u64 = 25;
const CARTS: usize = 40;
/// So many are open at once.
const AT_ONCE: usize = 5;
const PIECES: i64 = 60;
const SET: &str = "SET";

/// A cart that is open.
struct Open {
    id: String,
    /// Line number, SKU, pieces.
    lines: Vec<(u32, &'static str, i64)>,
    /// Whether what it holds may be over.
    is_old: bool,
    keys: u32,
}

impl Open {
    fn key(&mut self) -> String {
        self.keys += 1;
        format!("{}-{}", self.id, self.keys)
    }

    /// What it takes of the two.
    fn taken(&self) -> (i64, i64) {
        self.lines.iter().fold((0, 0), |(a, b), (_, sku, pieces)| match *sku {
            A => (a + pieces, b),
            B => (a, b + pieces),
            _ => (a + 2 * pieces, b + pieces),
        })
    }
}

struct Day {
    world: World,
    sold: (i64, i64),
    ended: usize,
    refused: usize,
}

impl Day {
    fn below(&self, most: usize) -> usize {
        usize::try_from(self.world.environment.random() % u64::try_from(most).unwrap()).unwrap()
    }

    fn pieces_wanted(&self) -> i64 {
        i64::try_from(1 + self.below(6)).unwrap()
    }

    /// One step of a cart; `None`: it came to its end.
    async fn step(&mut self, mut cart: Open) -> Option<Open> {
        let world = self.world.clone();
        let roll = self.below(100);
        let at = if cart.lines.is_empty() { 0 } else { self.below(cart.lines.len()) };
        match roll {
            0..45 => {
                let sku = [A, B, SET][self.below(3)];
                let (pieces, key) = (self.pieces_wanted(), cart.key());
                match world.add(&key, &cart.id, sku, pieces).await {
                    Ok(answered) => {
                        let line = answered.reply.result.line_id.clone().unwrap();
                        let number = line.trim_start_matches("l-").parse().unwrap();
                        cart.lines.push((number, sku, pieces));
                        assert!(world.add(&key, &cart.id, sku, pieces).await.unwrap().replayed);
                    }
                    Err(error) => {
                        assert_eq!(error.code(), Some("insufficient_stock"), "{error}");
                        self.refused += 1;
                    }
                }
            }
            45..60 if !cart.lines.is_empty() => {
                let (number, _, before) = cart.lines[at];
                let (pieces, key) = (self.pieces_wanted(), cart.key());
                match world.change(&key, &cart.id, &format!("l-{number}"), pieces).await {
                    Ok(_) => cart.lines[at].2 = pieces,
                    Err(error) => {
                        assert_eq!(error.code(), Some("insufficient_stock"), "{error}");
                        assert!(pieces > before, "less is never refused");
                        self.refused += 1;
                    }
                }
            }
            60..70 if !cart.lines.is_empty() => {
                let key = cart.key();
                let (number, ..) = cart.lines.remove(at);
                world.remove(&key, &cart.id, &format!("l-{number}")).await.unwrap();
            }
            70..73 => {
                let of = json!({"cart_id": cart.id});
                let (park, recall) = (cart.key(), cart.key());
                world.shop.command(&park, "park_cart", of.clone()).await.unwrap();
                world.shop.command(&recall, "recall_cart", of).await.unwrap();
            }
            73..78 => {
                world.void(&cart.id).await.unwrap();
                return self.end();
            }
            // Nobody comes back.
            78..81 => return self.end(),
            81..100 if !cart.lines.is_empty() => {
                let done = world.sell(&cart.id).await;
                if let Err(error) = &done {
                    assert_eq!(error.code(), Some("insufficient_stock"), "{error}");
                    assert!(cart.is_old, "what a cart holds it is sold");
                    self.refused += 1;
                    world.void(&cart.id).await.unwrap();
                    return self.end();
                }
                assert!(world.shop.finalize("r-1", &cart.id).await.unwrap().replayed);
                let (a, b) = cart.taken();
                self.sold = (self.sold.0 + a, self.sold.1 + b);
                return self.end();
            }
            _ => {}
        }
        Some(cart)
    }

    fn end(&mut self) -> Option<Open> {
        self.ended += 1;
        None
    }

    /// What happens beside: stock is laid out anew, and time goes by.
    async fn beside(&self, open: &mut [Open]) {
        let (ports, scope) = (&self.world.shop.ports, &self.world.shop.scope);
        match self.below(60) {
            0 => drop(split(ports, scope, STORE, A, 4).await.unwrap()),
            1 => make_whole(ports, scope, STORE, A).await.unwrap(),
            2 => {
                self.world.wait();
                open.iter_mut().for_each(|cart| cart.is_old = true);
            }
            3 => self.world.sweep().await,
            _ => {}
        }
    }

    async fn add_up(&self) {
        let (a, b) = (self.world.pieces(A).await, self.world.pieces(B).await);
        assert_eq!((a.0, b.0), (PIECES - self.sold.0, PIECES - self.sold.1), "on hand is what was not sold");
        assert!(a.2 >= 0 && b.2 >= 0, "{a:?} {b:?}");
    }
}

#[tokio::test]
async fn a_thousand_carts_leave_nothing_held() {
    let (mut ended, mut refusals, mut sold) = (0, 0, 0);
    for seed in 0..SEEDS {
        let world = World::that_holds(7_000 + seed, PIECES).await;
        world.shop.kit(SET, "5.00", &[(A, 2), (B, 1)]).await.unwrap();
        let mut day = Day { world, sold: (0, 0), ended: 0, refused: 0 };
        let (mut open, mut begun): (Vec<Open>, usize) = (Vec::new(), 0);
        while day.ended < CARTS {
            if begun < CARTS && open.len() < AT_ONCE {
                let id = format!("c-{begun}");
                begun += 1;
                day.world.open(&id).await;
                open.push(Open { id, lines: Vec::new(), is_old: false, keys: 0 });
            }
            let at = day.below(open.len());
            let cart = open.swap_remove(at);
            open.extend(day.step(cart).await);
            day.beside(&mut open).await;
            day.add_up().await;
        }
        day.world.wait();
        day.world.sweep().await;
        day.add_up().await;
        assert!(day.world.lines().is_empty(), "{seed}");
        assert_eq!((day.world.pieces(A).await.1, day.world.pieces(B).await.1), (0, 0), "{seed}");
        // No cart that is final names a hold.
        let named = day.world.database.items(Table::Orders).into_iter().filter(|item| {
            item.get("holds").is_some() && item.opt_text("state") == Some(CartState::Finalized.name())
        });
        assert_eq!(named.count(), 0, "{seed}");
        ended += day.ended;
        refusals += day.refused;
        sold += day.sold.0 + day.sold.1;
    }
    assert_eq!(ended, 1_000);
    assert!(refusals > 100 && sold > 500, "{refusals} refusals, {sold} sold: little was tried");
}
