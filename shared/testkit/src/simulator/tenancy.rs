//! Whose items are written, and by whom: no command of a tenant writes below another's keys, whatever its code makes of
//! them, and no item or message is of two.
//!
//! Tenants of a run call their stores, registers, goods and carts the same, so that nothing but the tenant in a key tells
//! them apart. What their goods and people are called names the tenant: so what comes to another is seen.

use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tillstream_app::database::{Database, DatabaseError, Get, Item, Query, QueryPage, Table, Write};

use super::set_up::TENANTS;
use crate::memory_database::MemoryDatabase;

/// Partitions that are nobody's: the registry of tenants, which names one in its sort keys, and poison.
const REGISTRY: &str = "tenants";
const PARKED: &str = "parked";

/// Nobody's command goes on.
const NOBODY: usize = usize::MAX;

const ITS_KEYS: &str = "what a tenant does stays below its keys";
const ITS_ITEMS: &str = "an item is of the tenant of its key";
const ITS_MESSAGES: &str = "no message names two tenants";

/// An invariant that does not hold, and what was seen of it.
type Crossed = (&'static str, String);

/// Who acts, and what crossed from one tenant to another.
pub struct Tenancy {
    /// Place of the tenant whose command goes on among [`TENANTS`].
    acting: AtomicUsize,
    is_crossed: AtomicBool,
    crossed: Mutex<Option<Crossed>>,
}

impl Default for Tenancy {
    fn default() -> Self {
        Tenancy {
            acting: AtomicUsize::new(NOBODY),
            is_crossed: AtomicBool::new(false),
            crossed: Mutex::default(),
        }
    }
}

/// The tenant of a key.
fn owner_of<'a>(pk: &'a str, sk: &'a str) -> &'a str {
    if pk == REGISTRY { sk } else { pk.split('#').next().unwrap_or_default() }
}

/// Table, partition and sort key of the item that a write is about.
fn place_of(write: &Write) -> (Table, &str, &str) {
    match write {
        Write::Put { table, item, .. } => {
            (*table, item.opt_text("pk").unwrap_or_default(), item.opt_text("sk").unwrap_or_default())
        }
        Write::Update { table, key, .. }
        | Write::Delete { table, key, .. }
        | Write::Check { table, key, .. } => (*table, key.pk(), key.sk()),
    }
}

impl Tenancy {
    /// From now on a command of a tenant goes on; answers whose went on before.
    pub fn begin(&self, tenant: &str) -> usize {
        let place = TENANTS.iter().position(|known| *known == tenant).unwrap_or(NOBODY);
        self.acting.swap(place, Ordering::Relaxed)
    }

    /// What went on before goes on.
    pub fn end(&self, before: usize) {
        self.acting.store(before, Ordering::Relaxed);
    }

    /// What crossed, once something did.
    pub fn crossed(&self) -> Option<Crossed> {
        // Asked after every step.
        let is_crossed = self.is_crossed.load(Ordering::Relaxed);
        is_crossed.then(|| self.crossed.lock().unwrap_or_else(PoisonError::into_inner).take()).flatten()
    }

    fn cross(&self, invariant: &'static str, seen: String) {
        let mut crossed = self.crossed.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_crossed.swap(true, Ordering::Relaxed) {
            *crossed = Some((invariant, seen));
        }
    }

    /// Looks at a write before it is done.
    pub fn written(&self, write: &Write) {
        let (table, pk, sk) = place_of(write);
        self.below(table, pk, sk);
        if let Write::Put { item, .. } = write {
            self.named(table, item);
        }
    }

    /// Whether whoever acts may write there.
    fn below(&self, table: Table, pk: &str, sk: &str) {
        let acting = self.acting.load(Ordering::Relaxed);
        let Some(tenant) = TENANTS.get(acting) else { return };
        if owner_of(pk, sk) != *tenant && pk != PARKED {
            self.cross(ITS_KEYS, format!("a command of {tenant} writes {table:?} {pk} {sk}"));
        }
    }

    /// Whether an item says that it is of the tenant of its key.
    fn named(&self, table: Table, item: &Item) {
        let text = |name: &str| item.opt_text(name).unwrap_or_default();
        let named = item.opt_text("tenant_id").unwrap_or_default();
        if TENANTS.contains(&named) && text("pk") != PARKED && owner_of(text("pk"), text("sk")) != named {
            self.cross(ITS_ITEMS, format!("{table:?} {} {} is of {named}", text("pk"), text("sk")));
        }
    }

    /// Looks at a message.
    pub fn sent(&self, message: &[u8]) {
        let text = String::from_utf8_lossy(message);
        if TENANTS.iter().filter(|tenant| names(&text, tenant)).count() > 1 {
            self.cross(ITS_MESSAGES, text.into_owned());
        }
    }
}

/// Whether a text names a tenant: as a word, since ids that are drawn may hold any letters.
fn names(text: &str, tenant: &str) -> bool {
    let is_within = |next: Option<char>| next.is_some_and(char::is_alphanumeric);
    text.match_indices(tenant).any(|(at, found)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|after| after.chars().next());
        !is_within(before) && !is_within(after)
    })
}

/// What of an answer to one of `tenants` names another of them.
pub fn names_another<'a>(
    tenant: &str,
    tenants: impl Iterator<Item = &'a str>,
    answer: &impl Debug,
) -> Option<String> {
    let others: Vec<&str> = tenants.filter(|other| *other != tenant).collect();
    if others.is_empty() {
        return None;
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{answer:?}");
    let other = others.into_iter().find(|other| names(&text, other))?;
    Some(format!("{tenant} is told of {other}: {text}"))
}

/// The tables, at which is looked who writes what.
pub struct GuardedTables {
    /// The tables.
    pub inner: Arc<MemoryDatabase>,
    /// Who acts.
    pub tenancy: Arc<Tenancy>,
}

#[async_trait]
impl Database for GuardedTables {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.inner.get(get).await
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.inner.get_many(gets).await
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.inner.get_together(gets).await
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.inner.query(query).await
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.tenancy.written(&write);
        self.inner.write(write).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        writes.iter().for_each(|write| self.tenancy.written(write));
        self.inner.transact(writes).await
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        for item in &items {
            let text = |name: &str| item.opt_text(name).unwrap_or_default();
            self.tenancy.below(table, text("pk"), text("sk"));
            self.tenancy.named(table, item);
        }
        self.inner.put_many(table, items).await
    }
}
