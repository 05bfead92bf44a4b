//! Any cart: with lines, payments, charges, approvals, and all that it remembers.

use tillstream_domain::cart::{CartHold, CartHolds};

use super::*;

fn returned_line() -> impl Strategy<Value = ReturnLine> {
    let disposition = select(vec![Disposition::Restock, Disposition::Damaged, Disposition::None]);
    (disposition, of(any::<u32>()), quantity()).prop_map(|(disposition, original_line, returned_before)| {
        ReturnLine { disposition, original_line, returned_before }
    })
}

fn line() -> impl Strategy<Value = Line> {
    let product = (any::<u32>(), any_text(), any_text(), of(any_text()), quantity(), unit());
    let terms = (any::<bool>(), price(), any::<bool>(), of(any_text()), of(returned_line()));
    (product, terms).prop_map(
        |(
            (number, sku, name, category, quantity, unit),
            (stocked, unit_price, price_overridden, notes, returned),
        )| Line {
            number,
            sku,
            name,
            category,
            quantity,
            unit,
            stocked,
            unit_price,
            price_overridden,
            notes,
            returned,
        },
    )
}

fn payment() -> impl Strategy<Value = Payment> {
    (any::<u32>(), any_text(), amount(), amount(), amount(), of(any_text()), of(any_text())).prop_map(
        |(number, tender, amount, change, tip, external_reference, entry_method)| Payment {
            number,
            tender,
            amount,
            change,
            tip,
            external_reference,
            entry_method,
        },
    )
}

fn applied() -> impl Strategy<Value = Applied> {
    let outcome = prop_oneof![
        Just(Outcome::Created),
        Just(Outcome::Done),
        any::<u32>().prop_map(Outcome::Line),
        (any::<u32>(), any::<i64>()).prop_map(|(number, change)| Outcome::Payment { number, change }),
        Just(Outcome::Finalized),
    ];
    vec((any::<[u8; 10]>(), any::<[u8; 6]>(), outcome), 0..20).prop_map(|commands| {
        let mut applied = Applied::default();
        for (key, fingerprint, outcome) in commands {
            applied.record_last(&CommandIdentity { key, fingerprint }, outcome);
        }
        applied
    })
}

fn return_head() -> impl Strategy<Value = ReturnHead> {
    let line =
        (any::<u32>(), any_text(), of(any_text()), quantity(), quantity(), unit(), any::<bool>(), price())
            .prop_map(|(number, sku, category, sold, returned, unit, stocked, unit_price)| OriginalLine {
                number,
                name: sku.clone(),
                sku,
                category,
                sold,
                returned,
                unit,
                stocked,
                unit_price,
            });
    let original = (id(), vec(line, 0..4), btree_map("[a-z]{1,5}", (any::<i64>(), any::<i64>()), 0..3))
        .prop_map(|(order_id, lines, tenders)| OriginalSale { order_id, lines, tenders });
    (any_text(), of(original)).prop_map(|(reason, original)| ReturnHead { reason, original })
}

fn finalized() -> impl Strategy<Value = Finalized> {
    let number =
        (id(), id(), 0..9_u32, 1..=i64::MAX as u64).prop_map(|(store_id, register_id, epoch, number)| {
            LaneNumber { lane: Lane { store_id, register_id, epoch }, number }
        });
    let hour = (-9_999_999_999..9_999_999_999_i64).prop_map(|at| Timestamp::from_second(at).unwrap());
    (number, any::<u32>(), any_text(), (instant(), instant()), day(), hour, any::<i32>()).prop_map(
        |(number, order_version, status, (at, recorded_at), business_day, hour_start, offset_seconds)| {
            Finalized {
                number,
                order_version,
                status,
                at,
                recorded_at,
                business_day,
                hour_start,
                offset_seconds,
            }
        },
    )
}

pub(super) fn cart() -> impl Strategy<Value = Cart> {
    let state = select(vec![
        CartState::Open,
        CartState::Tendering,
        CartState::Paid,
        CartState::Finalized,
        CartState::Voided,
        CartState::Parked,
    ]);
    let head = (
        id(),
        any::<bool>(),
        0..=i64::MAX as u64,
        state,
        of(any_text()),
        of(any_text()),
        instant(),
        instant(),
    );
    let content = (
        vec(line(), 0..6),
        vec(payment(), 0..4),
        applied(),
        of(any::<u32>()),
        of(return_head()),
        of(any_text()),
        of(finalized()),
        (
            (charges(), terms(), approvals(), course()),
            vec((any::<u32>(), kit_parts()), 0..4),
            holds(),
            vec((any::<u32>(), id()), 0..4),
        ),
    );
    (head, content).prop_map(
        |(
            (id, sale, version, state, customer_id, region, opened_at, written_at),
            (
                lines,
                payments,
                applied,
                plan_attempt,
                return_of,
                void_reason,
                finalized,
                ((charges, terms, approvals, course), kits, holds, lots),
            ),
        )| {
            let cart = Cart {
                id,
                kind: if sale { CartKind::Sale } else { CartKind::Return },
                version,
                state,
                store_id: "s-1".into(),
                register_id: "r-1".into(),
                channel: "pos".into(),
                customer_id,
                region,
                employee_id: "e-1".into(),
                currency: Currency::GBP,
                opened_at,
                written_at,
                lines,
                payments,
                charges,
                terms,
                kits: Kits::default(),
                holds,
                lots: Lots::default(),
                approvals,
                course,
                numbers_used: NumbersUsed { lines: 7, payments: 3 },
                applied,
                plan_attempt,
                return_of,
                void_reason,
                finalized,
            };
            with_lots(with_kits(cart, kits), lots)
        },
    )
}

