//! A thousand random shifts: the drawer, the commands' own replies, the sale events and the Z report say the same. There
//! is tax, and coins of one are gone; sales are voided afterwards, exchanged, and brought back in parts. Half of the
//! shifts are those of a register that is cut off, and uploads them when they are over, in batches.
//!
//! The books here are kept as a cashier would: what goes into the drawer and comes out of it, by what each
//! command answered. Nothing of the code that makes the report is asked. The events are folded from what the relay
//! publishes, of lines and payments, as analytics does.

mod proved;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tillstream_app::catalog::settings;
use tillstream_app::environment::Environment;
use tillstream_app::pos::batch;
use tillstream_app::pos::execute::{Answered, execute};
use tillstream_app::stock::exceptions;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_app::tenancy::Role;
use tillstream_contracts::inventory::ExceptionQuery;
use tillstream_contracts::till::ShiftReportView;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller, envelope};
use tillstream_testkit::test_environment::TestEnvironment;

use crate::chance::Chance;

/// The smallest coin.
const COIN: i64 = 5;

/// What is added to what is due so that it can be paid in coins.
fn rounding(due: i64) -> i64 {
    (due + COIN / 2) / COIN * COIN - due
}

fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

/// What a shift must come to.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Books {
    drawer: i64,
    receipts: Vec<u64>,
    sales: (u64, i64),
    returns: (u64, i64),
    discounts: i64,
    /// Of sales, and of returns.
    tax: (i64, i64),
    /// Added to sales, and less of returns.
    rounding: i64,
    tips: i64,
    /// Payments and what they came to, refunds and what they came to.
    tenders: BTreeMap<String, (u64, i64, u64, i64)>,
    paid_in: (u64, i64),
    paid_out: (u64, i64),
    no_sales: u64,
}

impl Books {
    fn of(report: &ShiftReportView) -> Books {
        let tenders = report.tenders.iter().map(|by| {
            let amounts = (by.payments_count, by.payments.amount, by.refunds_count, by.refunds.amount);
            (by.tender.clone(), amounts)
        });
        let receipts = match (report.first_receipt, report.last_receipt) {
            (Some(first), Some(last)) => (first..=last).collect(),
            _ => Vec::new(),
        };
        Books {
            drawer: report.cash_expected.amount,
            receipts,
            sales: (report.sales_count, report.sales_total.amount),
            returns: (report.returns_count, report.returns_total.amount),
            discounts: report.discounts.amount,
            tax: (report.tax.amount, report.returns_tax.amount),
            rounding: report.cash_rounding.as_ref().map_or(0, |money| money.amount),
            tips: report.tips.amount,
            tenders: tenders.collect(),
            paid_in: (report.paid_in_count, report.paid_in.amount),
            paid_out: (report.paid_out_count, report.paid_out.amount),
            no_sales: report.no_sale_count,
        }
    }
}

/// A payment as it was answered: tender, what stayed of it, tip.
type Paid = (String, i64, i64);

/// A sale that may come back or be voided.
struct Sold {
    id: String,
    total: i64,
    tax: i64,
    rounding: i64,
    paid: Vec<Paid>,
    /// Whether other goods were brought back for it.
    exchanged: bool,
    /// What is left of it, once a part came back.
    left: Option<Left>,
}

/// What is left of a sale.
struct Left {
    /// Lines, and how many pieces.
    lines: Vec<(String, i64)>,
    by_tender: BTreeMap<String, i64>,
    total: i64,
    tax: i64,
}

impl Sold {
    /// What stayed of it, by tender.
    fn by_tender(&self) -> BTreeMap<String, i64> {
        let mut by = BTreeMap::new();
        for (tender, stayed, _) in &self.paid {
            *by.entry(tender.clone()).or_default() += stayed;
        }
        by
    }
}

/// What an exchange paid goes to any tender.
fn refunded_by((tender, amount): (String, i64)) -> (String, i64) {
    (if tender == "exchange" { "card".to_owned() } else { tender }, amount)
}

/// What a cart comes to: total, discount, tax.
type Priced = (i64, i64, i64);

