//! Pages of an index of stock whose sort keys end in the id of what they list.

use serde::{Deserialize, Serialize};

use crate::cursor::PagedQuery;
use crate::database::{Consistency, Get, Index, Item, Key, Partition, Query, StartKey, Table, Value};
use crate::error::{Error, Result};
use crate::ports::Ports;

/// A list of an index of the stock table.
pub(crate) struct IndexList<'a> {
    /// What cursors are bound to.
    pub(crate) paged: PagedQuery,
    /// The index.
    pub(crate) index: Index,
    /// Its partition and sort attributes.
    pub(crate) names: (&'static str, &'static str),
    /// The list's partition of it.
    pub(crate) partition: Partition,
    /// Where something of an id is kept.
    pub(crate) key_of: &'a (dyn Fn(&str) -> Key + Sync),
}

/// A page of a list.
pub(crate) struct IndexPage {
    /// What it lists, as it is now: what has left the list since the index was written is not there.
    pub(crate) items: Vec<Item>,
    /// The cursor of the next page.
    pub(crate) next_cursor: Option<String>,
}

/// Where the next page begins.
#[derive(Serialize, Deserialize)]
struct Position {
    /// Id of the last one taken.
    #[serde(rename = "i")]
    id: String,
    /// Its sort key in the index.
    #[serde(rename = "s")]
    sort: String,
}

impl IndexList<'_> {
    /// The page that `cursor` leads to, of at most `limit`.
    ///
    /// # Errors
    /// 400 `cursor_malformed`.
    pub(crate) async fn page(&self, ports: &Ports, limit: u32, cursor: Option<&str>) -> Result<IndexPage> {
        let position = cursor.map(|cursor| self.paged.typed_position(cursor)).transpose()?;
        // One more than wanted, so that a full page knows whether it is the last.
        let query = Query {
            limit: limit.saturating_add(1),
            start: position.map(|position: Position| self.start_after(position)),
            ..Query::index(Table::Stock, self.index, self.partition.clone())
        };
        let page = ports.database.query(query).await?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = page.items.len() > wanted || page.next.is_some();
        let listed: Vec<&Item> = page.items.iter().take(wanted).collect();
        let get = |item: &&Item| {
            Ok(Get { table: Table::Stock, key: Key::of(item)?, consistency: Consistency::Strong })
        };
        let found = ports.database.get_many(listed.iter().map(get).collect::<Result<_>>()?).await?;
        let is_listed = |item: &Item| item.opt_text(self.names.0) == Some(self.partition.value());
        let items = found.into_iter().flatten().filter(is_listed).collect();
        let last = listed.last().filter(|_| more).map(|last| {
            let sort = last.text(self.names.1)?.to_owned();
            let id = sort.split_once('#').map(|(_, id)| id).unwrap_or_default().to_owned();
            serde_json::to_string(&Position { id, sort }).map_err(Error::bug)
        });
        let next_cursor = last.transpose()?.map(|position| self.paged.cursor(&position));
        Ok(IndexPage { items, next_cursor })
    }

    fn start_after(&self, position: Position) -> StartKey {
        let key = (self.key_of)(&position.id);
        let names = [
            ("pk", key.pk().to_owned()),
            ("sk", key.sk().to_owned()),
            (self.names.0, self.partition.value().to_owned()),
            (self.names.1, position.sort),
        ];
        StartKey(names.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
    }
}
