//! How many three-line orders a second one core folds into pages: `cargo run --release -p
//! tillstream-domain --example fold_speed`. Prints orders a second.

use std::time::Instant;

use jiff::Timestamp;
use tillstream_domain::aggregates::{
    FactKind, FactLine, FactPayment, HourPage, PAGES_DEFAULT, ProductPage, SaleFact, page_of,
};
use tillstream_domain::lane::Lane;
use tillstream_domain::money::Currency;
use tillstream_domain::quantity::Quantity;

const ORDERS: u64 = 200_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut facts = Vec::new();
    for n in 0..ORDERS {
        let line = |at: u64| -> Result<FactLine, Box<dyn std::error::Error>> {
            let product = (n * 7 + at * 1_301) % 4_000;
            Ok(FactLine {
                sku: (20_000 + product).to_string(),
                category: Some(format!("category-{}", product % 10)),
                quantity: Quantity::from_pieces(2)?,
                gross: 510,
                discount: 10,
                tax: 100,
            })
        };
        let register = format!("r-{}", n % 4);
        facts.push(SaleFact {
            kind: FactKind::Sale,
            lane: Lane::new("s-1", register.as_str()),
            number: n / 4 + 1,
            business_day: "2010-12-01".parse()?,
            hour_start: Timestamp::from_second(1_291_190_400)?,
            offset_seconds: 0,
            register_id: register,
            employee_id: format!("e-{}", n % 6),
            channel: "pos".to_owned(),
            segment: None,
            currency: Currency::GBP,
            lines: vec![line(0)?, line(1)?, line(2)?],
            payments: vec![
                FactPayment { tender: "card".to_owned(), amount: 1_000, tip: 0 },
                FactPayment { tender: "cash".to_owned(), amount: 800, tip: 0 },
            ],
        });
    }
    let mut hour = HourPage::default();
    let mut products: Vec<ProductPage> = (0..PAGES_DEFAULT).map(|_| ProductPage::default()).collect();
    let begin = Instant::now();
    for fact in &facts {
        hour.fold(fact);
        for line in &fact.lines {
            let page = page_of(&line.sku, PAGES_DEFAULT);
            if let Some(products) = products.get_mut(usize::try_from(page)?) {
                products.fold(fact, page, PAGES_DEFAULT);
            }
        }
    }
    let nanos = begin.elapsed().as_nanos();
    println!("{}", u128::from(ORDERS) * 1_000_000_000 / nanos.max(1));
    Ok(())
}
