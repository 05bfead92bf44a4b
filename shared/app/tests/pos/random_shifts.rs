//! A thousand random shifts: the drawer, the commands' own replies and the Z report say the same.
//!
//! The books here are kept as a cashier would: what goes into the drawer and comes out of it, by what each
//! command answered. Nothing of the code that makes the report is asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tillstream_app::pos::execute::Answered;
use tillstream_app::pos::till::{proof, read};
use tillstream_app::tenancy::Role;
use tillstream_contracts::till::ShiftReportView;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

/// SplitMix64 (Steele, Lea, Flood, 2014).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn amount(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(u64::try_from(to - from + 1).unwrap())).unwrap()
    }
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

struct Till {
    shop: Shop,
    chance: Chance,
    register: String,
    sent: u64,
    books: Books,
    /// Sales that may come back: what was paid for them, by tender.
    sold: Vec<(String, BTreeMap<String, i64>)>,
}

impl Till {
    async fn send(&mut self, action: &str, payload: Value) -> Answered {
        self.sent += 1;
        let key = format!("{}-{}", self.register, self.sent);
        let answered = self.shop.at(&self.register, &key, action, payload.clone()).await;
        answered.unwrap_or_else(|error| panic!("{action} {payload}: {error}"))
    }

    /// A cart with a line or two, perhaps a discount; answers its id, total and discount.
    async fn cart(&mut self) -> (String, i64, i64) {
        let opened = self.send("create_cart", json!({})).await;
        let id = opened.reply.result.cart_id.unwrap();
        for _ in 0..=self.chance.below(2) {
            let sku = ["A", "B", "C"][usize::try_from(self.chance.below(3)).unwrap()];
            let line = json!({"cart_id": id, "sku": sku, "quantity": self.chance.amount(1, 4)});
            self.send("add_line_item", line).await;
        }
        if self.chance.below(4) == 0 {
            let off = json!({"cart_id": id, "kind": "percent_cart", "value": 1_500, "reason": "regular"});
            self.send("apply_manual_discount", off).await;
        }
        let fixed = self.send("set_tendering", json!({"cart_id": id})).await;
        let totals = fixed.reply.cart.unwrap().totals;
        (id, totals.total.amount, totals.discount.amount)
    }

    async fn pay(&mut self, id: &str, tender: &str, amount: i64, tip: i64) -> Paid {
        let mut payload = json!({"cart_id": id, "tender": tender, "amount": gbp(amount)});
        if tip > 0 {
            payload["tip"] = gbp(tip);
        }
        let paid = self.send("add_payment", payload).await;
        (tender.to_owned(), amount - paid.reply.result.change.unwrap().amount, tip)
    }

    /// Pays `total` by one tender or two, cash with change.
    async fn pay_all(&mut self, id: &str, total: i64) -> Vec<Paid> {
        let tip = if self.chance.below(3) == 0 { self.chance.amount(1, 90) } else { 0 };
        let handed = total + self.chance.amount(0, 700);
        match self.chance.below(4) {
            0 => vec![self.pay(id, "cash", handed, tip).await],
            1 => vec![self.pay(id, "card", total, tip).await],
            2 if total > 1 => {
                let first = self.chance.amount(1, total - 1);
                let tender = ["card", "gift_card", "voucher"][usize::try_from(self.chance.below(3)).unwrap()];
                let part = self.pay(id, tender, first, 0).await;
                vec![part, self.pay(id, "cash", handed - first, tip).await]
            }
            _ => {
                let first = self.chance.amount(1, total);
                let mut paid = vec![self.pay(id, "cash", first, tip).await];
                if first < total {
                    paid.push(self.pay(id, "cash", handed - first, 0).await);
                }
                paid
            }
        }
    }

    async fn sell(&mut self) {
        let (id, total, discount) = self.cart().await;
        let paid = self.pay_all(&id, total).await;
        let done = self.send("finalize_order", json!({"cart_id": id})).await;
        self.books.receipts.push(done.reply.result.receipt_number.unwrap());
        self.books.sales.0 += 1;
        self.books.sales.1 += total;
        self.books.discounts += discount;
        let mut by = BTreeMap::new();
        for (tender, stayed, tip) in paid {
            if tender == "cash" {
                self.books.drawer += stayed + tip;
            }
            self.books.tips += tip;
            let of = self.books.tenders.entry(tender.clone()).or_default();
            of.0 += 1;
            of.1 += stayed;
            *by.entry(tender).or_default() += stayed;
        }
        assert_eq!(by.values().sum::<i64>(), total);
        self.sold.push((id, by));
    }

    /// A cart that is given up, also with money already on the counter: that is handed back.
    async fn give_up(&mut self) {
        let (id, total, _) = self.cart().await;
        if self.chance.below(2) == 0 {
            self.pay_all(&id, total).await;
        }
        self.send("void_cart", json!({"cart_id": id, "reason": "changed mind"})).await;
    }

