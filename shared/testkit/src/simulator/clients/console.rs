//! Somebody with a console, who changes counters by hand as nobody may, and headquarters, which has what differs
//! corrected: often twice at once, or when a colleague does, or while the stock moves.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tillstream_app::database::{Change, Condition, Database, Table, Write};
use tillstream_app::stock::exceptions::list;
use tillstream_app::stock::reconciliation::{self, Corrected};
use tillstream_app::stock::update::{self, update};
use tillstream_app::tenancy::{Caller, Role};
use tillstream_contracts::inventory::{
    CorrectDifferenceRequest, ExceptionKind, ExceptionQuery, ExceptionStatus, StockException,
    StockExceptionPage, StockUpdateRequest,
};

use super::super::by_hand::{ASIDE, Edit, GOODS, Sums};
use super::super::chance::Chance;
use super::super::invariants::corrected::RIGHT;
use super::super::world::{Tenant, World};
use super::{Answer, Line, Request, Stopped};
use crate::shop::caller;

const ROUTE: &str = "POST /v1/inventory/exceptions/{id}/correct";
/// Others were quicker, or the stock moved since it was compared.
const LATE: [&str; 2] = ["exception_resolved", "difference_outdated"];
/// No more is taken where no more is left than this, in thousandths: a correction never comes to less than nothing.
const LEAST: i64 = 30_000;
/// How often what differs is looked at in the end: what moved since it was compared is compared anew.
const LOOKS: u32 = 3;

struct Console<'a> {
    line: Line,
    owner: &'a Tenant,
    chance: &'a Chance,
    caller: Caller,
    /// In the names of its keys.
    name: &'static str,
    count: u64,
}

/// Works until the day is over.
pub async fn work(world: Rc<World>, tenant: usize) -> Option<Stopped> {
    let owner = world.tenants.get(tenant)?;
    let mut console = Console::of(&world, owner, "day")?;
    loop {
        console.line.rest(Duration::from_secs(60)).await;
        if console.line.is_over() {
            return Some(Stopped);
        }
        let done = match console.chance.below(10) {
            0..4 => console.edit().await,
            4..6 => console.move_some().await,
            _ => console.correct_one().await,
        };
        if done.is_err() {
            return Some(Stopped);
        }
    }
}

/// Headquarters has corrected what differs still when the day is over.
pub async fn all_correct(world: &Rc<World>) {
    for owner in &world.tenants {
        let Some(mut console) = Console::of(world, owner, "end") else { continue };
        for _ in 0..LOOKS {
            let open = console.open().await;
            for difference in &open {
                let key = console.next("correct");
                let twin = Some((key.clone(), console.correcting(&key, difference)));
                console.correct(difference, &key, twin, None).await;
            }
            if open.is_empty() {
                break;
            }
        }
    }
}

/// Key and request.
type Correcting = (String, Request<Corrected>);

/// By how much the stock moves, in thousandths, and the request.
type Moving = (i64, Request<update::Answer>);

impl<'a> Console<'a> {
    fn of(world: &'a Rc<World>, owner: &'a Tenant, name: &'static str) -> Option<Self> {
        let chance = world.console.as_ref()?;
        let caller = caller(&owner.id, &[Role::Operator]);
        Some(Console { line: Line::of(world, &owner.id), owner, chance, caller, name, count: 0 })
    }

    fn world(&self) -> &World {
        &self.line.world
    }