struct Till {
    /// What the register reckons by, also where it is cut off: a shop of its own, which knows all that the register did.
    own: Shop,
    /// The shop that is told, at once or later.
    shop: Shop,
    database: Arc<MemoryDatabase>,
    /// Changes of orders that were relayed.
    relayed: u64,
    chance: Chance,
    register: String,
    sent: u64,
    /// Whether it is cut off; then what it did waits, with what it told.
    is_cut_off: bool,
    waiting: Vec<(Value, Value)>,
    uploads: u64,
    books: Books,
    /// Sales that may come back.
    sold: Vec<Sold>,
}

/// What a command told, but for receipt numbers: carts of an upload become final in any order.
fn told(answered: &Answered) -> Value {
    let mut result = serde_json::to_value(&answered.reply.result).unwrap();
    // Of a shift what happened to its drawer; its report is as of now.
    let movements = result["shift"]["movements"].clone();
    let members = result.as_object_mut().unwrap();
    for name in ["receipt_number", "return_receipt_number", "shift"] {
        members.remove(name);
    }
    members.insert("movements".to_owned(), movements);
    result
}

fn operator() -> tillstream_app::tenancy::Caller {
    caller("demo", &[Role::Operator])
}

impl Till {
    async fn send(&mut self, action: &str, payload: Value) -> Answered {
        self.sent += 1;
        let key = format!("{}-{}", self.register, self.sent);
        let sent = envelope(STORE, &self.register, &key, action, payload);
        let run = async |shop: &Shop| {
            let answered = execute(&shop.ports, &operator(), sent.clone()).await;
            answered.unwrap_or_else(|error| panic!("{sent}: {error}"))
        };
        let own = run(&self.own).await;
        if !self.is_cut_off {
            let answered = run(&self.shop).await;
            assert_eq!(told(&answered), told(&own), "{sent}");
            return answered;
        }
        self.waiting.push((sent, told(&own)));
        own
    }

    /// Uploads what waits, in batches of any length: nothing of it is refused, and all tells what it told before.
    async fn upload(&mut self) -> Vec<Answered> {
        let (mut left, mut answers) = (std::mem::take(&mut self.waiting), Vec::new());
        while !left.is_empty() {
            let most = i64::try_from(left.len()).unwrap();
            let length = usize::try_from(self.chance.amount(1, most)).unwrap();
            let sent = left.iter().take(length).map(|(sent, _)| sent.clone()).collect();
            let (outcomes, go_on) = batch::run(&self.shop.ports, &operator(), sent, Timestamp::MAX).await;
            assert_eq!(outcomes.len(), go_on.unwrap_or(length));
            self.uploads += 1;
            let done: Vec<_> = left.drain(..outcomes.len()).collect();
            for ((sent, expected), (_, outcome)) in done.into_iter().zip(outcomes) {
                let answered = outcome.unwrap_or_else(|error| panic!("{sent}: {error}"));
                assert_eq!(told(&answered), expected, "{sent}");
                answers.push(answered);
            }
        }
        answers
    }

    /// A cart with a line or two, perhaps a discount; answers its id and what it comes to.
    async fn cart(&mut self) -> (String, Priced) {
        // Named by the register: what it is cut off with is in order by that name.
        let id = format!("{}-c{}", self.register, self.sent);
        self.send("create_cart", json!({"cart_id": id})).await;
        for _ in 0..=self.chance.below(2) {
            let sku = ["A", "B", "C"][usize::try_from(self.chance.below(3)).unwrap()];
            let line = json!({"cart_id": id, "sku": sku, "quantity": self.chance.amount(1, 4)});
            self.send("add_line_item", line).await;
        }
        let (few, of_line) = (gbp(self.chance.amount(1, 3)), json!("l-1"));
        let off = match self.chance.below(12) {
            0 => Some(("percent_cart", json!(1_500), Value::Null)),
            1 => Some(("percent_line", json!(2_000), of_line)),
            2 => Some(("fixed_cart", few, Value::Null)),
            3 => Some(("fixed_line", few, of_line)),
            _ => None,
        };
        if let Some((kind, value, line)) = off {
            let off =
                json!({"cart_id": id, "kind": kind, "value": value, "line_id": line, "reason": "regular"});
            self.send("apply_manual_discount", off).await;
        }
        let fixed = self.send("set_tendering", json!({"cart_id": id})).await;
        let totals = fixed.reply.cart.unwrap().totals;
        (id, (totals.total.amount, totals.discount.amount, totals.tax.amount))
    }

