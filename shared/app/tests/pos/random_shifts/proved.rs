//! What a shop keeps of a shift, and what it told the world of it.

use tillstream_app::aggregation::event;
use tillstream_app::database::{Item, Table};
use tillstream_app::pos::till::{proof, read};
use tillstream_app::relay::{Images, handle};
use tillstream_contracts::till::ShiftView;
use tillstream_domain::aggregates::{FactKind, HourPage, SaleFact};
use tillstream_domain::money::Currency;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};

use super::{Books, Till, operator};

impl Books {
    /// By the events of a shift that began with `float`; what moved beside sales is that of `beside`.
    fn of_events(float: i64, facts: &[SaleFact], beside: &Books) -> Books {
        let mut books = Books {
            drawer: float + beside.paid_in.1 - beside.paid_out.1,
            paid_in: beside.paid_in,
            paid_out: beside.paid_out,
            no_sales: beside.no_sales,
            ..Books::default()
        };
        for fact in facts {
            books.receipts.push(fact.number);
            let mut sum = fact.count();
            fact.lines.iter().for_each(|line| sum.add(&fact.line_metrics(line)));
            books.discounts += sum.discounts;
            books.tips += fact.payments.iter().map(|payment| fact.tip(payment)).sum::<i64>();
            let moved: i64 = fact.payments.iter().map(|payment| payment.amount).sum();
            let (way, total) = match fact.kind {
                FactKind::Sale => {
                    books.tax.0 += sum.tax;
                    (1, sum.gross - sum.discounts + sum.tax)
                }
                // Tax of what came back is below zero.
                FactKind::Return => {
                    books.tax.1 -= sum.tax;
                    (-1, sum.returns - sum.tax)
                }
            };
            let of = if way > 0 { &mut books.sales } else { &mut books.returns };
            of.0 += sum.orders + sum.return_orders;
            of.1 += total;
            books.rounding += way * (moved - total);
            for payment in &fact.payments {
                if payment.tender == "cash" {
                    books.drawer += way * (payment.amount + payment.tip);
                }
                let by = books.tenders.entry(payment.tender.clone()).or_default();
                let (count, amount) = if way > 0 { (&mut by.0, &mut by.1) } else { (&mut by.2, &mut by.3) };
                *count += 1;
                *amount += payment.amount;
            }
        }
        books.receipts.sort_unstable();
        books
    }
}

impl Till {
    /// What became final since it was asked for last, as analytics hears it.
    pub(super) async fn facts(&mut self) -> Vec<SaleFact> {
        let changes = self.database.changes(Table::Orders, self.relayed);
        self.relayed = changes.last().map_or(self.relayed, |change| change.sequence);
        let is_final = |item: &Item| item.opt_number("lane_number").is_some();
        let images: Vec<Images<'_>> = changes
            .iter()
            .filter(|change| change.new.as_ref().is_some_and(is_final))
            .map(|change| (change.old.as_ref(), change.new.as_ref()))
            .collect();
        let environment = self.shop.ports.environment.clone();
        let (stream, queue) = (MemoryStream::new(1, environment.clone()), MemoryQueue::new(environment));
        assert!(handle(&self.shop.ports, &stream, &queue, &images).await.is_empty());
        let records = stream.all();
        let fact = |data: &[u8]| event::fact_of(event::parse_event(data).unwrap()).unwrap();
        records.iter().map(|record| fact(&record.data)).collect()
    }

    /// What the shop keeps of a shift, and what the world was told of it, is what its Z report says.
    pub(super) async fn prove(&mut self, number: u64, (float, counted): (i64, i64), z: &ShiftView) {
        let report = z.report.as_ref().unwrap();
        assert_eq!(report.cash_difference.unwrap().amount, counted - self.books.drawer);
        assert_eq!(z.z_number, Some(number));
        let (stored, _) = read::get(&self.shop.ports, &operator(), &z.id).await.unwrap();
        assert_eq!(stored, *z, "what is read later is what was answered");
        let proved = proof::of_shift(&self.shop.ports, &operator(), &z.id).await.unwrap();
        assert!(proved.proved, "shift {number}: {proved:?}");
        assert_eq!(usize::try_from(proved.orders).unwrap(), self.books.receipts.len());

        let facts = self.facts().await;
        assert_eq!(
            Books::of_events(float, &facts, &self.books),
            Books::of(report),
            "events of shift {number}"
        );
        let mut page = HourPage::default();
        for fact in &facts {
            assert!(page.fold(fact) && !page.fold(fact), "each is counted once");
        }
        let sum = page.figures.get(&Currency::GBP).map(|figures| figures.total).unwrap_or_default();
        assert_eq!((sum.orders, sum.return_orders), (report.sales_count, report.returns_count));
        assert_eq!(sum.net() + sum.tax, report.sales_total.amount - report.returns_total.amount);
        assert_eq!((sum.discounts, sum.tips), (report.discounts.amount, report.tips.amount));
        assert_eq!(sum.tax, report.tax.amount - report.returns_tax.amount);
    }
}
