//! Manual discounts of an order from elsewhere: off its lines and off the whole, by the rules of a till's
//! `apply_manual_discount`. All of them are given at once, so each takes off what it says beside all the others.

use std::collections::BTreeSet;

use tillstream_contracts::orders::{OrderDiscountInput, PlaceOrder};
use tillstream_domain::approval::{ApprovalAction, ApprovalError};
use tillstream_domain::cart::{ApprovedPart, Cart, PricedBy};
use tillstream_domain::pricing::MANUAL_DISCOUNTS_MAX;

use super::as_cart::{at_field, stands_at};
use crate::approvals::permission::Permission;
use crate::database::{Get, Item};
use crate::error::{Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::pos::claims::Claim;
use crate::pos::context::CommandContext;
use crate::pos::discounts::{binding_of, check_reason, taken_off};
use crate::tenancy::Role;

/// A discount, and where it stands in its order.
struct Asked<'o> {
    place: String,
    /// Number of its line; none where it is taken off all of them.
    line: Option<u32>,
    input: &'o OrderDiscountInput,
}

impl Asked<'_> {
    fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.place)
    }
}

/// Those of lines, then those of the whole order.
fn asked(order: &PlaceOrder) -> impl Iterator<Item = Asked<'_>> {
    let numbered = (1_u32..).zip(order.lines.iter().enumerate());
    let of_lines = numbered.flat_map(|(number, (at, line))| {
        line.discounts.iter().enumerate().map(move |(position, input)| Asked {
            place: format!("lines[{at}].discounts[{position}]"),
            line: Some(number),
            input,
        })
    });
    let of_all = order.discounts.iter().enumerate().map(|(position, input)| Asked {
        place: format!("discounts[{position}]"),
        line: None,
        input,
    });
    of_lines.chain(of_all)
}

/// Checks what can be checked of them by themselves.
///
/// # Errors
/// 422 for fields; 409 `approval_used` where two name one approval.
pub(super) fn check(order: &PlaceOrder) -> Result<()> {
    let mut approvals = BTreeSet::new();
    for (count, discount) in asked(order).enumerate() {
        if count >= MANUAL_DISCOUNTS_MAX {
            let message = format!("an order has at most {MANUAL_DISCOUNTS_MAX} manual discounts");
            return Err(Refusal::field(discount.place, "too_many_discounts", message).into());
        }
        check_reason(&discount.field("reason"), &discount.input.reason)?;
        let Some(approval_id) = &discount.input.approval_id else { continue };
        let field = discount.field("approval_id");
        typed_id(&field, approval_id)?;
        if !approvals.insert(approval_id) {
            return at_field(&field, Err(ApprovalError::Used));
        }
    }
    Ok(())
}

/// The discounts of an order, and on what the leave for each rests.
pub(super) struct Discounts<'o>(Vec<(Asked<'o>, Permission)>);

impl<'o> Discounts<'o> {
    /// Of an order whose fields are checked. An integration needs no approval: it has decided elsewhere.
    ///
    /// # Errors
    /// Those of reading the tenant's settings.
    pub async fn of(ports: &Ports, context: &CommandContext, order: &'o PlaceOrder) -> Result<Self> {
        let mut discounts = Vec::new();
        for asked in asked(order) {
            let named = asked.input.approval_id.as_deref();
            let permission = if named.is_none() && context.caller.has(&[Role::Integration]) {
                Permission::Role
            } else {
                Permission::of(ports, context, ApprovalAction::ManualDiscount, 0, named).await?
            };
            discounts.push((asked, permission));
        }
        Ok(Discounts(discounts))
    }

    /// The reads of the approvals that they name, in their order.
    pub fn gets(&self, context: &CommandContext) -> Vec<Get> {
        self.0.iter().filter_map(|(_, permission)| permission.get(context)).collect()
    }

    /// Whether any of them names an approval.
    pub fn name_approvals(&self) -> bool {
        self.0.iter().any(|(asked, _)| asked.input.approval_id.is_some())
    }

    /// Gives them on a cart that has all else; answers the uses of their `approvals`, of which these are the items.
    ///
    /// # Errors
    /// The refusals of `apply_manual_discount`, at the order's fields.
    pub fn give(
        &self,
        cart: &mut Cart,
        context: &CommandContext,
        by: &PricedBy<'_>,
        approvals: &[Option<Item>],
    ) -> Result<Vec<Claim>> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let mut given = Vec::new();
        for (asked, _) in &self.0 {
            let kind = taken_off(asked.line, asked.input.value, cart.currency);
            given.push((at_field(&asked.field("value"), kind)?, asked.input.reason.clone()));
        }
        let kinds: Vec<_> = given.iter().map(|(kind, _)| *kind).collect();
        let numbers =
            cart.give_discounts(given, by).map_err(|(position, error)| match self.0.get(position) {
                Some((asked, _)) => stands_at(&asked.field("value"), error.into()),
                None => error.into(),
            })?;
        let falls_on = cart.falls_on(by)?;
        let mut approvals = approvals.iter();
        let mut claims = Vec::new();
        for (((asked, permission), kind), number) in self.0.iter().zip(kinds).zip(numbers) {
            let approval = match permission {
                Permission::Approval(_) => approvals.next().and_then(Option::as_ref),
                _ => None,
            };
            let field = asked.field("approval_id");
            let bound = binding_of(cart, (number, kind), &falls_on);
            let leave = permission.permit(context, approval, bound);
            let granted = at_field(&field, leave)?;
            if let Some(grant) = granted {
                at_field(&field, cart.approvals.record(grant.used_for(ApprovedPart::Discount(number))))?;
                claims.push(grant.claim(context, &cart.id, Some(format!("d-{number}")))?);
            } else if let Permission::Settings(settings) = permission
                && settings.manual_discount.required
            {
                at_field(&field, cart.allow_discount(number, settings.manual_discount, &falls_on))?;
            }
        }
        Ok(claims)
    }
}