fn holds() -> impl Strategy<Value = CartHolds> {
    let hold = (any::<u32>(), any::<i64>(), quantity(), any::<i64>());
    let hold =
        hold.prop_map(|(part, layout, quantity, expires_at)| CartHold { part, layout, quantity, expires_at });
    vec((any_text(), vec(hold, 0..3)), 0..4).prop_map(|of_skus| {
        let mut holds = CartHolds::default();
        for (sku, of_sku) in of_skus {
            holds.set(&sku, of_sku);
        }
        holds
    })
}

fn kit_parts() -> impl Strategy<Value = Vec<KitPart>> {
    let part = (any_text(), quantity(), unit());
    vec(part.prop_map(|(sku, quantity, unit)| KitPart { sku, quantity, unit }), 0..4)
}

/// Some lines are kits, perhaps such as are not there.
fn with_kits(mut cart: Cart, kits: Vec<(u32, Vec<KitPart>)>) -> Cart {
    let numbers: Vec<u32> = cart.lines.iter().map(|line| line.number).collect();
    for (place, (number, parts)) in kits.into_iter().enumerate() {
        cart.set_kit(numbers.get(place).copied().unwrap_or(number), parts);
    }
    cart
}

/// Some lines name lots, perhaps such as are not there.
fn with_lots(mut cart: Cart, lots: Vec<(u32, String)>) -> Cart {
    let numbers: Vec<u32> = cart.lines.iter().map(|line| line.number).collect();
    for (place, (number, lot)) in lots.into_iter().enumerate() {
        cart.set_lot(numbers.get(place).copied().unwrap_or(number), lot);
    }
    cart
}

fn course() -> impl Strategy<Value = Course> {
    let exchange = (id(), any::<i64>()).prop_map(|(with, change)| Exchanged { with, change });
    of(exchange).prop_map(|exchange| Course { exchange, ..Course::default() })
}

fn approvals() -> impl Strategy<Value = Approvals> {
    let part = prop_oneof![
        (any::<u32>(), quantity()).prop_map(|(number, most)| ApprovedPart::Line { number, most }),
        any::<u32>().prop_map(ApprovedPart::Discount),
        any::<(u32, i64)>().prop_map(|(number, goods)| ApprovedPart::ShareOf { number, goods }),
        any::<i64>().prop_map(|most| ApprovedPart::Return { most }),
        Just(ApprovedPart::Whole),
    ];
    let used = (id(), any_text(), part).prop_map(|(approval_id, approved_by, part)| UsedApproval {
        approval_id,
        approved_by,
        part,
    });
    let rule = (any::<bool>(), of(any::<u32>()), of(any::<i64>()))
        .prop_map(|(required, above_bps, above_amount)| DiscountRule { required, above_bps, above_amount });
    let shares = btree_map(any::<u32>(), any::<i64>(), 0..3);
    (vec(used, 0..4), vec(any::<u32>(), 0..4), of(rule), shares).prop_map(
        |(used, allowed_discounts, allowed_by, own_shares)| Approvals {
            used,
            allowed_discounts,
            allowed_by,
            own_shares,
        },
    )
}

fn charged() -> impl Strategy<Value = LineCharges> {
    let discount = any::<(u16, i64, i64)>();
    let discount = discount.prop_map(|(head, amount, tax)| LineDiscount { head, amount, tax });
    (any::<i64>(), vec(discount, 0..3), vec(any::<(u16, i64)>(), 0..3))
        .prop_map(|(net, discounts, taxes)| LineCharges { net, discounts, taxes })
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        any::<u32>().prop_map(|number| Source::ManualDiscount { number }),
        (any_text(), any::<u64>()).prop_map(|(id, version)| Source::Promotion { id, version }),
        any_text().prop_map(|code| Source::Coupon { code }),
    ]
}

