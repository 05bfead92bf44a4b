//! The feed of coupons.

use async_trait::async_trait;
use tillstream_domain::coupon::CouponDefinition;

use super::batch::Feed;
use super::line::{BadLine, Line};
use super::record_feed::{Admission, RecordFeed};
use super::rule_lines::coupon_of_line;
use super::use_limits::{check_limit, remembering, was_split};
use crate::catalog::items::{coupon_item, coupon_of};
use crate::database::{Item, Key};
use crate::error::Result;
use crate::tenancy::TenantScope;

/// Coupons, by their codes.
pub(super) struct Coupons;

/// Whether its uses were ever counted in parts. One that cannot be read says nothing: a line may mend it.
fn was_counted_in_parts(old: Option<&Item>) -> bool {
    was_split(old, coupon_of(old).ok().flatten().and_then(|coupon| coupon.total_limit))
}

#[async_trait]
impl RecordFeed for Coupons {
    type Record = CouponDefinition;
    const WHAT: &'static str = "coupon";

    fn record_of(&self, line: &Line) -> Result<CouponDefinition, BadLine> {
        coupon_of_line(line)
    }

    fn key(&self, scope: &TenantScope, id: &str) -> Key {
        scope.coupon(id)
    }

    fn item(&self, scope: &TenantScope, record: &CouponDefinition, version: u64) -> Result<Item> {
        coupon_item(scope, &CouponDefinition { version, ..record.clone() })
    }

    fn remembering(&self, item: Item, old: Option<&Item>) -> Item {
        remembering(item, was_counted_in_parts(old))
    }

    async fn admit(
        &self,
        _feed: Feed<'_>,
        _id: &str,
        record: Option<&CouponDefinition>,
        old: Option<&Item>,
    ) -> Result<Admission> {
        let limit = record.and_then(|coupon| coupon.total_limit);
        Ok(check_limit("data.total_limit", limit, was_counted_in_parts(old)).map(|()| Vec::new()))
    }
}
