//! Reading and writing a tenant's settings.

use tillstream_contracts::settings::{
    ApprovalSettingsBody, BackorderSettingsBody, CartStockBody, CashRuleBody, DiscountRuleBody,
    OfflineTotalsBody, OfflineUsesBody, PricingSettingsBody, SettingsBody, SettingsReply, StockPoliciesBody,
    StoredValueSettingsBody, TaxModeBody, TaxRoundingBody, UnsyncedStockBody,
};
use tillstream_domain::approval::{
    ApprovalSettings, CashRule, DiscountRule, LIFETIME_SECONDS_MAX, LIFETIME_SECONDS_MIN,
};
use tillstream_domain::backorder::{HOLD_SECONDS_MAX, HOLD_SECONDS_MIN};
use tillstream_domain::identifier::check_id;
use tillstream_domain::money::AMOUNT_MAX;
use tillstream_domain::pricing::{CASH_INCREMENTS_MAX, INCREMENT_MAX, PricingSettings, TaxMode, TaxRounding};
use tillstream_domain::stock_policies::{
    CartStock, HOLD_MINUTES_MAX, HOLD_MINUTES_MIN, StockOverrides, UnsyncedStock,
};
use tillstream_domain::tenant_settings::{
    BACKORDER_LOCATIONS_MAX, BackorderSettings, COMMAND_AGE_SECONDS_MAX, COMMAND_AGE_SECONDS_MIN,
    OfflineTotals, OfflineUses, StoredValueSettings, TenantSettings,
};

