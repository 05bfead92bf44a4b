//! The database port on DynamoDB.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, ConsumedCapacity, Delete, Get as TransactGet, KeysAndAttributes, Put,
    PutRequest, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure, TransactGetItem,
    TransactWriteItem, Update, WriteRequest,
};
use aws_types::SdkConfig;
use futures::{StreamExt, TryStreamExt, stream};
use tillstream_app::capacity::{CapacityKind, CapacityObserver, Consumed, Operation};
use tillstream_app::database::{
    Condition, Consistency, Database, DatabaseError, Get, Index, Item, Key, Query, QueryPage, Range,
    StartKey, TRANSACTION_ACTIONS_MAX, Table, Write,
};
use tillstream_app::environment::{Environment, backoff};
use tillstream_app::request_token::request_token;

use crate::attribute_values::{key_attributes, to_attribute, to_attributes, to_item};
use crate::clients::{TableNames, no_retries};
use crate::errors::{
    database_error, delete_error, put_error, transaction_error, transaction_read_error, update_error,
};
use crate::expressions::Placeholders;

/// Most keys of one BatchGetItem.
const BATCH_READS_MAX: usize = 100;
/// Most items of one BatchWriteItem.
const BATCH_WRITES_MAX: usize = 25;
/// Round trips of one call under way at once: a cart of 5,000 lines is 50 of them.
const ROUND_TRIPS_AT_ONCE: usize = 4;
/// How often what a batch left out is sent again.
const BATCH_ATTEMPTS_MAX: u32 = 8;

const ALL_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

/// DynamoDB.
#[derive(Clone)]
pub struct DynamoDb {
    client: Client,
    /// For single writes: it sends each once. A client of its own, since another configuration by the call is put
    /// together anew for each.
    once: Client,
    tables: TableNames,
    environment: Arc<dyn Environment>,
    observer: Option<Arc<dyn CapacityObserver>>,
}

impl DynamoDb {
    /// On these tables.
    pub fn new(config: &SdkConfig, tables: TableNames, environment: Arc<dyn Environment>) -> Self {
        let once = aws_sdk_dynamodb::config::Builder::from(config).retry_config(no_retries()).build();
        DynamoDb {
            client: Client::new(config),
            once: Client::from_conf(once),
            tables,
            environment,
            observer: None,
        }
    }

