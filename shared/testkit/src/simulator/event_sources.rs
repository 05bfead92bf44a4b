//! The event sources of the functions, as AWS Lambda runs them: shards side by side, partitions in order,
//! what failed again, and now and then what was done before.
//!
//! Handlers get records as they are: how they look as JSON is the affair of the batch adapters, and of
//! the pollers that feed those ([`crate::poller`]).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tillstream_app::aggregation::fold::fold_records;
use tillstream_app::database::{Item, Table};
use tillstream_app::dispatch::dispatcher::{Dispatcher, Fate, Policy, Received};
use tillstream_app::record_failure::Failure;
use tillstream_app::{keeper, relay};

use super::deliberate_bugs::Bug;
use super::world::World;
use crate::memory_database::{STREAM_SHARDS, shard_of};
use crate::memory_messaging::ShardRecord;

/// Batches of one shard at once.
const FACTOR: usize = 2;
/// A source with nothing to do looks again after at most this time.
const IDLE: Duration = Duration::from_millis(3_000);
/// Of batches, in hundredths: those before which records are left to come together, so that as many as the template
/// allows are handled at once.
const GATHERS: u64 = 2;
/// For so long at most.
const GATHERING: Duration = Duration::from_secs(90);
/// Most records of a batch of changes, and of one of the sales stream, as the template has them.
const CHANGES_MAX: usize = 100;
const SALES_MAX: usize = 500;
/// Of the calls to tables of a function that its source gave up, in thousandths: those that take seconds.
const HANGS: u64 = 200;

/// A change of an item, both images.
type Change = (u64, Option<Item>, Option<Item>);

/// How far the sources are.
#[derive(Default)]
pub struct Progress {
    idle: Vec<Rc<Cell<bool>>>,
}

impl Progress {
    /// Whether none of them has anything to do.
    pub fn is_idle(&self) -> bool {
        self.idle.iter().all(|idle| idle.get())
    }

    fn source(&mut self) -> Rc<Cell<bool>> {
        let idle = Rc::new(Cell::new(false));
        self.idle.push(idle.clone());
        idle
    }
}

/// Begins all of them.
pub fn begin(world: &Rc<World>) -> Progress {
    let mut progress = Progress::default();
    for table in [Table::Orders, Table::Stock] {
        for shard in 0..STREAM_SHARDS {
            for part in 0..FACTOR {
                let idle = progress.source();
                world.scheduler.spawn(relay_shard(world.clone(), table, shard, part, idle));
            }
        }
    }
    for part in 0..FACTOR {
        let idle = progress.source();
        world.scheduler.spawn(aggregate(world.clone(), part, idle));
    }
    for _ in 0..2 {
        let idle = progress.source();
        world.scheduler.spawn(dispatch(world.clone(), idle));
    }
    world.scheduler.spawn(keep(world.clone()));
    progress
}

/// What came of a batch of a stream: how many records of it were done, from the first.
async fn handled(
    world: &World,
    records: usize,
    handle: impl Future<Output = BTreeMap<usize, Failure>>,
) -> usize {
    world.trouble_sends();
    let answer = world.invoke(handle).await;
    world.batches.set(world.batches.get() + 1);
    let Some(failures) = answer else { return 0 };
    for failure in failures.values() {
        if let Failure::Poison(why) = failure {
            world.fail("nothing of ours is poison", why.clone());
        }
    }
    let first = failures.iter().find(|(_, failure)| matches!(failure, Failure::Transient(_)));
    first.map_or(records, |(position, _)| *position)
}

fn batch_size(world: &World) -> usize {
    1 + world.chance.index(24)
}

/// Now and then lets more records come before they are read; answers whether it did.
async fn gathers(world: &World) -> bool {
    let does = world.sources.percent(GATHERS);
    if does {
        world.sleep(world.sources.up_to(GATHERING / world.haste)).await;
    }
    does
}

/// Back to somewhere before `position`, now and then.
fn maybe_back(world: &World, position: u64) -> u64 {
    let repeats = world.weather.get().repeats;
    if repeats > 0 && world.chance.percent(repeats) {
        position.saturating_sub(1 + world.chance.below(20))
    } else {
        position
    }
}

