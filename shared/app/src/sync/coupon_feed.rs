//! The feed of coupons.

use async_trait::async_trait;
use tillstream_domain::coupon::CouponDefinition;

use super::batch::Feed;
use super::line::{BadLine, Line};
use super::record_feed::RecordFeed;
use super::rule_lines::coupon_of_line;
use super::use_limits::{LimitChange, remembering};
use crate::catalog::items::{coupon_item, coupon_of};
use crate::database::{Item, Key};
use crate::error::Result;
use crate::tenancy::TenantScope;

/// Coupons, by their codes.
pub(super) struct Coupons;

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

    async fn remembering(
        &self,
        feed: Feed<'_>,
        id: &str,
        record: Option<&CouponDefinition>,
        item: Item,
        old: Option<&Item>,
    ) -> Result<Item> {
        // One that cannot be read says nothing: a line may mend it.
        let before = coupon_of(old).ok().flatten().and_then(|coupon| coupon.total_limit);
        let limit = record.and_then(|coupon| coupon.total_limit);
        remembering(feed, LimitChange { kind: "coupon", id, before, limit }, item, old).await
    }
}
