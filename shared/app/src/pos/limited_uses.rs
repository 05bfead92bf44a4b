//! Counters of what may be used so often only: coupons and promotions, by all together or by one customer.
//! What has no limit has no counter.
//!
//! A limit that many tills use is split over parts, each with a share of the limit and an item of its own,
//! as hot stock is: a partition takes 1,000 writes a second, and transactions on one item conflict. A sale
//! takes from one part; where that has not enough left, all are looked at, and it takes from several where no part
//! alone has enough. Only where all together have not is the coupon or promotion refused. What shares are, also of a
//! limit that was changed, says [`tillstream_domain::use_counting`].

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use tillstream_domain::cart::{Cart, LimitedUse, PricedBy};
use tillstream_domain::pricing::{Promotion, Source};
use tillstream_domain::use_counting::Counting;

use super::claims::{Claim, Refused};
use super::offline_oversell::OfflineSale;
use crate::database::{Change, Condition, Consistency, Get, Item, Key, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::exceptions::{AboveLimit, above_limit_write};
use crate::tenancy::TenantScope;

/// Most parts that a sale takes from beyond one of each counter, as it has a hundred actions for all that it does.
pub const SPREAD_MAX: usize = 4;

/// Kind and id of what is used, as its counter and refusals name it.
fn name_of(source: &Source) -> Option<(&'static str, &str)> {
    match source {
        Source::Promotion { id, .. } => Some(("promotion", id)),
        Source::Coupon { code } => Some(("coupon", code)),
        Source::ManualDiscount { .. } => None,
    }
}

/// The read of the first part of a coupon's counter.
pub fn coupon_use_get(scope: &TenantScope, code: &str) -> Get {
    Get { table: Table::Orders, key: scope.uses("coupon", code, 0), consistency: Consistency::Eventual }
}

fn used(item: Option<&Item>) -> i64 {
    item.and_then(|item| item.opt_number("used")).unwrap_or(0)
}

/// What the first part of a coupon's counter says is left of `limit`; of one that is split at least one, as the other
/// parts were not looked at.
pub fn coupon_uses_left(limit: u32, counting: Counting, first: Option<&Item>) -> u32 {
    if counting.parts(limit) > 1 {
        return 1;
    }
    left_of(limit.into(), used(first))
}

/// What the first part of a counter says is used.
///
/// # Errors
/// Those of the database.
pub async fn used_of_first(ports: &Ports, scope: &TenantScope, kind: &str, id: &str) -> Result<i64> {
    let key = scope.uses(kind, id, 0);
    let get = Get { table: Table::Orders, key, consistency: Consistency::Strong };
    Ok(used(ports.database.get(get).await?.as_ref()))
}

fn left_of(limit: i64, used: i64) -> u32 {
    u32::try_from((limit - used).max(0)).unwrap_or(u32::MAX)
}

/// Most counters of limited promotions, or parts of them, that are looked at before a sale is paid.
const LOOKED_AT_MAX: u32 = 100;

/// Promotions with a limit of uses, whose counters are read where a sale is priced a last time: so that what is
/// used up is not given first and refused when the customer has paid.
pub struct LimitedPromotions<'r> {
    limits: Vec<Watched<'r>>,
}

/// A promotion, its limit, and the parts of its counter.
struct Watched<'r> {
    id: &'r str,
    limit: u32,
    parts: u32,
}