    async fn pay(&mut self, id: &str, tender: &str, amount: i64, tip: i64) -> Paid {
        let mut payload = json!({"cart_id": id, "tender": tender, "amount": gbp(amount)});
        if tip > 0 {
            payload["tip"] = gbp(tip);
        }
        let paid = self.send("add_payment", payload).await;
        (tender.to_owned(), amount - paid.reply.result.change.unwrap().amount, tip)
    }

    /// Pays `total` by one tender or two, cash with change, in coins. Answers what was added for those.
    async fn pay_all(&mut self, id: &str, total: i64) -> (Vec<Paid>, i64) {
        let tip = if self.chance.below(3) == 0 { self.chance.amount(1, 90) } else { 0 };
        let above = COIN * self.chance.amount(0, 140);
        // In coins, at least what is due.
        let handed = |due: i64| (due + COIN - 1) / COIN * COIN + above;
        match self.chance.below(4) {
            0 => (vec![self.pay(id, "cash", handed(total), tip).await], rounding(total)),
            1 => (vec![self.pay(id, "card", total, tip).await], 0),
            2 if total > 1 => {
                let first = self.chance.amount(1, total - 1);
                let tender = ["card", "gift_card", "voucher"][usize::try_from(self.chance.below(3)).unwrap()];
                let part = self.pay(id, tender, first, 0).await;
                let rest = total - first;
                (vec![part, self.pay(id, "cash", handed(rest), tip).await], rounding(rest))
            }
            _ => {
                let mut paid = Vec::new();
                let mut rest = total;
                if total > 2 * COIN {
                    let first = COIN * self.chance.amount(1, (total - COIN) / COIN);
                    paid.push(self.pay(id, "cash", first, tip).await);
                    rest -= first;
                }
                paid.push(self.pay(id, "cash", handed(rest), 0).await);
                (paid, rounding(rest))
            }
        }
    }

    async fn sell(&mut self) {
        let (id, priced) = self.cart().await;
        let (paid, rounded) = self.pay_all(&id, priced.0).await;
        let total = if self.chance.below(2) == 0 { gbp(priced.0) } else { Value::Null };
        let done = self.send("finalize_order", json!({"cart_id": id, "total": total})).await;
        self.book_sale(id, priced, (paid, rounded), &done, false);
    }

    fn book_sale(
        &mut self,
        id: String,
        (total, discount, tax): Priced,
        (paid, rounding): (Vec<Paid>, i64),
        done: &Answered,
        exchanged: bool,
    ) {
        self.books.receipts.push(done.reply.result.receipt_number.unwrap());
        self.books.sales.0 += 1;
        self.books.sales.1 += total;
        self.books.discounts += discount;
        self.books.tax.0 += tax;
        self.books.rounding += rounding;
        for (tender, stayed, tip) in &paid {
            if tender == "cash" {
                self.books.drawer += stayed + tip;
            }
            self.books.tips += tip;
            let of = self.books.tenders.entry(tender.clone()).or_default();
            of.0 += 1;
            of.1 += stayed;
        }
        assert_eq!(paid.iter().map(|(_, stayed, _)| stayed).sum::<i64>(), total + rounding);
        self.sold.push(Sold { id, total, tax, rounding, paid, exchanged, left: None });
    }

    /// A cart that is given up, also with money already on the counter: that is handed back.
    async fn give_up(&mut self) {
        let (id, (total, _, _)) = self.cart().await;
        if self.chance.below(2) == 0 {
            self.pay_all(&id, total).await;
        }
        self.send("void_cart", json!({"cart_id": id, "reason": "changed mind"})).await;
    }

    /// A return of all of a sale, not settled yet; answers its id, what it is worth and the tax in that.
    async fn all_of(&mut self, sale: &str) -> (String, i64, i64) {
        let lines = self.lines_of(sale).await;
        self.bring_back(sale, &lines).await
    }

