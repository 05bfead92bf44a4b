//! Amounts: shown as given where they belong, and nowhere else.

use tillstream_documents::{
    DocumentData, DocumentPayment, Format, Kind, Template, TemplateFormat, render, sample,
};

use crate::fixtures::{made, order, read_by_people, source, with_distinct_amounts};

/// As a document might write it.
fn forms(amount: i64) -> [String; 3] {
    let text = amount.to_string();
    let (whole, fraction) = text.split_at(text.len() - 2);
    [format!("{whole}.{fraction}"), text.clone(), format!("{whole},{fraction}")]
}

#[test]
fn kinds_without_prices_show_none_of_the_data() {
    for kind in [Kind::GiftReceipt, Kind::KitchenChit] {
        let (data, amounts) = with_distinct_amounts(&sample::full(kind));
        assert!(amounts.len() > 25, "only {} amounts were found", amounts.len());
        for format in Format::ALL {
            let text = read_by_people(&made(kind, format, &data));
            for form in amounts.iter().flat_map(|amount| forms(*amount)) {
                assert!(!text.contains(&form), "{kind} as {format} shows {form}:\n{text}");
            }
            for word in ["98765", "GBP", "Staff", "Loyalty", "card", "cash"] {
                assert!(!text.contains(word), "{kind} as {format} shows {word}:\n{text}");
            }
        }
    }
}

#[test]
fn no_template_of_theirs_can_ask_for_a_price() {
    let fields = [
        "order.totals.total|money",
        "order.totals",
        "order.currency",
        "order.payments|length",
        "order.discounts|length",
        "order.taxes|length",
    ];
    let of_lines = ["unit_price", "gross|money", "total|money", "discounts|length", "taxes|length"];
    let of_lines = of_lines.map(|name| format!("line.{name}"));
    for kind in [Kind::GiftReceipt, Kind::KitchenChit] {
        let (data, amounts) = with_distinct_amounts(&sample::full(kind));
        let expressions = fields.iter().map(|field| (*field).to_owned()).chain(of_lines.clone());
        for expression in expressions.chain(["modifier.price|money".to_owned()]) {
            let text = format!(
                "{{% if order.reprint %}}R{{% endif %}}{{% for line in order.lines %}}\
                 {{% for modifier in line.modifiers %}}{{{{ {expression} }}}}{{% endfor %}}{{% endfor %}}"
            );
            for format in TemplateFormat::ALL {
                let refused = Template::check(source(kind, format, text.clone())).unwrap_err();
                assert_eq!(refused.code(), "template_unknown_name", "{expression}: {refused}");
            }
            // Even one that came in by another door finds nothing.
            if let Ok(template) = Template::load(source(kind, TemplateFormat::Paper, text)) {
                let document = render(kind, Format::Text, &data, Some(&template)).unwrap();
                let shown = read_by_people(&document);
                let mut all = amounts.iter().flat_map(|amount| forms(*amount));
                assert!(!all.any(|form| shown.contains(&form)), "{expression} shows {shown}");
            }
        }
    }
}

#[test]
fn a_present_does_not_tell_who_gave_it_or_what_was_said() {
    let of_lines =
        "{% for line in order.lines %}{{ line.notes }}{% endfor %}{% if order.reprint %}R{% endif %}";
    let of_customer = "{{ order.customer.name }}{% if order.reprint %}R{% endif %}";
    for text in [of_lines, of_customer] {
        let of = |kind| Template::check(source(kind, TemplateFormat::Paper, text));
        assert!(of(Kind::KitchenChit).is_ok());
        assert_eq!(of(Kind::GiftReceipt).unwrap_err().code(), "template_unknown_name");
    }
    for format in Format::ALL {
        let text = read_by_people(&made(Kind::GiftReceipt, format, &sample::full(Kind::GiftReceipt)));
        assert!(!text.contains("Zo") && !text.contains("without a lid"), "{text}");
        let text = read_by_people(&made(Kind::KitchenChit, format, &sample::full(Kind::KitchenChit)));
        assert!(text.contains("without a lid") && text.contains("Oat milk"), "{text}");
    }
}