impl<'r> LimitedPromotions<'r> {
    fn of(by: &PricedBy<'r>, watched: impl Fn(&'r Promotion) -> Option<Watched<'r>>) -> Self {
        let valid = by.rules.promotions.iter().filter(|promotion| promotion.conditions.is_valid(by.at));
        let mut reads = 0;
        let within = |watched: &Watched<'r>| {
            reads += watched.parts;
            reads <= LOOKED_AT_MAX
        };
        LimitedPromotions { limits: valid.filter_map(watched).take_while(within).collect() }
    }

    /// Those that all together use.
    pub fn by_all(by: &PricedBy<'r>) -> Self {
        Self::of(by, |promotion| {
            let limit = promotion.limits.total?;
            Some(Watched { id: &promotion.id, limit, parts: promotion.limits.counting.parts(limit) })
        })
    }

    /// Those of which each customer has so many.
    pub fn by_customer(by: &PricedBy<'r>) -> Self {
        Self::of(by, |promotion| {
            Some(Watched { id: &promotion.id, limit: promotion.limits.per_customer?, parts: 1 })
        })
    }

    /// The reads of their counters, in their order: of a customer's, or of all together, part by part.
    pub fn gets(&self, scope: &TenantScope, customer_id: Option<&str>) -> Vec<Get> {
        let parts = self.limits.iter().flat_map(|watched| (0..watched.parts).map(|part| (watched.id, part)));
        let key = |id: &str, part: u32| match customer_id {
            Some(customer_id) => scope.uses_by_customer("promotion", id, customer_id),
            None => scope.uses("promotion", id, part),
        };
        let get = |key| Get { table: Table::Orders, key, consistency: Consistency::Eventual };
        parts.map(|(id, part)| get(key(id, part))).collect()
    }

    /// How many uses are left of those that were used, from their counters. Of a sale whose uses are counted
    /// `above_limit` too nothing is asked: its customer has paid what its register said.
    pub fn uses_left(&self, counters: &[Option<Item>], above_limit: bool) -> BTreeMap<String, u32> {
        let mut left = BTreeMap::new();
        if above_limit {
            return left;
        }
        let mut counters = counters.iter();
        for watched in &self.limits {
            let parts = (0..watched.parts).filter_map(|_| counters.next());
            let used: i64 = parts.map(|part| used(part.as_ref())).sum();
            if used > 0 {
                left.insert(watched.id.to_owned(), left_of(watched.limit.into(), used));
            }
        }
        left
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
    counting: Counting,
    /// What parts beside the first were seen to have used, where that decides: of a limit that was lowered.
    elsewhere: i64,
    customer_id: Option<&'a str>,
}