/// Up to `most` changes of a shard's part after `position` that the event source's filter lets through, and
/// how far was looked.
fn changes_after(
    world: &World,
    table: Table,
    (shard, part): (usize, usize),
    position: u64,
    most: usize,
) -> (Vec<Change>, u64) {
    // As the event sources of the template have it.
    let filter: &[&str] = match table {
        Table::Orders => &["lane_number"],
        _ => &["seq", "fact_version", "for_backorder"],
    };
    let (mut found, mut looked) = (Vec::new(), position);
    world.memory.look_at_changes(table, position, |change| {
        if found.len() >= most {
            return;
        }
        looked = change.sequence;
        let is_there = |new: &Item| filter.iter().any(|name| new.get(name).is_some());
        let passes = change.new.as_ref().is_some_and(is_there);
        let mine = || {
            let pk = change.new.as_ref().and_then(|new| new.opt_text("pk")).unwrap_or_default();
            shard_of(pk, FACTOR * STREAM_SHARDS) / STREAM_SHARDS == part
        };
        if change.shard == shard && passes && mine() {
            found.push((change.sequence, change.old.clone(), change.new.clone()));
        }
    });
    (found, looked)
}

fn images_of(batch: &[Change]) -> Vec<relay::Images<'_>> {
    batch.iter().map(|(_, old, new)| (old.as_ref(), new.as_ref())).collect()
}

async fn relay_shard(world: Rc<World>, table: Table, shard: usize, part: usize, idle: Rc<Cell<bool>>) {
    let (mut position, mut gathered) = (0, false);
    loop {
        if world.restores.relay_stands.get() {
            world.sleep_up_to(IDLE).await;
            continue;
        }
        if table == Table::Orders {
            position = world.restores.stream_from(position);
        }
        let most = if std::mem::take(&mut gathered) { CHANGES_MAX } else { batch_size(&world) };
        let (batch, looked) = changes_after(&world, table, (shard, part), position, most);
        idle.set(batch.is_empty());
        if batch.is_empty() {
            position = looked;
            world.sleep_up_to(IDLE).await;
            continue;
        }
        // What was read is read again: meanwhile the tables may have been restored.
        if most < CHANGES_MAX && gathers(&world).await {
            gathered = true;
            continue;
        }
        if world.settings.bug == Some(Bug::RelayAcknowledgesTooEarly) {
            position = looked;
        }
        let queue = world.waking();
        if world.gives_up_waiting() {
            // It comes again while the first function is still at it, for it hangs.
            let (owner, ports) = (world.clone(), world.ports_that_freeze(HANGS));
            world.scheduler.spawn(async move {
                let images = images_of(&batch);
                owner.invoke(relay::handle(&ports, owner.sending.as_ref(), queue.as_ref(), &images)).await;
            });
            world.sleep_up_to(Duration::from_millis(800)).await;
            continue;
        }
        let (ports, images) = (world.ports(), images_of(&batch));
        let handle = relay::handle(&ports, world.sending.as_ref(), queue.as_ref(), &images);
        let done = handled(&world, batch.len(), handle).await;
        if done == batch.len() {
            position = maybe_back(&world, position.max(looked));
        } else {
            if let Some((sequence, _, _)) = done.checked_sub(1).and_then(|last| batch.get(last)) {
                position = position.max(*sequence);
            }
            world.sleep_up_to(Duration::from_millis(800)).await;
        }
    }
}

/// The sales stream: the shards of a generation side by side, one generation after the other, since what a
/// shard was split into comes after it.
async fn aggregate(world: Rc<World>, part: usize, idle: Rc<Cell<bool>>) {
    let mut positions = BTreeMap::<usize, u64>::new();
    loop {
        let mut has_found = false;
        for generation in world.stream.generations() {
            let position = |shard: &usize| positions.get(shard).copied().unwrap_or(0);
            let found: Vec<(usize, u64)> = generation
                .map(|shard| (shard, position(&shard)))
                .filter(|(shard, position)| !world.stream.records(*shard, *position, 1).is_empty())
                .collect();
            if found.is_empty() {
                continue;
            }
            has_found = true;
            idle.set(false);
            let reads = found.into_iter().map(|(shard, position)| {
                let world = &world;
                async move { (shard, aggregate_shard(world, part, shard, position).await) }
            });
            positions.extend(futures::future::join_all(reads).await);
            break;
        }
        if !has_found {
            idle.set(true);
            world.sleep_up_to(IDLE).await;
        }
    }
}