    /// A return of some of a sale, not settled yet; answers the same.
    async fn bring_back(&mut self, sale: &str, lines: &[(String, i64)]) -> (String, i64, i64) {
        let id = format!("{}-r{}", self.register, self.sent);
        let start = json!({"return_id": id, "original_order_id": sale, "reason": "unwanted"});
        self.send("start_return", start).await;
        let (mut worth, mut tax) = (0, 0);
        for (line, quantity) in lines {
            let back =
                json!({"return_id": id, "line_id": line, "quantity": quantity, "disposition": "restock"});
            let totals = self.send("return_line_item", back).await.reply.cart.unwrap().totals;
            (worth, tax) = (totals.total.amount, totals.tax.amount);
        }
        (id, worth, tax)
    }

    async fn take_back(&mut self) {
        let Some(sold) = self.sold.pop() else { return self.blind_return().await };
        if sold.left.is_some() {
            return self.take_back_lines(sold, true).await;
        }
        let (id, worth, tax) = self.all_of(&sold.id).await;
        assert_eq!((worth, tax), (sold.total, sold.tax));
        // Cash last: what is left then is what the sale's cash was rounded to. It may be nothing.
        let mut refunds: Vec<(String, i64)> =
            sold.by_tender().into_iter().filter(|(_, amount)| *amount > 0).map(refunded_by).collect();
        refunds.sort_by_key(|(tender, _)| tender == "cash");
        self.refund(&id, (worth, tax, sold.rounding), refunds).await;
    }

    /// Some of a sale comes back; the rest may later.
    async fn take_back_part(&mut self) {
        let Some(sold) = self.sold.pop() else { return self.sell().await };
        if sold.exchanged {
            self.sold.push(sold);
            return self.sell().await;
        }
        self.take_back_lines(sold, false).await;
    }

    /// Some of what is left of a sale comes back, or all of it, refunded as far as each tender goes, cash last.
    async fn take_back_lines(&mut self, mut sold: Sold, all: bool) {
        let mut left = match sold.left.take() {
            Some(left) => left,
            None => Left {
                lines: self.lines_of(&sold.id).await,
                by_tender: sold.by_tender(),
                total: sold.total,
                tax: sold.tax,
            },
        };
        let mut lines = Vec::new();
        for (line, pieces) in &mut left.lines {
            let back = if all { *pieces } else { self.chance.amount(0, *pieces) };
            if back > 0 {
                lines.push((line.clone(), back));
                *pieces -= back;
            }
        }
        left.lines.retain(|(_, pieces)| *pieces > 0);
        if lines.is_empty() {
            sold.left = Some(left);
            self.sold.push(sold);
            return;
        }
        let (id, worth, tax) = self.bring_back(&sold.id, &lines).await;
        left.total -= worth;
        left.tax -= tax;
        let mut tenders: Vec<(String, i64)> = left.by_tender.clone().into_iter().collect();
        tenders.sort_by_key(|(tender, _)| tender == "cash");
        let (mut due, mut refunds) = (worth, Vec::new());
        for (tender, most) in tenders {
            let in_coins = if tender == "cash" { due + rounding(due) } else { due };
            let amount = in_coins.min(most);
            // What comes to no coin is settled by none.
            if due == 0 || amount == 0 && tender != "cash" {
                continue;
            }
            let refund = json!({"return_id": id, "tender": tender, "amount": gbp(amount)});
            due = self.send("refund_tender", refund).await.reply.cart.unwrap().totals.due.amount;
            *left.by_tender.get_mut(&tender).unwrap() -= amount;
            refunds.push((tender, amount));
        }
        assert_eq!(due, 0, "{refunds:?} of {worth}");
        let given: i64 = refunds.iter().map(|(_, amount)| amount).sum();
        let done = self.send("finalize_return", json!({"return_id": id})).await;
        self.books.receipts.push(done.reply.result.receipt_number.unwrap());
        self.book_return((worth, tax, given - worth), refunds);
        if left.lines.is_empty() {
            assert_eq!((left.total, left.tax), (0, 0), "the parts of {} are worth the whole", sold.id);
        } else {
            sold.left = Some(left);
            self.sold.push(sold);
        }
    }