    /// Asks DynamoDB what each call cost, and tells `observer`.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn CapacityObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    fn capacity(&self) -> Option<ReturnConsumedCapacity> {
        self.observer.as_ref().map(|_| ReturnConsumedCapacity::Indexes)
    }

    fn tell<'a>(
        &self,
        operation: Operation,
        kind: CapacityKind,
        consumed: impl IntoIterator<Item = &'a ConsumedCapacity>,
    ) {
        if let Some(observer) = &self.observer {
            let consumed: Vec<Consumed> =
                consumed.into_iter().flat_map(|one| consumed_units(&self.tables, kind, one)).collect();
            observer.consumed(operation, &consumed);
        }
    }

    async fn get_round(
        &self,
        keys: Vec<(Table, Key)>,
        strong: &BTreeMap<Table, bool>,
    ) -> Result<Found, DatabaseError> {
        let mut wanted: HashMap<String, KeysAndAttributes> = HashMap::new();
        let mut by_table: BTreeMap<Table, Vec<HashMap<String, AttributeValue>>> = BTreeMap::new();
        for (table, key) in &keys {
            by_table.entry(*table).or_default().push(key_attributes(key));
        }
        for (table, keys) in by_table {
            let consistent = strong.get(&table).copied().unwrap_or(false);
            let reads = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(consistent);
            wanted.insert(self.tables.of(table)?.to_owned(), reads.build().map_err(unbuilt)?);
        }
        let mut found = Found::new();
        for attempt in 1..=BATCH_ATTEMPTS_MAX {
            let answer = self
                .client
                .batch_get_item()
                .set_request_items(Some(wanted))
                .set_return_consumed_capacity(self.capacity())
                .send()
                .await
                .map_err(|error| database_error(&error))?;
            self.tell(Operation::GetMany, CapacityKind::Read, answer.consumed_capacity());
            for (name, items) in answer.responses.unwrap_or_default() {
                let table = self.tables.table(&name).ok_or_else(|| unasked(&name))?;
                for item in items {
                    let item = to_item(item)?;
                    let key = Key::of(&item).map_err(|error| DatabaseError::Invalid(error.to_string()))?;
                    found.insert((table, key), item);
                }
            }
            wanted = answer.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                return Ok(found);
            }
            self.wait(attempt).await;
        }
        Err(DatabaseError::Throttled(format!("BatchGetItem left keys out {BATCH_ATTEMPTS_MAX} times")))
    }

    async fn put_round(&self, table: Table, items: &[Item]) -> Result<(), DatabaseError> {
        let mut requests = Vec::with_capacity(items.len());
        for item in items {
            let put = PutRequest::builder().set_item(Some(to_attributes(item))).build().map_err(unbuilt)?;
            requests.push(WriteRequest::builder().put_request(put).build());
        }
        let mut wanted = HashMap::from([(self.tables.of(table)?.to_owned(), requests)]);
        for attempt in 1..=BATCH_ATTEMPTS_MAX {
            let answer = self
                .client
                .batch_write_item()
                .set_request_items(Some(wanted))
                .set_return_consumed_capacity(self.capacity())
                .send()
                .await
                .map_err(|error| database_error(&error))?;
            self.tell(Operation::PutMany, CapacityKind::Write, answer.consumed_capacity());
            wanted = answer.unprocessed_items.unwrap_or_default();
            if wanted.is_empty() {
                return Ok(());
            }
            self.wait(attempt).await;
        }
        // Some were put, and putting them again does no harm.
        Err(DatabaseError::Unavailable(format!("BatchWriteItem left items out {BATCH_ATTEMPTS_MAX} times")))
    }

    async fn wait(&self, attempt: u32) {
        let time =
            backoff(&*self.environment, attempt, Duration::from_millis(25), Duration::from_millis(1_000));
        self.environment.sleep(time).await;
    }

    fn transact_action(&self, write: &Write) -> Result<TransactWriteItem, DatabaseError> {
        let mut with = Placeholders::default();
        let condition = |with: &mut Placeholders, condition: &Option<Condition>| {
            condition.as_ref().map(|condition| with.condition(condition)).transpose()
        };
        let action = TransactWriteItem::builder();
        Ok(match write {
            Write::Put { table, item, condition: only_if } => {
                let expression = condition(&mut with, only_if)?;
                let put = Put::builder()
                    .table_name(self.tables.of(*table)?)
                    .set_item(Some(to_attributes(item)))
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(with.names())
                    .set_expression_attribute_values(with.values())
                    .return_values_on_condition_check_failure(ALL_OLD);
                action.put(put.build().map_err(unbuilt)?).build()
            }
            Write::Update { table, key, changes, condition: only_if } => {
                let expression = condition(&mut with, only_if)?;
                let update = Update::builder()
                    .table_name(self.tables.of(*table)?)
                    .set_key(Some(key_attributes(key)))
                    .update_expression(with.update(changes)?)
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(with.names())
                    .set_expression_attribute_values(with.values())
                    .return_values_on_condition_check_failure(ALL_OLD);
                action.update(update.build().map_err(unbuilt)?).build()
            }
            Write::Delete { table, key, condition: only_if } => {
                let expression = condition(&mut with, only_if)?;
                let delete = Delete::builder()
                    .table_name(self.tables.of(*table)?)
                    .set_key(Some(key_attributes(key)))
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(with.names())
                    .set_expression_attribute_values(with.values())
                    .return_values_on_condition_check_failure(ALL_OLD);
                action.delete(delete.build().map_err(unbuilt)?).build()
            }
            Write::Check { table, key, condition: must } => {
                let check = ConditionCheck::builder()
                    .table_name(self.tables.of(*table)?)
                    .set_key(Some(key_attributes(key)))
                    .condition_expression(with.condition(must)?)
                    .set_expression_attribute_names(with.names())
                    .set_expression_attribute_values(with.values())
                    .return_values_on_condition_check_failure(ALL_OLD);
                action.condition_check(check.build().map_err(unbuilt)?).build()
            }
        })
    }
}