/// One batch of a shard; answers how far it has come.
async fn aggregate_shard(world: &Rc<World>, part: usize, shard: usize, position: u64) -> u64 {
    let most = if gathers(world).await { SALES_MAX } else { batch_size(world) };
    let read = world.stream.records(shard, position, most);
    let Some(last) = read.last().map(|record| record.sequence) else { return position };
    let batch: Vec<&ShardRecord> =
        read.iter().filter(|record| shard_of(&record.partition_key, FACTOR) == part).collect();
    let acknowledged =
        if world.settings.bug == Some(Bug::AggregatorAcknowledgesTooEarly) { last } else { position };
    let done = if batch.is_empty() {
        0
    } else if world.gives_up_waiting() {
        // It comes again while the first function is still at it, for it hangs.
        let (owner, ports) = (world.clone(), world.ports_that_freeze(HANGS));
        let data: Vec<Vec<u8>> = batch.iter().map(|record| record.data.clone()).collect();
        world.scheduler.spawn(async move {
            let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            owner.invoke(fold_records(&ports, &data)).await;
        });
        0
    } else {
        let ports = world.ports();
        let data: Vec<&[u8]> = batch.iter().map(|record| record.data.as_slice()).collect();
        handled(world, batch.len(), fold_records(&ports, &data)).await
    };
    if done == batch.len() {
        return maybe_back(world, acknowledged.max(last));
    }
    world.sleep_up_to(Duration::from_millis(800)).await;
    let reached = done.checked_sub(1).and_then(|last| batch.get(last)).map_or(0, |record| record.sequence);
    acknowledged.max(reached)
}

async fn dispatch(world: Rc<World>, idle: Rc<Cell<bool>>) {
    loop {
        let repeats = world.weather.get().repeats;
        if repeats > 0 && world.sources.percent(repeats) {
            world.queue.show_early(world.sources.next());
        }
        let messages = world.queue.receive(1 + world.chance.index(10));
        idle.set(messages.is_empty());
        if messages.is_empty() {
            world.sleep_up_to(IDLE).await;
            continue;
        }
        let secret = match world.signing_secret() {
            Ok(secret) => secret,
            Err(why) => return world.fail("the simulator works", why),
        };
        let dispatcher = Dispatcher {
            ports: world.ports(),
            queue: world.waking(),
            transport: world.transport.clone(),
            secret,
            policy: Policy::default(),
        };
        let received: Vec<Received> = messages
            .iter()
            .map(|message| Received {
                group: message.group.clone(),
                receipt: message.receipt.clone(),
                body: message.body.clone(),
            })
            .collect();
        if world.gives_up_waiting() {
            // The messages are seen again while the first function is still at it, for it hangs.
            let (owner, ports) = (world.clone(), world.ports_that_freeze(HANGS));
            world.scheduler.spawn(async move {
                let dispatcher = Dispatcher { ports, ..dispatcher };
                owner.invoke(dispatcher.handle_batch(&received)).await;
            });
            continue;
        }
        world.trouble_sends();
        let fates = world.invoke(dispatcher.handle_batch(&received)).await;
        world.batches.set(world.batches.get() + 1);
        for (message, fate) in messages.iter().zip(fates.unwrap_or_default()) {
            match fate {
                Fate::Done => {
                    world.queue.delete(&message.receipt);
                }
                Fate::Again(_) => {}
                Fate::Stray(why) => world.fail("nothing of ours is a stray", why),
            }
        }
    }
}

/// The schedule: the keeper each minute, or later.
async fn keep(world: Rc<World>) {
    loop {
        let rest = world.keeper_rests.get();
        world.sleep(rest + world.chance.up_to(rest / 2)).await;
        if world.keeper_runs.get() {
            run_keeper(&world).await;
        }
    }
}

/// One run of the keeper. It may fail or die: what it leaves undone is the next one's.
pub async fn run_keeper(world: &World) {
    let (ports, queue) = (world.ports(), world.waking());
    let deadline = world.now() + jiff::SignedDuration::from_secs(45);
    let run = keeper::run(&ports, world.sending.as_ref(), queue.as_ref(), deadline);
    if let Some(Err(tillstream_app::Error::Bug(why))) = world.invoke(run).await {
        world.fail("the keeper has no bugs", why);
    }
}
