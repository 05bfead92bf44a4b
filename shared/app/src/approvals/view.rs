//! An approval as a client sees it.

use jiff::Timestamp;
use tillstream_contracts::approvals::{
    ApprovalActionInput, ApprovalDecisionView, ApprovalStatusView, ApprovalUseView, ApprovalView,
};
use tillstream_contracts::pos::{DiscountKind, DiscountValue};
use tillstream_domain::approval::{ApprovalAction, ApprovalStatus, Binding, Off};

use super::item::StoredApproval;

fn action_view(action: ApprovalAction) -> ApprovalActionInput {
    match action {
        ApprovalAction::PriceOverride => ApprovalActionInput::PriceOverride,
        ApprovalAction::ManualDiscount => ApprovalActionInput::ManualDiscount,
        ApprovalAction::BlindReturn => ApprovalActionInput::BlindReturn,
        ApprovalAction::VoidOrder => ApprovalActionInput::VoidOrder,
        ApprovalAction::PaidIn => ApprovalActionInput::PaidIn,
        ApprovalAction::PaidOut => ApprovalActionInput::PaidOut,
        ApprovalAction::NoSale => ApprovalActionInput::NoSale,
        ApprovalAction::CloseCount => ApprovalActionInput::CloseCount,
        ApprovalAction::CorrectDifference => ApprovalActionInput::CorrectDifference,
    }
}

fn status_view(status: ApprovalStatus) -> ApprovalStatusView {
    match status {
        ApprovalStatus::Pending => ApprovalStatusView::Pending,
        ApprovalStatus::Granted => ApprovalStatusView::Granted,
        ApprovalStatus::Denied => ApprovalStatusView::Denied,
        ApprovalStatus::Used => ApprovalStatusView::Used,
        ApprovalStatus::Expired => ApprovalStatusView::Expired,
    }
}

/// The approval as it stands at `now`.
pub fn approval_view(stored: &StoredApproval, now: Timestamp) -> ApprovalView {
    let approval = &stored.approval;
    let mut view = ApprovalView {
        approval_id: approval.id.clone(),
        version: approval.version,
        status: status_view(approval.status(now)),
        store_id: approval.bound.store_id.clone(),
        register_id: approval.bound.register_id.clone(),
        action: action_view(approval.bound.binding.action()),
        reason: approval.reason.clone(),
        asked_by: approval.asked_by.subject.clone(),
        employee_id: approval.asked_by.employee_id.clone(),
        asked_at: approval.asked_at,
        expires_at: approval.expires_at(),
        cart_id: None,
        sku: None,
        unit_price_override: None,
        quantity: None,
        kind: None,
        value: None,
        line_id: None,
        maximum_goods: None,
        maximum_refund: None,
        order_id: None,
        shift_id: None,
        amount: None,
        count_id: None,
        count_version: None,
        variance: None,
        exception_id: None,
        compared_version: None,
        decision: approval.decision.as_ref().map(|decision| ApprovalDecisionView {
            granted: decision.granted,
            by: decision.by.subject.clone(),
            at: decision.at,
            reason: decision.reason.clone(),
        }),
        used: approval.used.as_ref().map(|used| ApprovalUseView {
            employee_id: used.by.employee_id.clone(),
            at: used.at,
            command: used.command.clone(),
            resource_id: used.resource_id.clone(),
            part_id: used.part_id.clone(),
        }),
    };
    match &approval.bound.binding {
        Binding::PriceOverride { cart_id, sku, unit_price, quantity } => {
            view.cart_id = Some(cart_id.clone());
            view.sku = Some(sku.clone());
            view.unit_price_override = Some(*unit_price);
            view.quantity = Some(quantity.display(stored.unit));
        }
        Binding::ManualDiscount { cart_id, line, off, goods } => {
            view.cart_id = Some(cart_id.clone());
            view.line_id = line.map(|number| format!("l-{number}"));
            let (kind, value) = match (off, line) {
                (Off::BasisPoints(bps), None) => {
                    (DiscountKind::PercentCart, DiscountValue::BasisPoints(*bps))
                }
                (Off::BasisPoints(bps), Some(_)) => {
                    (DiscountKind::PercentLine, DiscountValue::BasisPoints(*bps))
                }
                (Off::Amount(amount), None) => (DiscountKind::FixedCart, DiscountValue::Amount(*amount)),
                (Off::Amount(amount), Some(_)) => (DiscountKind::FixedLine, DiscountValue::Amount(*amount)),
            };
            view.kind = Some(kind);
            view.value = Some(value);
            view.maximum_goods = goods.as_ref().map(|goods| goods.worth);
            view.sku = goods.as_ref().and_then(|goods| goods.sku.clone());
        }
        Binding::BlindReturn { maximum_refund } => view.maximum_refund = Some(*maximum_refund),
        Binding::VoidOrder { order_id } => view.order_id = Some(order_id.clone()),
        Binding::PaidIn { shift_id, amount } | Binding::PaidOut { shift_id, amount } => {
            view.shift_id = Some(shift_id.clone());
            view.amount = Some(*amount);
        }
        Binding::NoSale { shift_id } => view.shift_id = Some(shift_id.clone()),
        Binding::CloseCount { count_id, version, variance } => {
            view.count_id = Some(count_id.clone());
            view.count_version = Some(*version);
            view.variance = Some(*variance);
        }
        Binding::CorrectDifference { exception_id, version } => {
            view.exception_id = Some(exception_id.clone());
            view.compared_version = Some(*version);
        }
    }
    view
}
