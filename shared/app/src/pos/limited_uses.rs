//! Counters of what may be used so often only: coupons and promotions, by all together or by one customer.
//! What has no limit has no counter.
//!
//! A limit that many tills use is split over parts, each with a share of the limit and an item of its own,
//! as hot stock is: a partition takes 1,000 writes a second, and transactions on one item conflict. A sale
//! takes from one part; where that has none left, all are looked at, and only then is the coupon refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use tillstream_domain::cart::{Cart, LimitedUse, PricedBy};
use tillstream_domain::pricing::{Promotion, Source};

use super::claims::{Claim, Refused};
use super::offline_oversell::OfflineSale;
use crate::database::{Change, Condition, Consistency, Get, Item, Key, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::exceptions::{AboveLimit, above_limit_write};
use crate::tenancy::TenantScope;

/// From this limit on a counter is split.
const SPLIT_FROM: u32 = 200;
/// Over so many parts.
const PARTS: u32 = 16;

/// Kind and id of what is used, as its counter and refusals name it.
fn name_of(source: &Source) -> Option<(&'static str, &str)> {
    match source {
        Source::Promotion { id, .. } => Some(("promotion", id)),
        Source::Coupon { code } => Some(("coupon", code)),
        Source::ManualDiscount { .. } => None,
    }
}

/// How many parts the counter of a limit has. A promotion may take several uses at once, which no part alone
/// might have; a coupon takes one.
fn parts_of(kind: &str, limit: u32) -> u32 {
    if kind == "coupon" && limit >= SPLIT_FROM { PARTS } else { 1 }
}

/// The share of `limit` that part `part` of `parts` has.
fn share_of(limit: u32, part: u32, parts: u32) -> u32 {
    limit / parts + u32::from(part < limit % parts)
}

/// The read of the counter's first part, or of a customer's.
pub fn use_get(scope: &TenantScope, kind: &str, id: &str, customer_id: Option<&str>) -> Get {
    let key = match customer_id {
        Some(customer_id) => scope.uses_by_customer(kind, id, customer_id),
        None => scope.uses(kind, id, 0),
    };
    Get { table: Table::Orders, key, consistency: Consistency::Eventual }
}

fn used(item: Option<&Item>) -> i64 {
    item.and_then(|item| item.opt_number("used")).unwrap_or(0)
}

/// What the first part of a counter says is left of `limit`; of one that is split at least one, as the other
/// parts were not looked at.
pub fn uses_left(kind: &str, limit: u32, first: Option<&Item>) -> u32 {
    if parts_of(kind, limit) > 1 {
        return 1;
    }
    u32::try_from(i64::from(limit) - used(first)).unwrap_or(0)
}

/// Most limited promotions whose counters are looked at before a sale is paid.
const LOOKED_AT_MAX: usize = 50;

/// Promotions with a limit of uses, whose counters are read where a sale is priced a last time: so that what is
/// used up is not given first and refused when the customer has paid.
pub struct LimitedPromotions<'r> {
    limits: Vec<(&'r str, u32)>,
}

impl<'r> LimitedPromotions<'r> {
    fn of(by: &PricedBy<'r>, limit: impl Fn(&Promotion) -> Option<u32>) -> Self {
        let valid = by.rules.promotions.iter().filter(|promotion| promotion.conditions.is_valid(by.at));
        let limits = valid.filter_map(|promotion| Some((promotion.id.as_str(), limit(promotion)?)));
        LimitedPromotions { limits: limits.take(LOOKED_AT_MAX).collect() }
    }

    /// Those that all together use.
    pub fn by_all(by: &PricedBy<'r>) -> Self {
        Self::of(by, |promotion| promotion.limits.total)
    }

    /// Those of which each customer has so many.
    pub fn by_customer(by: &PricedBy<'r>) -> Self {
        Self::of(by, |promotion| promotion.limits.per_customer)
    }

    /// The reads of their counters, in their order: of a customer's, or of all together.
    pub fn gets(&self, scope: &TenantScope, customer_id: Option<&str>) -> Vec<Get> {
        self.limits.iter().map(|(id, _)| use_get(scope, "promotion", id, customer_id)).collect()
    }

    /// How many uses are left of those that were used, from their counters. Of a sale whose uses are counted
    /// `above_limit` too nothing is asked: its customer has paid what its register said.
    pub fn uses_left(&self, counters: &[Option<Item>], above_limit: bool) -> BTreeMap<String, u32> {
        if above_limit {
            return BTreeMap::new();
        }
        let counters = counters.iter().map(Option::as_ref);
        let used_once = self.limits.iter().zip(counters).filter(|(_, counter)| used(*counter) > 0);
        let left = |limit: u32, counter| uses_left("promotion", limit, counter);
        used_once.map(|((id, limit), counter)| ((*id).to_owned(), left(*limit, counter))).collect()
    }
}

/// The promotion that a sale was refused for, if it was for the uses of one.
pub fn refused_promotion(refusal: &Refusal) -> Option<String> {
    let is_it = matches!(refusal.code, "promotion_limit_reached" | "promotion_unavailable");
    refusal.extra.get("promotion").filter(|_| is_it)?.as_str().map(str::to_owned)
}

/// What one use takes, and where.
struct Counted<'a> {
    kind: &'static str,
    id: &'a str,
    uses: u32,
    limit: u32,
    customer_id: Option<&'a str>,
}