    /// All of a sale is undone after the fact: goods, payments and tips go back as they came.
    async fn void(&mut self) {
        let Some(sold) = self.sold.pop() else { return self.sell().await };
        if sold.exchanged || sold.left.is_some() {
            self.sold.push(sold);
            return self.sell().await;
        }
        let payload = json!({"order_id": sold.id, "reason": "rung up wrongly"});
        let done = self.send("void_order", payload).await;
        self.books.receipts.push(done.reply.result.receipt_number.unwrap());
        self.books.returns.0 += 1;
        self.books.returns.1 += sold.total;
        self.books.tax.1 += sold.tax;
        self.books.rounding -= sold.rounding;
        for (tender, stayed, tip) in sold.paid {
            if tender == "cash" {
                self.books.drawer -= stayed + tip;
            }
            self.books.tips -= tip;
            let of = self.books.tenders.entry(tender).or_default();
            of.2 += 1;
            of.3 += stayed;
        }
    }

    /// All of a sale comes back, and something else goes out; only the difference is paid or refunded.
    async fn exchange(&mut self) {
        let Some(sold) = self.sold.pop() else { return self.sell().await };
        if sold.left.is_some() {
            self.sold.push(sold);
            return self.sell().await;
        }
        let (back, worth, back_tax) = self.all_of(&sold.id).await;
        let (id, (price, discount, tax)) = self.cart().await;
        let credit = worth.min(price);
        let by_exchange = || (credit > 0).then(|| ("exchange".to_owned(), credit, 0));
        let mut paid: Vec<Paid> = by_exchange().into_iter().collect();
        let mut rounded = 0;
        if price > credit {
            let due = price - credit;
            if self.chance.below(2) == 0 {
                let handed = (due + COIN - 1) / COIN * COIN;
                // What was told as change counts from the price; the rest of it goes back with the exchange.
                let payload = json!({"cart_id": id, "tender": "cash", "amount": gbp(handed)});
                let change = self.send("add_payment", payload).await.reply.result.change.unwrap().amount;
                assert_eq!(change, (handed - price - rounding(price)).max(0));
                rounded = rounding(due);
                paid.push(("cash".to_owned(), due + rounded, 0));
            } else {
                paid.push(self.pay(&id, "card", due, 0).await);
            }
        }
        // The rest goes back by what paid for the sale.
        let mut refunds: Vec<(String, i64)> = Vec::new();
        let mut left = worth - credit;
        let mut back_rounding = 0;
        let mut tenders: Vec<(String, i64)> = sold.by_tender().into_iter().collect();
        tenders.sort_by_key(|(tender, _)| tender == "cash");
        for (tender, most) in tenders.into_iter().map(refunded_by) {
            let in_coins = if tender == "cash" { left + rounding(left) } else { left };
            let amount = in_coins.min(most);
            if amount <= 0 {
                continue;
            }
            if amount == in_coins {
                back_rounding += in_coins - left;
            }
            left = if amount == in_coins { 0 } else { left - amount };
            refunds.push((tender, amount));
        }
        if left < COIN && refunds.last().is_some_and(|(tender, _)| tender == "cash") {
            // So much the sale was rounded down by.
            back_rounding -= left;
        } else if left > 0 {
            // No cash is given back that it could be rounded off: it is brought back without an exchange.
            self.send("void_cart", json!({"cart_id": id, "reason": "no exchange"})).await;
            self.send("void_return", json!({"return_id": back})).await;
            self.sold.push(sold);
            return;
        }
        for (tender, amount) in &refunds {
            let refund = json!({"return_id": back, "tender": tender, "amount": gbp(*amount)});
            self.send("refund_tender", refund).await;
        }
        // Where it is not stated, change that no payment told of is somebody's task.
        let payload = json!({"return_id": back, "cart_id": id, "total": gbp(price - worth)});
        let done = self.send("finalize_exchange", payload).await;
        self.books.receipts.push(done.reply.result.return_receipt_number.unwrap());
        refunds.extend(by_exchange().map(|(tender, credit, _)| (tender, credit)));
        self.book_return((worth, back_tax, back_rounding), refunds);
        self.book_sale(id, (price, discount, tax), (paid, rounded), &done, true);
    }