use super::attempt::{ATTEMPTS_MAX, Attempt, attempt, pause};
use super::product_rules::FieldErrors;
use super::products::PutOutcome;
use super::put_record::{PutIdentity, Puts};
use super::standing::Standing;
use crate::database::{Consistency, Get, Item, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::{Caller, Role, TenantScope};
use crate::tenant_rules::settings_item;

/// Who may read them.
pub const SETTINGS_READERS: [Role; 1] = [Role::StoreManager];
/// Who may write them.
pub const SETTINGS_WRITERS: [Role; 1] = [Role::Operator];

fn settings_get(scope: &TenantScope) -> Get {
    Get { table: Table::Catalog, key: scope.settings(), consistency: Consistency::Strong }
}

fn settings_of(item: Option<&Item>) -> Result<TenantSettings> {
    item.map_or_else(|| Ok(TenantSettings::default()), |item| item.json("data"))
}

/// The tenant's settings, with their version.
///
/// # Errors
/// 403 `role_required`.
pub async fn get(ports: &Ports, caller: &Caller) -> Result<SettingsReply> {
    caller.require_role(&SETTINGS_READERS)?;
    let item = ports.database.get(settings_get(&caller.scope)).await?;
    let version = u64::try_from(Standing::of(item.as_ref()).version()).map_err(Error::bug)?;
    Ok(reply(&settings_of(item.as_ref())?, version))
}

/// Writes the whole of the tenant's settings. A repeated request answers the same without writing.
/// `precondition` hears the version that is there (0 before the first) and may refuse.
///
/// # Errors
/// 403 `role_required`; 422 `field_invalid`, `idempotency_key_reused`; what `precondition` refuses;
/// [`Error::Conflict`] after too many lost races.
pub async fn put(
    ports: &Ports,
    caller: &Caller,
    body: SettingsBody,
    idempotency_key: &str,
    precondition: impl Fn(u64) -> Result<(), Refusal> + Send + Sync,
) -> Result<PutOutcome<SettingsReply>> {
    caller.require_role(&SETTINGS_WRITERS)?;
    let scope = &caller.scope;
    let identity = PutIdentity::new(idempotency_key, &body)?;
    let settings = settings_from(&body)?;
    let now = ports.environment.now();
    let mut unknown = false;
    for number in 1..=ATTEMPTS_MAX {
        let old = ports.database.get(settings_get(scope)).await?;
        let puts = Puts::of(old.as_ref())?;
        let standing = Standing::of(old.as_ref());
        let version = u64::try_from(standing.version()).map_err(Error::bug)?;
        if let Some(created) = puts.seen(identity)? {
            let now = reply(&settings_of(old.as_ref())?, version);
            return Ok(PutOutcome { now, created, replayed: !unknown });
        }
        precondition(version)?;
        let next = standing.next_version(None);
        let item = settings_item(scope, &settings)?.with("version", next);
        let item = puts.with(identity, false, now).into_item(item)?;
        let put = Write::Put { table: Table::Catalog, item, condition: Some(standing.unchanged()) };
        match attempt(ports, vec![put]).await? {
            Attempt::Done => {
                let now = reply(&settings, u64::try_from(next).map_err(Error::bug)?);
                return Ok(PutOutcome { now, created: false, replayed: false });
            }
            Attempt::Unknown => unknown = true,
            Attempt::Failed { .. } | Attempt::Busy => {}
        }
        pause(ports, number).await;
    }
    Err(Error::Conflict("the settings are being changed by others".to_owned()))
}

/// The settings that `body` describes.
///
/// # Errors
/// 422 `field_invalid` with every field that is wrong.
pub fn settings_from(body: &SettingsBody) -> Result<TenantSettings, Refusal> {
    let mut errors = FieldErrors::default();
    let without = TenantSettings::default();
    let pricing = body.pricing.as_ref().map_or(without.pricing, |pricing| PricingSettings {
        tax_mode: match pricing.tax_mode {
            TaxModeBody::Inclusive => TaxMode::Inclusive,
            TaxModeBody::Exclusive => TaxMode::Exclusive,
        },
        tax_rounding: match pricing.tax_rounding {
            TaxRoundingBody::PerLine => TaxRounding::PerLine,
            TaxRoundingBody::PerOrder => TaxRounding::PerOrder,
        },
        cash_increment: pricing.cash_increment,
        cash_increments: pricing.cash_increments.clone(),
    });
    let by_currency = pricing.cash_increments.iter();
    let by_currency =
        by_currency.map(|(code, coin)| (format!("pricing.cash_increments.{}", code.code()), *coin));
    for (field, coin) in by_currency.chain([("pricing.cash_increment".to_owned(), pricing.cash_increment)]) {
        errors.demand(
            coin <= INCREMENT_MAX,
            &field,
            "cash_increment_out_of_range",
            &format!("a cash increment is 0 to {INCREMENT_MAX} minor units (0 or 1: no rounding)"),
        );
    }
    errors.demand(
        pricing.cash_increments.len() <= CASH_INCREMENTS_MAX,
        "pricing.cash_increments",
        "too_many_cash_increments",
        &format!("at most {CASH_INCREMENTS_MAX} currencies have a cash increment of their own"),
    );
    let approvals = match &body.approvals {
        None => without.approvals,
        Some(approvals) => approvals_from(approvals, &mut errors),
    };
    errors.demand(
        body.command_age_max_seconds
            .is_none_or(|age| (COMMAND_AGE_SECONDS_MIN..=COMMAND_AGE_SECONDS_MAX).contains(&age)),
        "command_age_max_seconds",
        "age_out_of_range",
        &format!(
            "an age is {COMMAND_AGE_SECONDS_MIN} to {COMMAND_AGE_SECONDS_MAX} seconds; leave it out for any age"
        ),
    );
    let backorders = match &body.backorders {
        None => without.backorders,
        Some(backorders) => backorders_from(backorders, &mut errors),
    };
    let stock = body.stock.map(|stock| overrides_from(stock, &mut errors)).unwrap_or_default();
    errors.refuse()?;
    Ok(TenantSettings {
        pricing,
        sale_needs_open_shift: body.sale_needs_open_shift.unwrap_or(without.sale_needs_open_shift),
        approvals,
        command_age_max_seconds: body.command_age_max_seconds,
        stored_value: body.stored_value.map_or(without.stored_value, |stored_value| StoredValueSettings {
            gift_card: stored_value.gift_card.unwrap_or_default(),
            account: stored_value.account.unwrap_or_default(),
        }),
        offline_uses_above_limit: match body.offline_uses_above_limit {
            None => without.offline_uses_above_limit,
            Some(OfflineUsesBody::Allow) => OfflineUses::Allow,
            Some(OfflineUsesBody::Refuse) => OfflineUses::Refuse,
        },
        offline_total_below_lines: match body.offline_total_below_lines {
            None => without.offline_total_below_lines,
            Some(OfflineTotalsBody::Accept) => OfflineTotals::Accept,
            Some(OfflineTotalsBody::Refuse) => OfflineTotals::Refuse,
        },
        backorders,
        stock: without.stock.overridden_by(stock),
    })
}

fn backorders_from(body: &BackorderSettingsBody, errors: &mut FieldErrors) -> BackorderSettings {
    let without = BackorderSettings::default();
    let hold_seconds = body.hold_seconds.unwrap_or(without.hold_seconds);
    errors.demand(
        (HOLD_SECONDS_MIN..=HOLD_SECONDS_MAX).contains(&hold_seconds),
        "backorders.hold_seconds",
        "hold_out_of_range",
        &format!("what is reserved for a backorder waits {HOLD_SECONDS_MIN} to {HOLD_SECONDS_MAX} seconds"),
    );
    errors.demand(
        body.locations.len() <= BACKORDER_LOCATIONS_MAX,
        "backorders.locations",
        "too_many_locations",
        &format!("at most {BACKORDER_LOCATIONS_MAX} locations say otherwise than the others"),
    );
    errors.demand(
        body.locations.keys().all(|id| check_id(id).is_ok()),
        "backorders.locations",
        "location_id_malformed",
        "each name is the id of a location",
    );
    BackorderSettings {
        allowed: body.allowed.unwrap_or(without.allowed),
        hold_seconds,
        locations: body.locations.clone(),
    }
}

/// The policies that `body` decides.
pub(super) fn overrides_from(body: StockPoliciesBody, errors: &mut FieldErrors) -> StockOverrides {
    errors.demand(
        body.hold_minutes.is_none_or(|minutes| (HOLD_MINUTES_MIN..=HOLD_MINUTES_MAX).contains(&minutes)),
        "stock.hold_minutes",
        "hold_out_of_range",
        &format!("a cart holds for {HOLD_MINUTES_MIN} to {HOLD_MINUTES_MAX} minutes"),
    );
    StockOverrides {
        unsynced: body.unsynced.map(|policy| match policy {
            UnsyncedStockBody::Refuse => UnsyncedStock::Refuse,
            UnsyncedStockBody::Allow => UnsyncedStock::Allow,
        }),
        at_cart: body.at_cart.map(|policy| match policy {
            CartStockBody::None => CartStock::None,
            CartStockBody::Check => CartStock::Check,
            CartStockBody::Hold => CartStock::Hold,
        }),
        hold_minutes: body.hold_minutes,
    }
}

fn approvals_from(body: &ApprovalSettingsBody, errors: &mut FieldErrors) -> ApprovalSettings {
    let without = ApprovalSettings::default();
    let discount = body.manual_discount.map_or(without.manual_discount, |rule| DiscountRule {
        required: rule.required,
        above_bps: rule.above_bps,
        above_amount: rule.above_amount,
    });
    errors.demand(
        discount.above_bps.is_none_or(|bps| bps <= 10_000),
        "approvals.manual_discount.above_bps",
        "share_out_of_range",
        "a share is 0 to 10000 basis points (1000 is a tenth)",
    );
    let cash = |rule: Option<CashRuleBody>| {
        rule.map_or(CashRule::default(), |rule| CashRule {
            required: rule.required,
            above_amount: rule.above_amount,
        })
    };
    let (paid_in, paid_out) = (cash(body.paid_in), cash(body.paid_out));
    let count_variance = cash(body.count_variance);
    for (field, amount) in [
        ("approvals.manual_discount.above_amount", discount.above_amount),
        ("approvals.paid_in.above_amount", paid_in.above_amount),
        ("approvals.paid_out.above_amount", paid_out.above_amount),
        ("approvals.count_variance.above_amount", count_variance.above_amount),
    ] {
        errors.demand(
            amount.is_none_or(|amount| (0..=AMOUNT_MAX).contains(&amount)),
            field,
            "amount_out_of_range",
            &format!("an amount is 0 to {AMOUNT_MAX} minor units"),
        );
    }
    let pending_seconds = body.pending_seconds.unwrap_or(without.pending_seconds);
    let granted_seconds = body.granted_seconds.unwrap_or(without.granted_seconds);
    for (field, seconds) in
        [("approvals.pending_seconds", pending_seconds), ("approvals.granted_seconds", granted_seconds)]
    {
        errors.demand(
            (LIFETIME_SECONDS_MIN..=LIFETIME_SECONDS_MAX).contains(&seconds),
            field,
            "lifetime_out_of_range",
            &format!("an approval waits {LIFETIME_SECONDS_MIN} to {LIFETIME_SECONDS_MAX} seconds"),
        );
    }
    ApprovalSettings {
        price_override: body.price_override.unwrap_or(without.price_override),
        manual_discount: discount,
        blind_return: body.blind_return.unwrap_or(without.blind_return),
        void_order: body.void_order.unwrap_or(without.void_order),
        paid_in,
        paid_out,
        no_sale: body.no_sale.unwrap_or(without.no_sale),
        count_variance,
        pending_seconds,
        granted_seconds,
    }
}

/// The settings as a client sees them: every one of them, whether it was ever set or not.
fn reply(settings: &TenantSettings, version: u64) -> SettingsReply {
    let pricing = &settings.pricing;
    let approvals = &settings.approvals;
    let cash = |rule: CashRule| CashRuleBody { required: rule.required, above_amount: rule.above_amount };
    SettingsReply {
        pricing: PricingSettingsBody {
            tax_mode: match pricing.tax_mode {
                TaxMode::Inclusive => TaxModeBody::Inclusive,
                TaxMode::Exclusive => TaxModeBody::Exclusive,
            },
            tax_rounding: match pricing.tax_rounding {
                TaxRounding::PerLine => TaxRoundingBody::PerLine,
                TaxRounding::PerOrder => TaxRoundingBody::PerOrder,
            },
            cash_increment: pricing.cash_increment,
            cash_increments: pricing.cash_increments.clone(),
        },
        approvals: ApprovalSettingsBody {
            price_override: Some(approvals.price_override),
            manual_discount: Some(DiscountRuleBody {
                required: approvals.manual_discount.required,
                above_bps: approvals.manual_discount.above_bps,
                above_amount: approvals.manual_discount.above_amount,
            }),
            blind_return: Some(approvals.blind_return),
            void_order: Some(approvals.void_order),
            paid_in: Some(cash(approvals.paid_in)),
            paid_out: Some(cash(approvals.paid_out)),
            no_sale: Some(approvals.no_sale),
            count_variance: Some(cash(approvals.count_variance)),
            pending_seconds: Some(approvals.pending_seconds),
            granted_seconds: Some(approvals.granted_seconds),
        },
        command_age_max_seconds: settings.command_age_max_seconds,
        stored_value: StoredValueSettingsBody {
            gift_card: Some(settings.stored_value.gift_card),
            account: Some(settings.stored_value.account),
        },
        offline_uses_above_limit: match settings.offline_uses_above_limit {
            OfflineUses::Allow => OfflineUsesBody::Allow,
            OfflineUses::Refuse => OfflineUsesBody::Refuse,
        },
        offline_total_below_lines: match settings.offline_total_below_lines {
            OfflineTotals::Accept => OfflineTotalsBody::Accept,
            OfflineTotals::Refuse => OfflineTotalsBody::Refuse,
        },
        stock: StockPoliciesBody {
            unsynced: Some(settings.stock.unsynced.into()),
            at_cart: Some(settings.stock.at_cart.into()),
            hold_minutes: Some(settings.stock.hold_minutes),
        },
        sale_needs_open_shift: settings.sale_needs_open_shift,
        backorders: BackorderSettingsBody {
            allowed: Some(settings.backorders.allowed),
            hold_seconds: Some(settings.backorders.hold_seconds),
            locations: settings.backorders.locations.clone(),
        },
        version,
    }
}
