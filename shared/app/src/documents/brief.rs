//! An order's document in fewer words, where in all of them it would be none for its size.

use tillstream_documents::{DocumentData, DocumentError, Kind, Modifier};
use tillstream_domain::money::Money;

/// What is left out, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brevity {
    /// What was taken off single lines, and the names of what was chosen with them: how many choices they are is told.
    Sums,
    /// All but names, quantities and prices of lines.
    Prices,
}

impl Brevity {
    /// All of them.
    pub(super) const ALL: [Brevity; 2] = [Brevity::Sums, Brevity::Prices];
}

/// Whether a document was too much for one, so that there may be one in fewer words.
pub(super) fn is_too_much(error: &DocumentError) -> bool {
    matches!(
        error,
        DocumentError::DocumentTooLarge
            | DocumentError::TooManyEntries { .. }
            | DocumentError::TemplateTooCostly
    )
}

/// The data with less in them. What was taken off is told of the order as it is, and the lines come to the same.
/// Nothing where that may not be left out: who makes a thing, or gets it as a gift, has its words and no price.
pub(super) fn in_brief(kind: Kind, data: &DocumentData, brevity: Brevity) -> Option<DocumentData> {
    let DocumentData::Order(order) = data else { return None };
    if brevity == Brevity::Prices && !kind.has_prices() {
        return None;
    }
    let mut order = order.clone();
    for line in &mut order.lines {
        line.discounts.clear();
        line.taxes.clear();
        match brevity {
            Brevity::Sums => sum_up(&mut line.modifiers),
            Brevity::Prices => {
                line.modifiers.clear();
                line.notes = None;
            }
        }
    }
    Some(DocumentData::Order(order))
}

/// One for all: who makes the thing must know that there is something to ask for. What they cost is within the line's
/// price.
fn sum_up(modifiers: &mut Vec<Modifier>) {
    let count = modifiers.len();
    let Some(first) = modifiers.first_mut().filter(|_| count > 1) else { return };
    *first = Modifier { name: format!("{count} choices"), price: Money::zero(first.price.currency) };
    modifiers.truncate(1);
}

#[cfg(test)]
mod tests {
    use tillstream_documents::sample;

    use super::*;

    /// Lines come to what they came to, and of what is left out something is told where it matters.
    #[test]
    fn lines_lose_words_and_no_money() {
        let data = sample::full(Kind::Receipt);
        let DocumentData::Order(mut order) = data else { panic!("no order") };
        let one = Modifier { name: "Large".to_owned(), price: order.totals.total };
        order.lines[0].modifiers = vec![one.clone(), one];
        order.lines[0].notes = Some("no nuts".to_owned());
        let data = DocumentData::Order(order.clone());
        for (brevity, names, notes) in
            [(Brevity::Sums, vec!["2 choices"], Some("no nuts")), (Brevity::Prices, vec![], None)]
        {
            let brief = in_brief(Kind::Receipt, &data, brevity);
            let Some(DocumentData::Order(brief)) = brief else { panic!("no order") };
            let line = &brief.lines[0];
            assert_eq!(line.modifiers.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), names);
            assert_eq!(line.notes.as_deref(), notes);
            assert!(brief.lines.iter().all(|line| line.discounts.is_empty() && line.taxes.is_empty()));
            let money = |lines: &[tillstream_documents::DocumentLine]| {
                lines.iter().map(|line| (line.name.clone(), line.gross, line.total)).collect::<Vec<_>>()
            };
            assert_eq!(money(&brief.lines), money(&order.lines));
            assert_eq!(
                (&brief.totals, &brief.discounts, &brief.taxes),
                (&order.totals, &order.discounts, &order.taxes)
            );
        }
        assert_eq!(in_brief(Kind::KitchenChit, &data, Brevity::Prices), None, "no nuts");
    }
}