    async fn lines_of(&self, sale: &str) -> Vec<(String, i64)> {
        let who = caller("demo", &[Role::Operator]);
        let order = tillstream_app::orders::read::get(&self.own.ports, &who, sale).await.unwrap();
        let lines = serde_json::to_value(order.lines.unwrap()).unwrap();
        let lines = lines.as_array().unwrap().iter();
        lines.map(|l| (l["line_id"].as_str().unwrap().to_owned(), l["quantity"].as_i64().unwrap())).collect()
    }

    async fn blind_return(&mut self) {
        let id = format!("{}-r{}", self.register, self.sent);
        self.send("start_return", json!({"return_id": id, "reason": "no receipt"})).await;
        let back =
            json!({"return_id": id, "sku": "B", "quantity": 1, "unit_price": "1", "disposition": "none"});
        let totals = self.send("return_line_item", back).await.reply.cart.unwrap().totals;
        let (worth, tax) = (totals.total.amount, totals.tax.amount);
        let added = rounding(worth);
        self.refund(&id, (worth, tax, added), vec![("cash".to_owned(), worth + added)]).await;
    }

    /// Refunds and makes final a return of so much worth, tax and rounding.
    async fn refund(&mut self, id: &str, worth: (i64, i64, i64), refunds: Vec<(String, i64)>) {
        for (tender, amount) in &refunds {
            let refund = json!({"return_id": id, "tender": tender, "amount": gbp(*amount)});
            self.send("refund_tender", refund).await;
        }
        assert_eq!(refunds.iter().map(|(_, amount)| amount).sum::<i64>(), worth.0 + worth.2);
        let done = self.send("finalize_return", json!({"return_id": id})).await;
        self.books.receipts.push(done.reply.result.receipt_number.unwrap());
        self.book_return(worth, refunds);
    }

    fn book_return(&mut self, (worth, tax, rounding): (i64, i64, i64), refunds: Vec<(String, i64)>) {
        self.books.returns.0 += 1;
        self.books.returns.1 += worth;
        self.books.tax.1 += tax;
        self.books.rounding -= rounding;
        for (tender, amount) in refunds {
            if tender == "cash" {
                self.books.drawer -= amount;
            }
            let of = self.books.tenders.entry(tender).or_default();
            of.2 += 1;
            of.3 += amount;
        }
    }

    async fn handle_cash(&mut self, shift: &str) {
        let amount = self.chance.amount(1, 3_000);
        match self.chance.below(4) {
            0 => {
                let payload =
                    json!({"shift_id": shift, "amount": gbp(amount), "reason": "change from the bank"});
                self.send("paid_in", payload).await;
                self.books.drawer += amount;
                self.books.paid_in.0 += 1;
                self.books.paid_in.1 += amount;
            }
            1 if amount <= self.books.drawer => {
                let payload = json!({"shift_id": shift, "amount": gbp(amount), "reason": "window cleaner"});
                self.send("paid_out", payload).await;
                self.books.drawer -= amount;
                self.books.paid_out.0 += 1;
                self.books.paid_out.1 += amount;
            }
            2 => {
                let counted = json!({"shift_id": shift, "counted": gbp(self.books.drawer.max(0))});
                let shift = self.send("cash_count", counted).await.reply.result.shift.unwrap();
                let count = shift.movements.unwrap().pop().unwrap();
                assert_eq!(count.cash_expected.amount, self.books.drawer);
                assert_eq!(count.difference.unwrap().amount, self.books.drawer.max(0) - self.books.drawer);
            }
            _ => {
                self.send("no_sale", json!({"shift_id": shift})).await;
                self.books.no_sales += 1;
            }
        }
    }