/// Items by where they are.
type Found = BTreeMap<(Table, Key), Item>;

fn unbuilt(error: BuildError) -> DatabaseError {
    DatabaseError::Invalid(error.to_string())
}

fn unasked(name: &str) -> DatabaseError {
    DatabaseError::Invalid(format!("an answer from table {name}, which was not asked"))
}

/// Refuses the same item twice: DynamoDB does, and what it would mean is unclear.
fn check_distinct<'a>(keys: impl Iterator<Item = (Table, &'a str, &'a str)>) -> Result<(), DatabaseError> {
    let mut seen = std::collections::BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(DatabaseError::Invalid(format!("an item of {:?} twice in one request", key.0)));
        }
    }
    Ok(())
}

#[async_trait]
impl Database for DynamoDb {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.tables.of(get.table)?)
            .set_key(Some(key_attributes(&get.key)))
            .consistent_read(get.consistency == Consistency::Strong)
            .set_return_consumed_capacity(self.capacity())
            .send()
            .await
            .map_err(|error| database_error(&error))?;
        self.tell(Operation::Get, CapacityKind::Read, answer.consumed_capacity());
        answer.item.map(to_item).transpose()
    }

    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        let mut strong: BTreeMap<Table, bool> = BTreeMap::new();
        for get in &gets {
            *strong.entry(get.table).or_default() |= get.consistency == Consistency::Strong;
        }
        // Each item once: DynamoDB refuses to read one twice.
        let mut keys: Vec<(Table, Key)> = gets.iter().map(|get| (get.table, get.key.clone())).collect();
        keys.sort();
        keys.dedup();
        let rounds: Vec<Vec<(Table, Key)>> = keys.chunks(BATCH_READS_MAX).map(<[_]>::to_vec).collect();
        let rounds = rounds.into_iter().map(|round| self.get_round(round, &strong));
        let found: Vec<Found> = stream::iter(rounds).buffered(ROUND_TRIPS_AT_ONCE).try_collect().await?;
        let found: Found = found.into_iter().flatten().collect();
        Ok(gets.into_iter().map(|get| found.get(&(get.table, get.key)).cloned()).collect())
    }

    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        if gets.is_empty() {
            return Ok(Vec::new());
        }
        if gets.len() > TRANSACTION_ACTIONS_MAX {
            return Err(DatabaseError::Invalid(format!("{} reads in one transaction", gets.len())));
        }
        check_distinct(gets.iter().map(|get| (get.table, get.key.pk(), get.key.sk())))?;
        let mut reads = Vec::with_capacity(gets.len());
        for get in &gets {
            let read = TransactGet::builder()
                .table_name(self.tables.of(get.table)?)
                .set_key(Some(key_attributes(&get.key)))
                .build()
                .map_err(unbuilt)?;
            reads.push(TransactGetItem::builder().get(read).build());
        }
        let answer = self
            .client
            .transact_get_items()
            .set_transact_items(Some(reads))
            .set_return_consumed_capacity(self.capacity())
            .send()
            .await
            .map_err(transaction_read_error)?;
        self.tell(Operation::GetTogether, CapacityKind::Read, answer.consumed_capacity());
        let items = answer.responses.unwrap_or_default();
        if items.len() != gets.len() {
            let counts = format!("{} reads, {} answers", gets.len(), items.len());
            return Err(DatabaseError::Unavailable(counts));
        }
        items.into_iter().map(|one| one.item.filter(|i| !i.is_empty()).map(to_item).transpose()).collect()
    }

    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        let (pk, sk) = match query.index {
            None => ("pk", "sk"),
            Some(index) => {
                let (_, pk, sk, _) = index.shape();
                (pk, sk)
            }
        };
        let mut with = Placeholders::default();
        let partition = with.value(AttributeValue::S(query.partition.value().to_owned()));
        let mut condition = format!("{} = {partition}", with.name(pk));
        let mut bounds = |from: AttributeValue, to: AttributeValue| {
            let (from, to) = (with.value(from), with.value(to));
            format!(" AND {} BETWEEN {from} AND {to}", with.name(sk))
        };
        match &query.range {
            Range::All => {}
            Range::BeginsWith(bound) | Range::Between(bound, _) | Range::Between(_, bound)
                if bound.is_empty() =>
            {
                return Err(DatabaseError::Invalid("a sort key cannot be empty".into()));
            }
            Range::Between(from, to) => {
                condition += &bounds(AttributeValue::S(from.clone()), AttributeValue::S(to.clone()));
            }
            Range::Numbers(from, to) => {
                condition += &bounds(AttributeValue::N(from.to_string()), AttributeValue::N(to.to_string()));
            }
            Range::BeginsWith(prefix) => {
                let prefix = with.value(AttributeValue::S(prefix.clone()));
                condition += &format!(" AND begins_with({}, {prefix})", with.name(sk));
            }
        }
        let limit = i32::try_from(query.limit).unwrap_or(i32::MAX);
        let start = query.start.map(|StartKey(start)| {
            start.iter().map(|(name, value)| (name.clone(), to_attribute(value))).collect()
        });
        let answer = self
            .client
            .query()
            .table_name(self.tables.of(query.table)?)
            .set_index_name(query.index.map(|index| index.shape().0.to_owned()))
            .key_condition_expression(condition)
            .set_expression_attribute_names(with.names())
            .set_expression_attribute_values(with.values())
            .scan_index_forward(query.ascending)
            .limit(limit)
            .set_exclusive_start_key(start)
            .consistent_read(query.consistency == Consistency::Strong)
            .set_return_consumed_capacity(self.capacity())
            .send()
            .await
            .map_err(|error| database_error(&error))?;
        self.tell(Operation::Query, CapacityKind::Read, answer.consumed_capacity());
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty()).map(to_item).transpose()?;
        Ok(QueryPage {
            items: answer.items.unwrap_or_default().into_iter().map(to_item).collect::<Result<_, _>>()?,
            next: next.map(|Item(key)| StartKey(key.into())),
        })
    }

    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        let mut with = Placeholders::default();
        match write {
            Write::Put { table, item, condition } => {
                let expression = condition.map(|condition| with.condition(&condition)).transpose()?;
                let answer = self
                    .once
                    .put_item()
                    .table_name(self.tables.of(table)?)
                    .set_item(Some(to_attributes(&item)))
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(with.names())
                    .set_expression_attribute_values(with.values())
                    .return_values_on_condition_check_failure(ALL_OLD)
                    .set_return_consumed_capacity(self.capacity())
                    .send()
                    .await
                    .map_err(put_error)?;
                self.tell(Operation::Write, CapacityKind::Write, answer.consumed_capacity());
            }
            Write::Update { table, key, changes, condition } => {
                let expression = condition.map(|condition| with.condition(&condition)).transpose()?;
                let answer = self
                    .once
                    .update_item()
                    .table_name(self.tables.of(table)?)
                    .set_key(Some(key_attributes(&key)))
                    .update_expression(with.update(&changes)?)
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(with.names())
                    .set_expression_attribute_values(with.values())
                    .return_values_on_condition_check_failure(ALL_OLD)
                    .set_return_consumed_capacity(self.capacity())
                    .send()
                    .await
                    .map_err(update_error)?;
                self.tell(Operation::Write, CapacityKind::Write, answer.consumed_capacity());
            }
            Write::Delete { table, key, condition } => {
                let expression = condition.map(|condition| with.condition(&condition)).transpose()?;
                let answer = self
                    .once
                    .delete_item()
                    .table_name(self.tables.of(table)?)
                    .set_key(Some(key_attributes(&key)))
                    .set_condition_expression(expression)
                    .set_expression_attribute_names(with.names())
                    .set_expression_attribute_values(with.values())
                    .return_values_on_condition_check_failure(ALL_OLD)
                    .set_return_consumed_capacity(self.capacity())
                    .send()
                    .await
                    .map_err(delete_error)?;
                self.tell(Operation::Write, CapacityKind::Write, answer.consumed_capacity());
            }
            Write::Check { .. } => {
                return Err(DatabaseError::Invalid("a check by itself writes nothing".into()));
            }
        }
        Ok(())
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        if writes.is_empty() || writes.len() > TRANSACTION_ACTIONS_MAX {
            return Err(DatabaseError::Invalid(format!(
                "{} actions in a transaction; it takes 1 to {TRANSACTION_ACTIONS_MAX}",
                writes.len()
            )));
        }
        let actions: Vec<TransactWriteItem> =
            writes.iter().map(|write| self.transact_action(write)).collect::<Result<_, _>>()?;
        let name = |table| self.tables.of(table).map(str::to_owned).unwrap_or_default();
        // The token makes the SDK's own retries safe: DynamoDB knows the request again.
        let answer = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions))
            .client_request_token(request_token(&writes, name))
            .set_return_consumed_capacity(self.capacity())
            .send()
            .await
            .map_err(transaction_error)?;
        self.tell(Operation::Transact, CapacityKind::Write, answer.consumed_capacity());
        Ok(())
    }

    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        let key = |name: &str, item: &Item| item.opt_text(name).unwrap_or_default().to_owned();
        let keys: Vec<(String, String)> =
            items.iter().map(|item| (key("pk", item), key("sk", item))).collect();
        check_distinct(keys.iter().map(|(pk, sk)| (table, pk.as_str(), sk.as_str())))?;
        let rounds = items.chunks(BATCH_WRITES_MAX).map(|round| self.put_round(table, round));
        let rounds: Vec<_> = rounds.collect();
        stream::iter(rounds).buffered(ROUND_TRIPS_AT_ONCE).try_collect::<()>().await
    }
}