impl Counted<'_> {
    fn key(&self, scope: &TenantScope, part: u32) -> Key {
        match self.customer_id {
            Some(customer_id) => scope.uses_by_customer(self.kind, self.id, customer_id),
            None => scope.uses(self.kind, self.id, part),
        }
    }

    /// What part `part` may be used; all of it by a customer. Of a limit that was lowered the first may be used as much
    /// as the others were not: nobody who knows of the limit uses those any more.
    fn share(&self, part: u32) -> i64 {
        if self.parts() == 1 {
            return self.limit.into();
        }
        match (self.counting.lowered, part) {
            (false, _) => self.counting.share(self.limit, part).into(),
            (true, 0) => i64::from(self.limit) - self.elsewhere,
            (true, _) => 0,
        }
    }

    fn parts(&self) -> u32 {
        if self.customer_id.is_some() { 1 } else { self.counting.parts(self.limit) }
    }

    /// From which parts to take, of which so much is used: from the first from `from` on that has enough, or from
    /// those that have most, and from at most `parts_max` of them.
    fn shares_of(&self, used: &[Option<i64>], from: u32, parts_max: usize) -> Shares {
        let used_of = |part: u32| usize::try_from(part).ok().and_then(|at| used.get(at).copied().flatten());
        // Not the sum of what parts have left: the first has used more than its share where some was counted above it.
        let there = self.uses.min(left_of(self.limit.into(), used.iter().flatten().sum()));
        let parts = self.parts();
        let mut left: Vec<(u32, u32)> = (0..parts)
            .map(|n| (from + n) % parts)
            .map(|part| (part, left_of(self.share(part), used_of(part).unwrap_or(0))))
            .collect();
        if let Some(enough) = left.iter().position(|(_, left)| *left >= there) {
            left.swap(0, enough);
        } else {
            left.sort_by_key(|(_, left)| Reverse(*left));
        }
        let mut rest = there;
        let mut taken = Vec::new();
        for (part, left) in left.into_iter().take(parts_max) {
            let uses = left.min(rest);
            rest -= uses;
            taken.extend((uses > 0).then_some((part, uses)));
        }
        Shares { taken, rest, above: self.uses - there }
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

    /// The claim on so many uses of a part that has them; where it has not, `refused`.
    fn claim(
        &self,
        scope: &TenantScope,
        (part, uses): (u32, u32),
        refused: Refused,
        unavailable: Option<Refusal>,
    ) -> Claim {
        let most = self.share(part) - i64::from(uses);
        let enough = Condition::Le("used", most.into());
        let condition = match most {
            // Not even the first use fits.
            ..0 => enough,
            _ => Condition::Any(vec![Condition::Lacks("used"), enough]),
        };
        Claim { write: self.count(scope, (part, uses), condition), refused, unavailable }
    }

    /// As whoever sells online claims it. `is_last_word`: what the part says is true of all of the counter.
    fn claim_within(&self, scope: &TenantScope, taken: (u32, u32), is_last_word: bool) -> Claim {
        let refusal = self.refusal();
        let refused: Refused = if is_last_word { Arc::new(move |_| refusal.clone().into()) } else { raced() };
        self.claim(scope, taken, refused, Some(self.unavailable()))
    }

    /// As what was given already claims it: who is told that it is used up looks again, and counts it above.
    fn claim_if_there(&self, scope: &TenantScope, taken: (u32, u32)) -> Claim {
        self.claim(scope, taken, raced(), None)
    }

    /// The claim on so many uses of the first part, of which `seen` are used, that it does not have. It stands on
    /// there being none: nobody is to look into a use that the limit allowed.
    fn claim_above(&self, scope: &TenantScope, uses: u32, seen: Option<i64>) -> Claim {
        let share = self.share(0);
        let as_seen = match seen {
            // However many more: all of it is above.
            Some(used) if used >= share => Condition::Ge("used", share.into()),
            Some(used) => Condition::Eq("used", used.into()),
            None => Condition::Lacks("used"),
        };
        let write = self.count(scope, (0, uses), as_seen);
        Claim { write, refused: raced(), unavailable: None }
    }

    fn count(&self, scope: &TenantScope, (part, uses): (u32, u32), condition: Condition) -> Write {
        Write::Update {
            table: Table::Orders,
            key: self.key(scope, part),
            changes: vec![Change::Add("used", uses.into())],
            condition: Some(condition),
        }
    }

    /// The claims of a sale that knows what is used of each part and is still to be given its uses.
    ///
    /// # Errors
    /// 409 `coupon_limit_reached`, `promotion_limit_reached` where they are not there; `promotion_unavailable` where
    /// they are, but over too many parts.
    fn looked_claims(&self, scope: &TenantScope, shares: &Shares) -> Result<Vec<Claim>> {
        if shares.above > 0 {
            return Err(self.refusal().into());
        }
        if shares.rest > 0 {
            return Err(self.unavailable().into());
        }
        // Of several parts another may have what this one has lost meanwhile: then all are looked at again.
        let is_last_word = self.parts() == 1;
        Ok(shares.taken.iter().map(|taken| self.claim_within(scope, *taken, is_last_word)).collect())
    }

    /// Of uses that somebody gave already, how many are counted on the first part beyond what that has, of which `seen`
    /// are used: those above the limit, and those that are there over more parts than may be taken from. The other parts
    /// go on giving these to whoever takes from one without a look at the first, so they are above the limit, too.
    fn beyond_first(&self, shares: &Shares, seen: Option<i64>) -> u32 {
        let of_first = shares.taken.iter().filter(|(part, _)| *part == 0);
        let taken: u32 = of_first.map(|(_, uses)| uses).sum();
        let left = left_of(self.share(0), seen.unwrap_or(0)).saturating_sub(taken);
        (shares.rest + shares.above).saturating_sub(left)
    }

    /// The claims of a sale that knows what is used of each part and has given its uses already: what is not there is
    /// counted on the first part.
    fn given_claims(&self, scope: &TenantScope, shares: &Shares, seen: Option<i64>) -> Vec<Claim> {
        let beyond = shares.rest + shares.above;
        let taken = |of_first: bool| shares.taken.iter().filter(move |(part, _)| (*part == 0) == of_first);
        let mut claims: Vec<_> = taken(false).map(|taken| self.claim_if_there(scope, *taken)).collect();
        let of_first: u32 = taken(true).map(|(_, uses)| uses).sum();
        match (of_first, beyond) {
            (0, 0) => {}
            (uses, 0) => claims.push(self.claim_if_there(scope, (0, uses))),
            (uses, beyond) => claims.push(self.claim_above(scope, uses + beyond, seen)),
        }
        claims
    }
}

/// What a use takes from the parts of its counter.
#[derive(Debug, PartialEq, Eq)]
struct Shares {
    /// Parts, and so many uses of each.
    taken: Vec<(u32, u32)>,
    /// Uses that are there, over more parts than may be taken from.
    rest: u32,
    /// Uses that are not there.
    above: u32,
}

/// No answer, but a lost race.
fn raced() -> Refused {
    Arc::new(|_| Error::Conflict("others used the coupon or promotion meanwhile".to_owned()))
}

fn counted<'a>(cart: &'a Cart, limited: &'a LimitedUse) -> Vec<Counted<'a>> {
    let Some((kind, id)) = name_of(&limited.source) else { return Vec::new() };
    let of = |limit: u32, counting: Counting, customer_id: Option<&'a str>| Counted {
        kind,
        id,
        uses: limited.uses,
        limit,
        counting,
        elsewhere: 0,
        customer_id,
    };
    let total = limited.total.map(|limit| of(limit, cart.terms.countings.of(&limited.source), None));
    let own = limited.per_customer.zip(cart.customer_id.as_deref());
    let own = own.map(|(limit, customer_id)| of(limit, Counting::default(), Some(customer_id)));
    total.into_iter().chain(own).collect()
}