    async fn take_back(&mut self) {
        let Some((sale, paid)) = self.sold.pop() else { return self.blind_return().await };
        let start = json!({"original_order_id": sale, "reason": "unwanted"});
        let id = self.send("start_return", start).await.reply.result.return_id.unwrap();
        let lines = self.lines_of(&sale).await;
        let mut worth = 0;
        for (line, quantity) in lines {
            let back =
                json!({"return_id": id, "line_id": line, "quantity": quantity, "disposition": "restock"});
            worth = self.send("return_line_item", back).await.reply.cart.unwrap().totals.total.amount;
        }
        let refunds: Vec<(String, i64)> = paid.into_iter().filter(|(_, amount)| *amount > 0).collect();
        assert_eq!(refunds.iter().map(|(_, amount)| amount).sum::<i64>(), worth);
        self.refund(&id, worth, refunds).await;
    }

    async fn lines_of(&self, sale: &str) -> Vec<(String, i64)> {
        let who = caller("demo", &[Role::Operator]);
        let order = tillstream_app::orders::read::get(&self.shop.ports, &who, sale).await.unwrap();
        let lines = serde_json::to_value(order.lines.unwrap()).unwrap();
        let lines = lines.as_array().unwrap().iter();
        lines.map(|l| (l["line_id"].as_str().unwrap().to_owned(), l["quantity"].as_i64().unwrap())).collect()
    }

    async fn blind_return(&mut self) {
        let start = json!({"reason": "no receipt"});
        let id = self.send("start_return", start).await.reply.result.return_id.unwrap();
        let back =
            json!({"return_id": id, "sku": "B", "quantity": 1, "unit_price": "1", "disposition": "none"});
        self.send("return_line_item", back).await;
        self.refund(&id, 100, vec![("cash".to_owned(), 100)]).await;
    }

    async fn refund(&mut self, id: &str, worth: i64, refunds: Vec<(String, i64)>) {
        for (tender, amount) in refunds {
            let refund = json!({"return_id": id, "tender": tender, "amount": gbp(amount)});
            self.send("refund_tender", refund).await;
            if tender == "cash" {
                self.books.drawer -= amount;
            }
            let of = self.books.tenders.entry(tender).or_default();
            of.2 += 1;
            of.3 += amount;
        }
        let done = self.send("finalize_return", json!({"return_id": id})).await;
        self.books.receipts.push(done.reply.result.receipt_number.unwrap());
        self.books.returns.0 += 1;
        self.books.returns.1 += worth;
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
        let float = self.chance.amount(0, 20_000);
        self.books = Books { drawer: float, ..Books::default() };
        let opened = self.send("open_till", json!({"amount": gbp(float)})).await.reply.result.shift.unwrap();
        let id = opened.id;
        for _ in 0..self.chance.below(6) {
            match self.chance.below(8) {
                0..=2 => self.sell().await,
                3 => self.give_up().await,
                4 => self.take_back().await,
                _ => self.handle_cash(&id).await,
            }
        }
        let x = self.send("get_x_report", json!({"shift_id": id})).await.reply.result.shift.unwrap();
        assert_eq!(Books::of(&x.report.unwrap()), self.books, "X report of shift {number}");
        let counted = (self.books.drawer + self.chance.amount(-5, 5)).max(0);
        let closed = json!({"shift_id": id, "counted": gbp(counted)});
        let z = self.send("close_till", closed).await.reply.result.shift.unwrap();
        let report = z.report.clone().unwrap();
        assert_eq!(Books::of(&report), self.books, "Z report of shift {number}");
        assert_eq!(report.cash_difference.unwrap().amount, counted - self.books.drawer);
        assert_eq!(z.z_number, Some(number));
        let who = caller("demo", &[Role::Operator]);
        let (stored, _) = read::get(&self.shop.ports, &who, &id).await.unwrap();
        assert_eq!(stored, *z, "what is read later is what was answered");
        let proved = proof::of_shift(&self.shop.ports, &who, &id).await.unwrap();
        assert!(proved.proved, "shift {number}: {proved:?}");
        assert_eq!(usize::try_from(proved.orders).unwrap(), self.books.receipts.len());
    }
}

#[tokio::test]
async fn a_thousand_random_shifts_balance() {
    let environment = Arc::new(TestEnvironment::new(7));
    let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(database, environment).await.unwrap();
    for (sku, price) in [("A", "2.55"), ("B", "1"), ("C", "0.07")] {
        shop.product(STORE, sku, price, 1_000_000).await.unwrap();
    }
    for register in 1..=4 {
        let mut till = Till {
            shop: shop.clone(),
            chance: Chance(register),
            register: format!("r-{register}"),
            sent: 0,
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
            }
        }
    }
}