    fn next(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}-{}-{}", self.name, self.count)
    }

    /// Changes a counter that nobody changed by hand and that was not corrected since.
    async fn edit(&mut self) -> Result<(), Stopped> {
        let right: Vec<&str> = {
            let by_hand = self.world().by_hand.borrow();
            GOODS.into_iter().filter(|sku| by_hand.item(&self.owner.id, sku).edit.is_none()).collect()
        };
        let Some(sku) = self.chance.one_of(&right).copied() else { return Ok(()) };
        let pieces = 1_000 * self.chance.between(1, 3);
        let by = match self.chance.below(4) {
            0 => Sums { on_hand: 0, damaged: pieces },
            1 => Sums { on_hand: -pieces, damaged: 0 },
            _ => Sums { on_hand: pieces, damaged: 0 },
        };
        self.line.begin(|| format!("{} changes {sku} by hand: {by:?}", self.owner.id))?;
        let changes = vec![
            Change::Add("on_hand", by.on_hand),
            Change::Add("available", by.on_hand),
            Change::Add("damaged", by.damaged),
        ];
        let key = self.caller.scope.stock(ASIDE, sku);
        let condition = Some(Condition::Has("seq"));
        let announced = Some(Edit { by, after_seq: None });
        self.world().by_hand.borrow_mut().item_mut(&self.owner.id, sku).edit = announced;
        let write = Write::Update { table: Table::Stock, key, changes, condition };
        if let Err(error) = self.world().memory.write(write).await {
            self.world().fail("the simulator works", error.to_string());
        }
        Ok(())
    }

    /// Goods that are set aside come or go.
    async fn move_some(&mut self) -> Result<(), Stopped> {
        let Some(sku) = self.chance.one_of(&GOODS).copied() else { return Ok(()) };
        let moving = self.moving(sku)?;
        let answer = self.send_moving(&moving).await;
        self.enter_moved(sku, moving.0, answer);
        Ok(())
    }

    fn moving(&mut self, sku: &str) -> Result<Moving, Stopped> {
        let there = self.world().by_hand.borrow().item(&self.owner.id, sku).sound.on_hand;
        let pieces = match there > LEAST && self.chance.percent(50) {
            true => -self.chance.between(1, 3),
            false => self.chance.between(1, 5),
        };
        let body = json!({
            "location_id": ASIDE, "sku": sku, "kind": "delta", "quantity": pieces, "reason": "set aside",
        });
        let key = self.next("aside");
        self.line.begin(|| format!("{} {key}: {body}", self.owner.id))?;
        let Ok(request) = serde_json::from_value::<StockUpdateRequest>(body) else {
            self.world().fail("the simulator works", "an update that is none");
            return Err(Stopped);
        };
        let caller = self.caller.clone();
        let request: Request<update::Answer> = Rc::new(move |ports| {
            let (caller, key, request) = (caller.clone(), key.clone(), request.clone());
            Box::pin(async move { update(&ports, &caller, &key, &request, |_| Ok(())).await })
        });
        Ok((1_000 * pieces, request))
    }

    async fn send_moving(&self, moving: &Moving) -> Answer<update::Answer> {
        let told = |answer: &update::Answer| format!("{:?}", answer.updated);
        self.line.send_to("POST /v1/inventory/update", moving.1.clone(), told).await
    }

    fn enter_moved(&self, sku: &str, by: i64, answer: Answer<update::Answer>) {
        match answer {
            Ok(_) => {
                self.world().books.borrow_mut().shelf(&self.owner.id, ASIDE, sku).on_hand += by;
            }
            Err(refusal) => self.line.expect_refusal(&refusal, &[]),
        }
    }

    /// Headquarters looks at what differs, and has one of it corrected.
    async fn correct_one(&mut self) -> Result<(), Stopped> {
        self.line.begin(|| format!("{} looks at what differs", self.owner.id))?;
        let open = self.open().await;
        let Some(difference) = self.chance.one_of(&open) else { return Ok(()) };
        let key = self.next("correct");
        self.line.begin(|| format!("{} {key}: {}", self.owner.id, difference.exception_id))?;
        let beside = match self.chance.below(5) {
            0 | 1 => Some(key.clone()),
            2 => Some(format!("{key}-too")),
            _ => None,
        };
        let beside = beside.map(|key| (key.clone(), self.correcting(&key, difference)));
        let moving = match (&difference.sku, self.chance.percent(30)) {
            // It is corrected whether another command may begin or not.
            (Some(sku), true) => self.moving(sku).ok(),
            _ => None,
        };
        self.correct(difference, &key, beside, moving).await;
        Ok(())
    }

    /// What differs of what is set aside.
    async fn open(&self) -> Vec<StockException> {
        let request: Request<StockExceptionPage> = {
            let caller = self.caller.clone();
            Rc::new(move |ports| {
                let caller = caller.clone();
                Box::pin(async move {
                    let location_id = ASIDE.to_owned();
                    let status = Some(ExceptionStatus::Open);
                    let query = ExceptionQuery { location_id, status, limit: Some(50), cursor: None };
                    list(&ports, &caller, &query).await
                })
            })
        };
        let mut open = match self.line.send(request, |_: &StockExceptionPage| String::new()).await {
            Ok(page) => page.items,
            Err(refusal) => {
                self.line.expect_refusal(&refusal, &[]);
                return Vec::new();
            }
        };
        open.retain(|one| one.kind == ExceptionKind::Difference);
        open
    }

    fn correcting(&self, key: &str, difference: &StockException) -> Request<Corrected> {
        let (caller, key, id) = (self.caller.clone(), key.to_owned(), difference.exception_id.clone());
        Rc::new(move |ports| {
            let (caller, key, id) = (caller.clone(), key.clone(), id.clone());
            Box::pin(async move {
                let request =
                    CorrectDifferenceRequest { reason: "changed by hand".to_owned(), approval_id: None };
                reconciliation::correct(&ports, &caller, &key, &id, &request).await
            })
        })
    }

    /// Has it corrected, with somebody else at it, and while its stock moves.
    async fn correct(
        &self,
        difference: &StockException,
        key: &str,
        beside: Option<Correcting>,
        moving: Option<Moving>,
    ) {
        let told = |done: &Corrected| done.exception.exception_id.clone();
        let correcting = self.line.send_to(ROUTE, self.correcting(key, difference), told);
        let another = async {
            match beside {
                Some((key, request)) => Some((key, self.line.send_to(ROUTE, request, told).await)),
                None => None,
            }
        };
        let moved = async {
            match moving {
                Some(moving) => Some((moving.0, self.send_moving(&moving).await)),
                None => None,
            }
        };
        let (own, another, moved) = futures::join!(correcting, another, moved);
        // What was written by now is seen a moment later.
        self.world().sleep(Duration::from_millis(1)).await;
        let sku = difference.sku.clone().unwrap_or_default();
        if let Some((by, answer)) = moved {
            self.enter_moved(&sku, by, answer);
        }
        let mut keys = BTreeSet::new();
        for (key, answer) in [(key.to_owned(), own)].into_iter().chain(another) {
            keys.extend(self.is_corrected(&sku, answer).then_some(key));
        }
        self.world().by_hand.borrow_mut().item_mut(&self.owner.id, &sku).told.extend(keys);
    }

    /// Whether somebody was told that it is corrected; then it is.
    fn is_corrected(&self, sku: &str, answer: Answer<Corrected>) -> bool {
        match answer {
            Ok(done) => {
                let item = self.world().by_hand.borrow().item(&self.owner.id, sku);
                if item.edit.is_some() || done.exception.status != ExceptionStatus::Resolved {
                    self.world().fail(RIGHT, format!("{item:?}: {:?}", done.exception));
                }
                true
            }
            Err(refusal) => {
                self.line.expect_refusal(&refusal, &LATE);
                false
            }
        }
    }
}