/// The claims of a sale that becomes final: one for each limit. Of counters that are split, any part; but
/// where `look` says that a part was found used up, the part that has enough, or several. Of those whose limit was
/// lowered, the first, by what the others have used.
///
/// What was given already is counted `beyond` the limits too: the goods and the money have changed hands. Then an
/// exception that names the coupon or promotion is among the claims, one for each: it is opened with the sale or
/// not at all.
///
/// # Errors
/// 409 `coupon_needs_customer`, `coupon_limit_reached`, `promotion_limit_reached`, `promotion_unavailable`; those of
/// the database.
pub async fn use_claims(
    ports: &Ports,
    scope: &TenantScope,
    cart: &Cart,
    look: bool,
    beyond: Option<&OfflineSale<'_>>,
) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    let mut spread = SPREAD_MAX;
    for limited in &cart.charges.uses {
        // Where it was given already, it is counted among all uses.
        if limited.per_customer.is_some() && cart.customer_id.is_none() && beyond.is_none() {
            let detail = "a coupon of so many a customer needs a customer; set it, or remove the coupon";
            return Err(Refusal::conflict("coupon_needs_customer", detail).into());
        }
        let mut exceeded: Option<(Counted<'_>, u32)> = None;
        for mut counted in counted(cart, limited) {
            let parts = counted.parts();
            let any = u32::try_from(ports.environment.random() % u64::from(parts)).map_err(Error::bug)?;
            if !look && !counted.counting.lowered {
                claims.push(match beyond {
                    Some(_) => counted.claim_if_there(scope, (any, counted.uses)),
                    None => counted.claim_within(scope, (any, counted.uses), true),
                });
                continue;
            }
            let used = used_by_part(ports, scope, &counted).await?;
            counted.elsewhere = used.iter().skip(1).flatten().sum();
            let shares = counted.shares_of(&used, any, 1 + spread);
            spread = (1 + spread).saturating_sub(shares.taken.len().max(1));
            if beyond.is_none() {
                claims.extend(counted.looked_claims(scope, &shares)?);
                continue;
            }
            let first = used.first().copied().flatten();
            claims.extend(counted.given_claims(scope, &shares, first));
            let above = counted.beyond_first(&shares, first);
            if above > exceeded.as_ref().map_or(0, |(_, most)| *most) {
                exceeded = Some((counted, above));
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

    fn counted(limit: u32, uses: u32) -> Counted<'static> {
        let counting = Counting::default();
        Counted { kind: "promotion", id: "p", uses, limit, counting, elsewhere: 0, customer_id: None }
    }

    /// What parts have used of whom so much is left.
    fn with_left(counted: &Counted<'_>, left: &[i64]) -> Vec<Option<i64>> {
        (0..counted.parts()).zip(left).map(|(part, left)| Some(counted.share(part) - left)).collect()
    }

    #[test]
    fn a_use_takes_from_one_part_where_one_has_enough_and_from_the_fullest_where_none_has() {
        let all_of = |left: &[i64], uses: u32, from: u32, parts_max: usize| {
            let counted = counted(400, uses);
            let shares = counted.shares_of(&with_left(&counted, left), from, parts_max);
            (shares.taken, shares.rest, shares.above)
        };
        let mut left = [0; 16];
        (left[3], left[7], left[9], left[12]) = (2, 5, 1, 5);
        assert_eq!(all_of(&left, 1, 0, 5), (vec![(3, 1)], 0, 0));
        assert_eq!(all_of(&left, 1, 8, 5), (vec![(9, 1)], 0, 0), "from where it begins");
        assert_eq!(all_of(&left, 5, 8, 5), (vec![(12, 5)], 0, 0));
        assert_eq!(all_of(&left, 8, 0, 5), (vec![(7, 5), (12, 3)], 0, 0));
        assert_eq!(all_of(&left, 13, 0, 5), (vec![(7, 5), (12, 5), (3, 2), (9, 1)], 0, 0), "to the last");
        assert_eq!(all_of(&left, 13, 0, 3), (vec![(7, 5), (12, 5), (3, 2)], 1, 0), "over too many parts");
        assert_eq!(all_of(&left, 15, 0, 5), (vec![(7, 5), (12, 5), (3, 2), (9, 1)], 0, 2), "not there");
        assert_eq!(all_of(&[0; 16], 2, 5, 5), (vec![], 0, 2));
        // Where a part has used more than its share, the others have as much less.
        left[0] = -12;
        assert_eq!(all_of(&left, 2, 0, 5), (vec![(3, 1)], 0, 1));
        // A part that was never used has all of its share.
        assert_eq!(counted(400, 25).shares_of(&[None; 16], 4, 5).taken, [(4, 25)]);
    }

    /// Of a limit that was lowered nobody takes from any part but the first, and from that what the others left.
    #[test]
    fn of_a_lowered_limit_the_first_part_has_what_the_others_left() {
        let scope = TenantScope::from_own_record("demo");
        // More was given back than the first part gave itself.
        let mut used = [Some(15); 16];
        (used[0], used[7]) = (Some(-2), None);
        let counting = Counting { first: 0, split: 400, lowered: true };
        for (limit, taken, above) in [
            (250, vec![(0, 3)], 0),
            (211, vec![(0, 3)], 0),
            (210, vec![(0, 2)], 1),
            (208, vec![], 3),
            (1, vec![], 3),
        ] {
            let lowered = Counted { counting, elsewhere: 210, ..counted(limit, 3) };
            assert_eq!(lowered.parts(), 16, "all are looked at, also below 200");
            let shares = lowered.shares_of(&used, 9, 5);
            assert_eq!(shares, Shares { taken: taken.clone(), rest: 0, above }, "{limit}");
            for (part, uses) in taken {
                let claim = lowered.claim_if_there(&scope, (part, uses));
                let most = i64::from(limit) - 210 - i64::from(uses);
                let Write::Update { condition, .. } = claim.write else { panic!("no update") };
                let within = Condition::Le("used", most.into());
                let expected =
                    if most < 0 { within } else { Condition::Any(vec![Condition::Lacks("used"), within]) };
                assert_eq!(condition, Some(expected), "{limit}");
            }
        }
    }

    /// Uses that are left over more parts than a sale takes from are counted on the first when they were given already. Its
    /// own come first: only what it has not is above.
    #[test]
    fn what_was_given_over_more_parts_than_may_be_taken_from_is_above_what_the_first_has() {
        let above = |left: &[i64], uses: u32, from: u32| {
            let counted = counted(400, uses);
            let used = with_left(&counted, left);
            let shares = counted.shares_of(&used, from, 5);
            let first = used[0];
            (shares.rest, shares.above, counted.beyond_first(&shares, first))
        };
        assert_eq!(above(&[1; 16], 12, 0), (7, 0, 7), "the first is one of the five");
        assert_eq!(above(&[1; 16], 12, 3), (7, 0, 6), "and is not");
        assert_eq!(above(&[1; 16], 6, 3), (1, 0, 0), "it has the last one itself");
        assert_eq!(above(&[1; 16], 18, 3), (11, 2, 12), "and beyond the limit");
        assert_eq!(above(&[1; 16], 5, 3), (0, 0, 0));
        // It has used more than its share already: of the others' eleven three are there.
        let mut left = [1; 16];
        (left[0], left[1], left[2], left[3], left[4]) = (-8, 0, 0, 0, 0);
        assert_eq!(above(&left, 4, 0), (0, 1, 1));
        assert_eq!(above(&[0; 16], 3, 9), (0, 3, 3));
        // A part that was never used has all of its share.
        let new = counted(200, 100);
        let shares = new.shares_of(&[None; 16], 3, 5);
        assert_eq!((shares.rest, new.beyond_first(&shares, None)), (35, 22));
    }

    #[test]
    fn what_was_given_is_counted_to_the_last_use() {
        let scope = TenantScope::from_own_record("demo");
        let (mut left, uses) = ([0; 16], 4);
        (left[0], left[5]) = (1, 2);
        let counted = counted(400, uses);
        let used = with_left(&counted, &left);
        let shares = counted.shares_of(&used, 0, 5);
        assert_eq!(shares.above, 1);
        let claims = counted.given_claims(&scope, &shares, used[0]);
        let added: Vec<_> = claims
            .iter()
            .map(|claim| match &claim.write {
                Write::Update { key, changes, condition, .. } => {
                    (key.clone(), changes.clone(), condition.clone())
                }
                other => panic!("{other:?}"),
            })
            .collect();
        let of = |part: u32, uses: i64, condition| {
            (scope.uses("promotion", "p", part), vec![Change::Add("used", uses)], Some(condition))
        };
        let there = Condition::Any(vec![Condition::Lacks("used"), Condition::Le("used", 23_i64.into())]);
        assert_eq!(added, [of(5, 2, there), of(0, 2, Condition::Eq("used", 24_i64.into()))]);
    }
}
