//! A page of a list: keys from an index, items by batch read, filtered, with a bound on what one page
//! examines.

use std::collections::BTreeMap;

use crate::cursor::PagedQuery;
use crate::database::{Index, Item, Key, Partition, Query, Range, StartKey, Table};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

use super::items::catalog_get;

/// Most items one page examines where a filter lets few pass; then it answers what it found, and a
/// cursor.
const EXAMINED_MAX: usize = 1_000;
/// Keys asked for at a time: what one batch read takes.
const CHUNK: u32 = 100;
/// Most queries for one page.
const QUERIES_MAX: usize = 50;
/// Between the parts of a position; no sort key holds control characters.
const SEPARATOR: char = '\u{1f}';

/// A page: what was found, and the cursor that goes on.
pub type Page<T> = (Vec<T>, Option<String>);

/// What is walked.
pub(crate) struct IndexWalk<'a> {
    /// Whose.
    pub scope: &'a TenantScope,
    /// `product` or `location`.
    pub kind: &'static str,
    /// Key of an id of that kind.
    pub key_of: fn(&TenantScope, &str) -> Key,
    /// Which index.
    pub index: Index,
    /// Which partition of it.
    pub partition: Partition,
    /// Which part of that.
    pub range: Range,
    /// What cursors are bound to.
    pub paged: PagedQuery,
    /// Most items of the page.
    pub limit: u32,
}

impl IndexWalk<'_> {
    fn start(&self, position: &str) -> Result<StartKey> {
        let (sort, id) = position.split_once(SEPARATOR).ok_or_else(|| Error::bug("position without id"))?;
        let key = (self.key_of)(self.scope, id);
        let (_, partition, sort_attribute, _) = self.index.shape();
        Ok(StartKey(BTreeMap::from([
            ("pk".to_owned(), key.pk().into()),
            ("sk".to_owned(), key.sk().into()),
            (partition.to_owned(), self.partition.value().into()),
            (sort_attribute.to_owned(), sort.into()),
        ])))
    }

    fn position(&self, entry: &Item) -> Result<String> {
        let (_, _, sort_attribute, _) = self.index.shape();
        let id = self
            .scope
            .id_of(self.kind, &Key::of(entry)?)
            .ok_or_else(|| Error::bug("an index entry of another kind"))?;
        Ok(format!("{}{SEPARATOR}{id}", entry.text(sort_attribute)?))
    }

    /// One page. `admit` reads an item and answers nothing where the filter does not let it pass; the
    /// index may lag behind the item, so it must look at the item itself.
    ///
    /// # Errors
    /// 400 `cursor_malformed`; [`Error::Retryable`].
    pub(crate) async fn page<T>(
        &self,
        ports: &Ports,
        cursor: Option<&str>,
        admit: impl Fn(&Item) -> Result<Option<T>>,
    ) -> Result<Page<T>> {
        let limit = usize::try_from(self.limit).map_err(Error::bug)?;
        let mut start = match cursor {
            Some(cursor) => Some(self.start(&self.paged.position(cursor)?)?),
            None => None,
        };
        let (mut found, mut examined, mut last) = (Vec::new(), 0, None);
        for _ in 0..QUERIES_MAX {
            let page = ports
                .database
                .query(Query {
                    range: self.range.clone(),
                    limit: CHUNK,
                    start: start.take(),
                    ..Query::index(Table::Catalog, self.index, self.partition.clone())
                })
                .await?;
            let keys = page.items.iter().map(Key::of).collect::<Result<Vec<_>>>()?;
            let items = ports.database.get_many(keys.into_iter().map(catalog_get).collect()).await?;
            let count = page.items.len();
            for (place, (entry, item)) in page.items.iter().zip(items).enumerate() {
                examined += 1;
                last = Some(self.position(entry)?);
                if let Some(item) = item
                    && let Some(thing) = admit(&item)?
                {
                    found.push(thing);
                }
                let more = place + 1 < count || page.next.is_some();
                if more && (found.len() >= limit || examined >= EXAMINED_MAX) {
                    return Ok((found, last.map(|position| self.paged.cursor(&position))));
                }
            }
            match page.next {
                None => return Ok((found, None)),
                next => start = next,
            }
        }
        match last {
            Some(position) => Ok((found, Some(self.paged.cursor(&position)))),
            None => Err(Error::retryable("the index answered only empty pages")),
        }
    }
}
