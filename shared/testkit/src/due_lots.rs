//! Stock items of which a lot is past its day, without the deliveries and days that would have made them.

use tillstream_app::database::Item;
use tillstream_app::keys;
use tillstream_app::stock::layout::LAYOUT_WHOLE;
use tillstream_app::tenancy::TenantScope;

/// One as the schedule finds it: due at `due_at`, in milliseconds, and listed in the `shard`th part of what is due.
pub fn stock_of_due_lot(scope: &TenantScope, location_id: &str, sku: &str, shard: u64, due_at: i64) -> Item {
    Item::new(&scope.stock(location_id, sku))
        .with("tenant_id", scope.tenant_id())
        .with("location_id", location_id)
        .with("sku", sku)
        .with("layout", LAYOUT_WHOLE)
        .with("seq", 1_i64)
        .with("lots_due_at", due_at)
        .with("due_pk", keys::due("lots", shard).value())
        .with("due_at", due_at)
}
