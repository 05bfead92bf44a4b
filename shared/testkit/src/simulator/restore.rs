//! Restores of the orders table from a backup: when everybody has to stand still, what was lost by it, and from
//! where the new table's stream begins.
//!
//! What holds after one is what `infra/decisions/restore.md` promises: no number is given out twice; orders, shifts,
//! approvals, gift cards and uses are what they were at the backup, and what was done since; stock keeps what lost
//! orders took; figures have each number once, those of lost orders if they were counted before; HQ is told of no
//! version of an order twice.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use tillstream_app::database::Table;

use super::books::{Books, Of, Order};
use super::clients::Line;
use super::world::World;
use crate::memory_database::Snapshot;

/// How often whoever waits looks again.
const LOOKS_AGAIN: Duration = Duration::from_secs(5);

/// Restores of a run.
#[derive(Default)]
pub struct Restores {
    /// Whether nobody is to begin anything.
    is_closed: Cell<bool>,
    /// Clients of whom nothing is half done, and who wait.
    resting: Cell<usize>,
    /// Whether the relay is stopped.
    pub relay_stands: Cell<bool>,
    /// Up to which change the table's streams are those of tables that are not there any more.
    stream_ended: Cell<u64>,
    /// How many there were.
    pub count: Cell<u32>,
    /// Orders as they were when they were lost, or what became of them since the backup.
    pub lost: RefCell<Vec<(Of<String>, Order)>>,
    /// Shifts that were closed, and are not any more.
    pub lost_shifts: RefCell<BTreeSet<Of<String>>>,
}

/// The orders table at one moment, and what the clients knew.
pub struct Backup {
    orders: Snapshot,
    books: Books,
}

impl Restores {
    /// Waits while nobody is to begin anything.
    pub async fn rest(&self, line: &Line) {
        if !self.is_closed.get() {
            return;
        }
        self.resting.set(self.resting.get() + 1);
        while self.is_closed.get() && !line.is_over() {
            line.world.sleep_up_to(LOOKS_AGAIN).await;
        }
        self.resting.set(self.resting.get() - 1);
    }

    /// Lets nobody begin anything, and waits until nothing is half done. Who asks is a client, too.
    pub async fn close(&self, world: &World) {
        self.is_closed.set(true);
        while self.resting.get() + 1 < world.clients.get() && !world.has_failed() {
            world.sleep_up_to(LOOKS_AGAIN).await;
        }
    }

    /// Everybody goes on.
    pub fn open(&self) {
        self.is_closed.set(false);
    }

    /// From where a source of the orders' stream goes on that had come to `position`.
    pub fn stream_from(&self, position: u64) -> u64 {
        position.max(self.stream_ended.get())
    }

    /// Whether HQ may have been told of an order that is not there.
    pub fn may_miss(&self, tenant: &str, id: &str) -> bool {
        match id.strip_prefix('~') {
            Some(shift) => self.lost_shifts.borrow().contains(&(tenant.to_owned(), shift.to_owned())),
            None => self.lost.borrow().iter().any(|((of, lost), _)| of == tenant && lost == id),
        }
    }
}

impl Backup {
    /// As everything stands now, while nothing is half done.
    pub fn of(world: &World) -> Self {
        let orders = world.memory.snapshot(Table::Orders);
        Backup { orders, books: world.books.borrow().clone() }
    }

    /// Puts the table of the backup in the place of the one there is, and enters what was lost. Stock, catalogue,
    /// figures and deliveries stay.
    pub fn restore(self, world: &World) {
        let restores = &world.restores;
        world.memory.restore(self.orders);
        restores.stream_ended.set(world.memory.last_change(Table::Orders));
        restores.count.set(restores.count.get() + 1);
        let mut books = world.books.borrow_mut();
        let mut lost = restores.lost.borrow_mut();
        let is_lost = |key: &Of<String>, order: &Order| self.books.orders.get(key) != Some(order);
        lost.extend(
            books
                .orders
                .iter()
                .filter(|(key, order)| is_lost(key, order))
                .map(|(key, order)| (key.clone(), order.clone())),
        );
        let was_open = |key: &Of<String>| self.books.shifts.get(key).is_none_or(|shift| shift.z.is_none());
        let closed = books.shifts.iter().filter(|(key, shift)| shift.z.is_some() && was_open(key));
        restores.lost_shifts.borrow_mut().extend(closed.map(|(key, _)| key.clone()));
        let Books { orders, returned, shifts, approvals, gift_cards, .. } = self.books;
        (books.orders, books.returned, books.shifts) = (orders, returned, shifts);
        (books.approvals, books.gift_cards) = (approvals, gift_cards);
    }
}
