//! What a wake-up says: which delivery to look at. Nothing in it is believed but that.

use serde::{Deserialize, Serialize};
use tillstream_domain::identifier::check_id;

use super::subject::is_subject;
use crate::dispatch::delivery::Delivery;
use crate::error::{Error, Result};
use crate::ports::WakeUp;
use crate::tenancy::TenantScope;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    version: u16,
    tenant_id: String,
    order_id: String,
    order_version: u32,
}

/// The delivery a wake-up is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub scope: TenantScope,
    pub order_id: String,
    pub order_version: u32,
}

/// The wake-up of a delivery, as of its enqueue count.
pub(super) fn wake_up(delivery: &Delivery) -> Result<WakeUp> {
    let tenant = delivery.scope.tenant_id();
    let body = Body {
        version: 1,
        tenant_id: tenant.to_owned(),
        order_id: delivery.order_id.clone(),
        order_version: delivery.order_version,
    };
    Ok(WakeUp {
        group: format!("{tenant}/{}", delivery.order_id),
        deduplication: format!("{tenant}/{}#{}", delivery.id(), delivery.enqueue_count),
        body: serde_json::to_string(&body).map_err(Error::bug)?,
    })
}

/// Which delivery a message is about; `None` if it is not one of ours.
pub(super) fn parse(body: &str) -> Option<Subject> {
    let body: Body = serde_json::from_str(body).ok()?;
    let ours = body.version == 1
        && body.order_version > 0
        && check_id(&body.tenant_id).is_ok()
        && is_subject(&body.order_id);
    ours.then(|| Subject {
        scope: TenantScope::from_own_record(&body.tenant_id),
        order_id: body.order_id,
        order_version: body.order_version,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_messages_are_read() {
        assert!(parse(r#"{"version":1,"tenant_id":"t","order_id":"o","order_version":1}"#).is_some());
        assert!(parse(r#"{"version":1,"tenant_id":"t","order_id":"~sh","order_version":1}"#).is_some());
        for body in [
            "",
            "{}",
            r#"{"version":2,"tenant_id":"t","order_id":"o","order_version":1}"#,
            r#"{"version":1,"tenant_id":"t#x","order_id":"o","order_version":1}"#,
            r#"{"version":1,"tenant_id":"t","order_id":"o","order_version":0}"#,
            r#"{"version":1,"tenant_id":"t","order_id":"o","order_version":1,"x":1}"#,
        ] {
            assert!(parse(body).is_none(), "{body}");
        }
    }
}
