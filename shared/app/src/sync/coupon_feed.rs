//! The feed of coupons.

use async_trait::async_trait;
use tillstream_domain::coupon::CouponDefinition;
use tillstream_domain::identifier::check_id;

use super::batch::Feed;
use super::line::{BadLine, Line};
use super::record_feed::RecordFeed;
use super::rule_lines::coupon_of_line;
use crate::catalog::items::coupon_item;
use crate::database::{Item, Key};
use crate::error::Result;
use crate::tenancy::TenantScope;

/// Coupons, by their codes.
pub(super) struct Coupons;

#[async_trait]
impl RecordFeed for Coupons {
    type Record = CouponDefinition;
    const WHAT: &'static str = "coupon";

    fn check_id(&self, _feed: Feed<'_>, id: &str) -> Result<(), BadLine> {
        check_id(id).map_err(|error| BadLine::new("id_malformed", format!("id: {error}")))
    }

    fn record_of(&self, line: &Line) -> Result<CouponDefinition, BadLine> {
        coupon_of_line(line)
    }

    fn key(&self, scope: &TenantScope, id: &str) -> Key {
        scope.coupon(id)
    }

    fn item(&self, scope: &TenantScope, record: &CouponDefinition, version: u64) -> Result<Item> {
        coupon_item(scope, &CouponDefinition { version, ..record.clone() })
    }
}