/// What DynamoDB says a call cost. Only transactions tell reads and writes apart; for the rest the call
/// says which it was.
fn consumed_units(tables: &TableNames, kind: CapacityKind, consumed: &ConsumedCapacity) -> Vec<Consumed> {
    // Where the table is named by its ARN, the name is its last part.
    let name = consumed.table_name().unwrap_or_default();
    let Some(table) = tables.table(name.rsplit('/').next().unwrap_or_default()) else {
        return Vec::new();
    };
    let units = |capacity: &aws_sdk_dynamodb::types::Capacity| {
        let (read, write) = (capacity.read_capacity_units(), capacity.write_capacity_units());
        match (read, write, kind) {
            (None, None, kind) => vec![(kind, capacity.capacity_units())],
            (read, write, _) => vec![(CapacityKind::Read, read), (CapacityKind::Write, write)],
        }
    };
    let mut parts: Vec<(Option<Index>, CapacityKind, Option<f64>)> = Vec::new();
    if let Some(of_table) = consumed.table() {
        parts.extend(units(of_table).into_iter().map(|(kind, amount)| (None, kind, amount)));
    }
    for (name, of_index) in consumed.global_secondary_indexes().into_iter().flatten() {
        let index = Index::of(table).iter().copied().find(|index| index.shape().0 == name);
        parts.extend(units(of_index).into_iter().map(|(kind, amount)| (index, kind, amount)));
    }
    parts
        .into_iter()
        .map(|(index, kind, amount)| Consumed { table, index, kind, thousandths: thousandths(amount) })
        .filter(|consumed| consumed.thousandths > 0)
        .collect()
}

/// Thousandths of an amount, by way of its text: there is no float arithmetic here.
fn thousandths(amount: Option<f64>) -> u64 {
    let text = format!("{:.3}", amount.unwrap_or_default());
    text.replace('.', "").parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_thousandths() {
        assert_eq!([thousandths(Some(0.5)), thousandths(Some(12.0)), thousandths(None)], [500, 12_000, 0]);
    }
}
