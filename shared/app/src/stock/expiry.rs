//! stub until merge
use crate::{Ports, Result, tenancy::TenantScope};
use jiff::Timestamp;
/// x
pub async fn free_expired(_: &Ports, _: &TenantScope, _: &str, _: &str, _: Timestamp) -> Result<bool> {
    Ok(false)
}
