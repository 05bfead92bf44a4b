//! Settings that a tenant changes in the middle of a day, and which of them may have stood when something was done.
//!
//! A process remembers them for 15 seconds, and goes on with what it had where the database does not answer. So what
//! was done in fair weather was done by what stood then or moments before; in bad weather by anything that ever did.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::chance::Chance;
use super::rules::Rules;

/// For so long what stood before may still be gone by: what a process remembers, and how far clocks are apart.
const REMEMBERED: SignedDuration = SignedDuration::from_secs(17);
/// After so long of fair weather nobody remembers what was read in bad.
const CLEARS_IN: SignedDuration = SignedDuration::from_secs(40);
/// How long what was reserved for a backorder waits to be fetched.
const HOLD_SECONDS: u32 = 3_600;
/// The smallest coins that there may be.
const COINS: [i64; 3] = [1, 5, 10];

/// What a tenant decides about its tills, as far as it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DaySettings {
    /// Whether tax is rounded once an order, and not line by line.
    pub per_order: bool,
    /// The smallest coin, in minor units; 1 where there is every one.
    pub coin: i64,
    /// Whether tills sell within a shift only.
    pub needs_shift: bool,
    /// Whether a cashier's discount takes an approval.
    pub discount_needs_approval: bool,
    /// Whether a return without a sale does.
    pub blind_return_needs_approval: bool,
    /// How old a command may be, in seconds.
    pub age_max: Option<u32>,
}

impl DaySettings {
    /// What is added to what is due so that it can be paid in coins: to the nearest, half away from zero.
    pub fn rounding(&self, due: i64) -> i64 {
        (due + self.coin / 2) / self.coin * self.coin - due
    }

    /// The same with one thing changed, of those that `rules` let change.
    #[must_use]
    pub fn changed(mut self, chance: &Chance, rules: &Rules) -> Self {
        match chance.below(6) {
            // What is reckoned without rules is to stay so.
            0 if !rules.is_plain() => self.coin = chance.one_of(&COINS).copied().unwrap_or(1),
            1 if !rules.is_plain() => self.per_order = !self.per_order,
            2 if rules.has_shifts => self.needs_shift = !self.needs_shift,
            3 => self.blind_return_needs_approval = !self.blind_return_needs_approval,
            4 => {
                self.age_max = match self.age_max {
                    None => Some(*chance.one_of(&[3 * 86_400, 30 * 86_400]).unwrap_or(&0)),
                    Some(_) => None,
                }
            }
            _ => self.discount_needs_approval = !self.discount_needs_approval,
        }
        self
    }

    /// As a request says them, with what of `rules` stays.
    pub fn body(&self, rules: &Rules) -> Value {
        json!({
            "pricing": {
                "tax_mode": if rules.taxes.included { "inclusive" } else { "exclusive" },
                "tax_rounding": if self.per_order { "per_order" } else { "per_line" },
                "cash_increment": self.coin,
            },
            "approvals": {
                "manual_discount": { "required": self.discount_needs_approval },
                "blind_return": self.blind_return_needs_approval,
            },
            "command_age_max_seconds": self.age_max,
            "sale_needs_open_shift": self.needs_shift,
            "stored_value": { "gift_card": rules.has_gift_cards },
            "backorders": { "allowed": true, "hold_seconds": HOLD_SECONDS },
        })
    }
}

/// Settings, and when they stood.
#[derive(Debug, Clone, Copy)]
struct Stood {
    settings: DaySettings,
    /// When it was known that others stand.
    until: Option<Timestamp>,
}

/// All that stood of all tenants, in order.
#[derive(Debug, Default)]
pub struct Course {
    stood: BTreeMap<String, Vec<Stood>>,
    /// Since when the weather is fair.
    clear_since: Option<Timestamp>,
}

impl Course {
    /// Others may stand from now on.
    pub fn begin(&mut self, tenant: &str, settings: DaySettings) {
        self.stood.entry(tenant.to_owned()).or_default().push(Stood { settings, until: None });
    }

    /// The last ones stand, and none before them.
    pub fn stands(&mut self, tenant: &str, now: Timestamp) {
        let stood = self.stood.get_mut(tenant).and_then(|all| all.split_last_mut());
        for before in stood.into_iter().flat_map(|(_, before)| before) {
            before.until.get_or_insert(now);
        }
    }

    /// Those that stand.
    pub fn last(&self, tenant: &str) -> Option<DaySettings> {
        self.stood.get(tenant)?.last().map(|stood| stood.settings)
    }

    /// The largest of the smallest coins that ever stood.
    pub fn coin_max(&self, tenant: &str) -> i64 {
        let all = self.stood.get(tenant).into_iter().flatten();
        all.map(|stood| stood.settings.coin).max().unwrap_or(1)
    }

    /// Whether the weather is fair from now on.
    pub fn weather(&mut self, is_fair: bool, now: Timestamp) {
        self.clear_since = is_fair.then(|| self.clear_since.unwrap_or(now));
    }

    /// Those by which may be gone what was begun at `since` or later.
    pub fn may_have_stood(&self, tenant: &str, since: Timestamp) -> Vec<DaySettings> {
        let is_clear = self.clear_since.is_some_and(|clear| since.duration_since(clear) >= CLEARS_IN);
        let may = |stood: &&Stood| {
            !is_clear || stood.until.is_none_or(|until| since.duration_since(until) <= REMEMBERED)
        };
        let all = self.stood.get(tenant).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(may).map(|stood| stood.settings).collect()
    }
}