impl Counted<'_> {
    fn key(&self, scope: &TenantScope, part: u32) -> Key {
        match self.customer_id {
            Some(customer_id) => scope.uses_by_customer(self.kind, self.id, customer_id),
            None => scope.uses(self.kind, self.id, part),
        }
    }

    /// What part `part` may be used; all of it by a customer.
    fn share(&self, part: u32) -> u32 {
        share_of(self.limit, part, self.parts())
    }

    fn parts(&self) -> u32 {
        if self.customer_id.is_some() { 1 } else { parts_of(self.kind, self.limit) }
    }

    /// The first part from `from` on that has enough left.
    fn part_with_enough(&self, used: &[Option<i64>], from: u32) -> Option<u32> {
        let left = |part: u32| {
            let used = usize::try_from(part).ok().and_then(|at| used.get(at).copied().flatten());
            i64::from(self.share(part)) - used.unwrap_or(0)
        };
        let parts = self.parts();
        (0..parts).map(|n| (from + n) % parts).find(|part| left(*part) >= self.uses.into())
    }

    fn refused(&self, code: (&'static str, &'static str), what: &str) -> Refusal {
        let (kind, id) = (self.kind, self.id);
        let (code, remove) =
            if kind == "coupon" { (code.0, "remove_coupon") } else { (code.1, "remove_promo") };
        Refusal::conflict(code, format!("{what} {kind} {id}; {remove} and the sale goes on"))
            .with_extra(kind, id)
    }

    fn refusal(&self) -> Refusal {
        let whose =
            if self.customer_id.is_some() { "this customer has used up" } else { "all uses are gone of" };
        self.refused(("coupon_limit_reached", "promotion_limit_reached"), whose)
    }

    fn unavailable(&self) -> Refusal {
        let codes = ("coupon_unavailable", "promotion_unavailable");
        self.refused(codes, "too many redeem at this moment")
    }

    /// The claim on uses that part `part` has; where it has not, `refused`.
    fn claim(&self, scope: &TenantScope, part: u32, refused: Refused, unavailable: Option<Refusal>) -> Claim {
        let most = i64::from(self.share(part)) - i64::from(self.uses);
        let enough = Condition::Le("used", most.into());
        let condition = match most {
            // Not even the first use fits.
            ..0 => enough,
            _ => Condition::Any(vec![Condition::Lacks("used"), enough]),
        };
        Claim { write: self.count(scope, part, condition), refused, unavailable }
    }

    /// As whoever sells online claims it.
    fn claim_within(&self, scope: &TenantScope, part: u32) -> Claim {
        let refusal = self.refusal();
        self.claim(scope, part, Arc::new(move |_| refusal.clone().into()), Some(self.unavailable()))
    }

    /// As what was given already claims it: who is told that it is used up looks again, and counts it above.
    fn claim_if_there(&self, scope: &TenantScope, part: u32) -> Claim {
        self.claim(scope, part, raced(), None)
    }

    /// The claim on uses that part `part` does not have, of which `seen` are used, and how many it takes above the
    /// limit. It stands on there being none: nobody is to look into a use that the limit allowed.
    fn claim_above(&self, scope: &TenantScope, part: u32, seen: Option<i64>) -> (Claim, u32) {
        let share = i64::from(self.share(part));
        let above = seen.unwrap_or(0).saturating_add(self.uses.into()).saturating_sub(share);
        let above = u32::try_from(above.max(0)).unwrap_or(u32::MAX).min(self.uses);
        let as_seen = match seen {
            // However many more: all of it is above.
            Some(used) if used >= share => Condition::Ge("used", share.into()),
            Some(used) => Condition::Eq("used", used.into()),
            None => Condition::Lacks("used"),
        };
        let write = self.count(scope, part, as_seen);
        (Claim { write, refused: raced(), unavailable: None }, above)
    }

    fn count(&self, scope: &TenantScope, part: u32, condition: Condition) -> Write {
        Write::Update {
            table: Table::Orders,
            key: self.key(scope, part),
            changes: vec![Change::Add("used", self.uses.into())],
            condition: Some(condition),
        }
    }
}

/// No answer, but a lost race.
fn raced() -> Refused {
    Arc::new(|_| Error::Conflict("others used the coupon or promotion meanwhile".to_owned()))
}