fn terms() -> impl Strategy<Value = SaleTerms> {
    let benefit = prop_oneof![
        any::<u32>().prop_map(|bps| CouponBenefit::Percentage { bps }),
        any::<i64>().prop_map(|amount| CouponBenefit::FixedAmount { amount }),
        any_text().prop_map(|promotion_id| CouponBenefit::Promotion { promotion_id }),
    ];
    let valid = (of(instant()), of(instant()));
    let coupon = (any_text(), benefit, of(any::<i64>()), valid, of(any::<u32>()), of(any::<u32>()));
    let coupon = coupon.prop_map(|(code, benefit, minimum_spend, valid, total_limit, per_customer_limit)| {
        let currency = Some(Currency::GBP);
        let (valid_from, valid_to) = valid;
        let target = Selector::default();
        let coupon = Coupon { code, benefit, currency, minimum_spend, valid_from, valid_to, target };
        AppliedCoupon { coupon, total_limit, per_customer_limit }
    });
    let modifier = (any_text(), any::<i64>());
    let modifier = modifier.prop_map(|(name, ten_thousandths)| Modifier { name, ten_thousandths });
    let line = (of(any_text()), any::<bool>(), any::<bool>(), vec(modifier, 0..3), of(unit_price()));
    let line = line.prop_map(|(tax_category, tax_exempt, undiscountable, modifiers, list_price)| LineTerms {
        tax_category,
        tax_exempt,
        undiscountable,
        modifiers,
        list_price,
        segment_prices: list_price.map(|price| ("trade".to_owned(), price)).into_iter().collect(),
    });
    let given = (btree_set(any_text(), 0..3), btree_set(any_text(), 0..3), vec(coupon, 0..3));
    let customer = (vec(any_text(), 0..3), any::<bool>());
    let cash = (any::<u32>(), btree_map(any::<u32>(), any::<i64>(), 0..3));
    (of(any_text()), customer, given, btree_map(any::<u32>(), line, 0..3), cash).prop_map(
        |(time_zone, (segments, tax_exempt), (requested, excluded, coupons), lines, cash)| SaleTerms {
            time_zone,
            customer: CustomerTerms { segments, tax_exempt },
            requested,
            uses_left: excluded.iter().map(|id| (id.clone(), 3)).collect(),
            uses_left_by_customer: BTreeMap::new(),
            countings: Countings {
                coupons: BTreeMap::from([(
                    "TEN".to_owned(),
                    Counting { first: cash.0, split: 0, lowered: false },
                )]),
                promotions: excluded
                    .iter()
                    .map(|id| (id.clone(), Counting { first: 0, split: cash.0, lowered: true }))
                    .collect(),
            },
            excluded,
            coupons,
            lines,
            cash_increment: cash.0,
            cash_rounding: cash.1,
        },
    )
}

fn unit_price() -> impl Strategy<Value = UnitPrice> {
    (0_i64..10_000_000).prop_map(|value| UnitPrice::from_ten_thousandths(value).unwrap())
}

fn charges() -> impl Strategy<Value = Charges> {
    let kind = prop_oneof![
        any::<u32>().prop_map(|bps| ManualDiscountKind::PercentCart { bps }),
        any::<(u32, u32)>().prop_map(|(line, bps)| ManualDiscountKind::PercentLine { line, bps }),
        any::<i64>().prop_map(|amount| ManualDiscountKind::FixedCart { amount }),
        any::<(u32, i64)>().prop_map(|(line, amount)| ManualDiscountKind::FixedLine { line, amount }),
    ];
    let manual = (any::<u32>(), kind, any_text()).prop_map(|(number, kind, reason)| ManualDiscount {
        number,
        kind,
        reason,
    });
    let head = (source(), any_text()).prop_map(|(source, name)| DiscountHead { source, name });
    let tax = (any_text(), any::<u64>(), any_text(), any::<u32>(), any::<bool>());
    let tax = tax.prop_map(|(id, version, name, rate_bps, included)| TaxHead {
        id,
        version,
        name,
        rate_bps,
        included,
    });
    let reason = prop_oneof![
        Just(Reason::NotValidNow),
        any::<(i64, i64)>().prop_map(|(needed, is)| Reason::BelowMinimum { needed, is }),
        any_text().prop_map(|best| Reason::NotBestOfGroup { best }),
    ];
    let unapplied = (any::<u16>(), reason).prop_map(|(head, reason)| Unapplied { head, reason });
    let limited = (source(), any::<u32>(), of(any::<u32>()), of(any::<u32>()));
    let limited = limited.prop_map(|(source, uses, total, per_customer)| LimitedUse {
        source,
        uses,
        total,
        per_customer,
    });
    (
        (vec(manual, 0..3), any::<u32>()),
        (vec(head, 0..3), vec(tax, 0..3)),
        btree_map(any::<u32>(), charged(), 0..3),
        btree_map(any::<u32>(), charged(), 0..3),
        (vec(unapplied, 0..3), vec(limited, 0..3)),
    )
        .prop_map(|((manual, manual_used), (discounts, taxes), lines, sold, (unapplied, uses))| {
            Charges { manual, manual_used, discounts, taxes, lines, sold, unapplied, uses }
        })
}