/// Amounts that a kind's built-in templates show, by where they stand in the data.
fn shown(kind: Kind, data: &DocumentData) -> Vec<i64> {
    match data {
        DocumentData::Order(order) => {
            let totals = &order.totals;
            let mut amounts = vec![totals.total.amount, totals.cash_rounding.amount, totals.payable.amount];
            let paid = if kind == Kind::ReturnReceipt { &order.refunds } else { &order.payments };
            let of_payment = |payment: &DocumentPayment| [payment.amount, payment.tip, payment.charged];
            amounts.extend(paid.iter().flat_map(of_payment).map(|money| money.amount));
            if kind != Kind::MerchantCopy {
                amounts.extend([totals.subtotal, totals.discount, totals.tips].map(|money| money.amount));
                amounts.extend(order.discounts.iter().map(|discount| discount.amount.amount));
                amounts.extend(order.taxes.iter().flat_map(|tax| [tax.base.amount, tax.amount.amount]));
                for line in &order.lines {
                    amounts.push(line.gross.amount);
                    amounts.extend(line.modifiers.iter().map(|modifier| modifier.price.amount));
                    amounts.extend(line.discounts.iter().map(|discount| discount.amount.amount));
                    if !line.discounts.is_empty() {
                        amounts.push(line.total.amount);
                    }
                }
            }
            if kind != Kind::ReturnReceipt {
                amounts.push(totals.change.amount);
            }
            amounts
        }
        DocumentData::Shift(shift) => {
            let mut amounts = vec![
                shift.sales_total.amount,
                shift.returns_total.amount,
                shift.tips.amount,
                shift.cash_rounding.amount,
                shift.paid_in.amount,
                shift.paid_out.amount,
                shift.opening_float.amount,
                shift.discounts.amount,
                shift.tax.amount,
                shift.returns_tax.amount,
                shift.cash_taken.amount,
                shift.cash_tips.amount,
                shift.cash_refunds.amount,
                shift.cash_expected.amount,
            ];
            amounts.extend(shift.tenders.iter().map(|tender| tender.payments.amount));
            let refunded = shift.tenders.iter().filter(|tender| tender.refunds_count > 0);
            amounts.extend(refunded.map(|tender| tender.refunds.amount));
            if kind == Kind::ZReport {
                amounts.extend(shift.cash_counted.map(|money| money.amount));
                amounts.extend(shift.cash_difference.map(|money| money.amount));
                amounts.extend(shift.denominations.iter().flat_map(|d| [d.value.amount, d.amount.amount]));
            }
            amounts
        }
    }
}

#[test]
fn amounts_are_shown_as_given() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.has_prices()) {
        // Amounts that agree with none of the others: whatever is worked out would not be among them.
        let (data, _) = with_distinct_amounts(&sample::full(kind));
        for format in Format::ALL {
            let text = read_by_people(&made(kind, format, &data));
            for amount in shown(kind, &data) {
                let [form, ..] = forms(amount);
                assert!(text.contains(&form), "{kind} as {format} does not show {form}:\n{text}");
            }
        }
    }
}

#[test]
fn the_largest_amounts_are_whole_on_paper() {
    let kind = Kind::Receipt;
    let (data, _) = with_distinct_amounts(&sample::full(kind));
    let mut value = serde_json::to_string(&data).unwrap();
    for amount in 0..100 {
        value =
            value.replace(&format!("\"amount\":{}", 735_311 + 1_013 * amount), "\"amount\":-1000000000000");
    }
    let data: DocumentData = serde_json::from_str(&value).unwrap();
    for format in Format::ALL {
        let text = read_by_people(&made(kind, format, &data));
        let whole = text.matches("-10000000000.00").count();
        assert!(whole > 18, "{format} shows {whole} of them whole:\n{text}");
        assert_eq!(whole, text.matches("-1000").count(), "{format} breaks one of them:\n{text}");
    }
}

#[test]
fn a_tax_that_is_added_stands_among_what_is_added() {
    let data = order(|order| {
        let mut added = order.taxes[0].clone();
        (added.name, added.rate_bps, added.included) = ("City tax".to_owned(), 825, false);
        added.amount.amount = 4_711;
        order.taxes.push(added);
    });
    for kind in [Kind::Receipt, Kind::ReturnReceipt] {
        for format in Format::ALL {
            let text = read_by_people(&made(kind, format, &data));
            let end = text.find("TOTAL").or(text.find("REFUND")).unwrap();
            let sums = &text[text.find("Subtotal").unwrap()..end];
            assert!(sums.contains("City tax 8.25%") && sums.contains("47.11"), "{kind} as {format}: {sums}");
            assert!(!sums.contains("VAT A"), "{kind} as {format}: {sums}");
        }
    }
}