fn counted<'a>(cart: &'a Cart, limited: &'a LimitedUse) -> Vec<Counted<'a>> {
    let Some((kind, id)) = name_of(&limited.source) else { return Vec::new() };
    let uses = limited.uses;
    let total = limited.total.map(|limit| Counted { kind, id, uses, limit, customer_id: None });
    let own = limited.per_customer.zip(cart.customer_id.as_deref()).map(|(limit, customer_id)| Counted {
        kind,
        id,
        uses,
        limit,
        customer_id: Some(customer_id),
    });
    total.into_iter().chain(own).collect()
}

/// The claims of a sale that becomes final: one for each limit. Of counters that are split, any part; but
/// where `look` says that a part was found used up, the part that has enough.
///
/// What was given already is counted `beyond` the limits too: the goods and the money have changed hands. Then an
/// exception that names the coupon or promotion is among the claims, one for each: it is opened with the sale or
/// not at all.
///
/// # Errors
/// 409 `coupon_needs_customer`, `coupon_limit_reached`, `promotion_limit_reached`; those of the database.
pub async fn use_claims(
    ports: &Ports,
    scope: &TenantScope,
    cart: &Cart,
    look: bool,
    beyond: Option<&OfflineSale<'_>>,
) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for limited in &cart.charges.uses {
        if limited.per_customer.is_some() && cart.customer_id.is_none() {
            let detail = "a coupon of so many a customer needs a customer; set it, or remove the coupon";
            return Err(Refusal::conflict("coupon_needs_customer", detail).into());
        }
        let mut exceeded: Option<(Counted<'_>, u32)> = None;
        for counted in counted(cart, limited) {
            let parts = counted.parts();
            let any = u32::try_from(ports.environment.random() % u64::from(parts)).map_err(Error::bug)?;
            if !look {
                claims.push(match beyond {
                    Some(_) => counted.claim_if_there(scope, any),
                    None => counted.claim_within(scope, any),
                });
                continue;
            }
            let used = used_by_part(ports, scope, &counted).await?;
            match (counted.part_with_enough(&used, any), beyond) {
                (Some(part), Some(_)) => claims.push(counted.claim_if_there(scope, part)),
                (Some(part), None) => claims.push(counted.claim_within(scope, part)),
                (None, None) => return Err(counted.refusal().into()),
                (None, Some(_)) => {
                    // What is given back is given back to the first part: so it is that which must have none.
                    let (claim, above) = counted.claim_above(scope, 0, used.first().copied().flatten());
                    claims.push(claim);
                    if exceeded.as_ref().is_none_or(|(_, most)| above > *most) {
                        exceeded = Some((counted, above));
                    }
                }
            }
        }
        if let (Some((counted, above)), Some(sale)) = (exceeded, beyond) {
            claims.push(exception_claim(scope, sale, &counted, above));
        }
    }
    Ok(claims)
}

/// The exception of uses above a limit. Nothing can be in its way: an order becomes final once.
fn exception_claim(scope: &TenantScope, sale: &OfflineSale<'_>, counted: &Counted<'_>, above: u32) -> Claim {
    let write = above_limit_write(
        scope,
        &AboveLimit {
            order_id: &sale.cart.id,
            register_id: sale.register_id,
            employee_id: sale.employee_id,
            location_id: &sale.cart.store_id,
            what: (counted.kind, counted.id),
            uses: above,
            limit: counted.limit,
            customer_id: counted.customer_id,
            at: sale.at,
            now: sale.now,
        },
    );
    Claim { write, refused: raced(), unavailable: None }
}

/// What each part of a counter says is used of it; nothing where it was never used.
async fn used_by_part(ports: &Ports, scope: &TenantScope, counted: &Counted<'_>) -> Result<Vec<Option<i64>>> {
    let gets = (0..counted.parts())
        .map(|part| Get {
            table: Table::Orders,
            key: counted.key(scope, part),
            consistency: Consistency::Strong,
        })
        .collect();
    let items = ports.database.get_many(gets).await?;
    Ok(items.iter().map(|item| item.as_ref().and_then(|item| item.opt_number("used"))).collect())
}

/// Gives back what a sale used, when it is undone. Counters that went never go below zero: what was used was
/// counted.
pub fn given_back(scope: &TenantScope, cart: &Cart) -> Vec<Write> {
    let of = |limited| counted(cart, limited).into_iter();
    cart.charges
        .uses
        .iter()
        .flat_map(of)
        .map(|counted| Write::Update {
            table: Table::Orders,
            key: counted.key(scope, 0),
            changes: vec![Change::Add("used", -i64::from(counted.uses))],
            condition: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_the_limit() {
        for limit in [1, 2, 15, 16, 17, 199, 200, 201, 1_000, 123_457] {
            let parts = parts_of("coupon", limit);
            let shares: u32 = (0..parts).map(|part| share_of(limit, part, parts)).sum();
            assert_eq!(shares, limit);
        }
        assert_eq!(parts_of("coupon", 199), 1);
        assert_eq!(parts_of("coupon", 200), 16);
        assert_eq!(parts_of("promotion", 200), 1);
    }
}