    async fn shift(&mut self, number: u64) {
        self.is_cut_off = self.chance.below(2) == 0;
        let float = self.chance.amount(0, 20_000);
        self.books = Books { drawer: float, ..Books::default() };
        let opened = self.send("open_till", json!({"amount": gbp(float)})).await.reply.result.shift.unwrap();
        let id = opened.id;
        for _ in 0..self.chance.below(6) {
            match self.chance.below(11) {
                0..=2 => self.sell().await,
                3 => self.give_up().await,
                4 => self.take_back().await,
                5 => self.void().await,
                6 => self.exchange().await,
                7 => self.take_back_part().await,
                _ => self.handle_cash(&id).await,
            }
        }
        let x = self.send("get_x_report", json!({"shift_id": id})).await;
        let counted = (self.books.drawer + self.chance.amount(-5, 5)).max(0);
        let z = self.send("close_till", json!({"shift_id": id, "counted": gbp(counted)})).await;
        let mut reports = vec![(x, z)];
        if self.is_cut_off {
            let mut told = self.upload().await;
            let z = told.pop().unwrap();
            reports.push((told.pop().unwrap(), z));
            self.is_cut_off = false;
        }
        let shift_of = |answered: Answered| answered.reply.result.shift.unwrap();
        let mut last = None;
        for (x, z) in reports {
            let (x, z) = (shift_of(x), shift_of(z));
            assert_eq!(Books::of(x.report.as_ref().unwrap()), self.books, "X report of shift {number}");
            assert_eq!(Books::of(z.report.as_ref().unwrap()), self.books, "Z report of shift {number}");
            last = Some(z);
        }
        self.prove(number, (float, counted), &last.unwrap()).await;
    }
}

/// Tax on top of two of three goods, and a smallest coin of five.
async fn tax_and_coins(shop: &Shop, environment: &TestEnvironment) {
    let body =
        json!({"pricing": {"tax_mode": "exclusive", "tax_rounding": "per_line", "cash_increment": COIN}});
    let body = serde_json::from_value(body).unwrap();
    let operator = caller("demo", &[Role::Operator]);
    settings::put(&shop.ports, &operator, body, "settings", |_| Ok(())).await.unwrap();
    let rule = json!({
        "id": "vat", "version": 1, "op": "upsert",
        "data": {"name": "VAT", "rate_bps": 875, "target": {"skus": ["A", "C"]}},
    });
    let body = format!("{rule}\n");
    let deadline = environment.now() + SignedDuration::from_mins(1);
    let feed = Upload { entity: Entity::TaxRules, body: body.as_bytes(), from: 1, deadline };
    let reply = upload(&shop.ports, &caller("demo", &[Role::Integration]), feed).await.unwrap();
    assert_eq!((reply.failed, reply.next_from), (0, None));
}

async fn shop() -> (Shop, Arc<MemoryDatabase>) {
    let environment = Arc::new(TestEnvironment::new(7));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
    tax_and_coins(&shop, &environment).await;
    for (sku, price) in [("A", "2.55"), ("B", "1"), ("C", "0.07")] {
        shop.product(STORE, sku, price, 1_000_000).await.unwrap();
    }
    (shop, database)
}

#[tokio::test]
async fn a_thousand_random_shifts_balance() {
    let (shop, database) = shop().await;
    let (own, _) = self::shop().await;
    let (mut relayed, mut uploads) = (0, 0);
    for register in 1..=4 {
        let mut till = Till {
            own: own.clone(),
            shop: shop.clone(),
            database: database.clone(),
            relayed,
            chance: Chance(register),
            register: format!("r-{register}"),
            sent: 0,
            is_cut_off: false,
            waiting: Vec::new(),
            uploads: 0,
            books: Books::default(),
            sold: Vec::new(),
        };
        let (mut last, mut outside) = (0, 0);
        for number in 1..=250 {
            till.shift(number).await;
            if let (Some(first), Some(end)) = (till.books.receipts.first(), till.books.receipts.last()) {
                assert_eq!(
                    *first,
                    last + outside + 1,
                    "a receipt is of this shift, or was given outside of any"
                );
                (last, outside) = (*end, 0);
            }
            // Without the setting, a till may sell between two shifts; that is of neither.
            if till.chance.below(20) == 0 {
                till.sell().await;
                outside += 1;
                assert_eq!(till.facts().await.len(), 1);
            }
        }
        (relayed, uploads) = (till.relayed, uploads + till.uploads);
    }
    assert!(uploads > 800, "{uploads} uploads");
    // All that was stated was what it comes to here, and nothing was sold that was not there.
    let query = ExceptionQuery { location_id: STORE.into(), status: None, limit: None, cursor: None };
    assert!(exceptions::list(&shop.ports, &operator(), &query).await.unwrap().items.is_empty());
}
