//! Scheduled recovery: expired holds, unfinished plans, transfers and count sheets, queues of backorders, lane numbers that are missing
//! downstream, waiting deliveries, gaps of the ledger. And reconciliation: what stock says of itself is compared.
//!
//! It also answers two requests of the engineer on call, sent as its event: `restore` raises the epochs of
//! lanes after the orders were restored from a backup, `compare_lanes` tells what such a restore lost. Both are
//! of all tenants, so that they are no route: who may send them is who may invoke the function.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use tillstream_app::ports::{EventStream, WakeUpQueue};
use tillstream_app::tenancy::TenantScope;
use tillstream_app::{Error, Ports, Refusal, RefusalKind, keeper, restore};
use tillstream_contracts::restore::{
    CompareReply, FailedTenant, KeeperRequest, RestoreReply, RestoreRequest,
};
use tillstream_runtime::config::{self, Variable};
use tillstream_runtime::schedule::Job;
use tillstream_runtime::wide_event;

/// Name in logs and metrics.
pub const FUNCTION: &str = "stock-keeper";

/// What it reads from its environment, beside what every function reads.
pub const VARIABLES: &[Variable] = &[
    config::ORDERS_TABLE,
    config::STOCK_TABLE,
    config::LEDGER_TABLE,
    config::CATALOG_TABLE,
    config::ANALYTICS_TABLE,
    config::DISPATCH_TABLE,
    config::EVENT_STREAM,
    config::HQ_QUEUE_URL,
];

/// Left of the function's time when it begins with no further tenant.
const RESERVE: SignedDuration = SignedDuration::from_secs(15);

/// The keeper.
#[derive(Clone)]
pub struct Keeper {
    /// Tables, time and chance.
    pub ports: Ports,
    /// The sales stream.
    pub stream: Arc<dyn EventStream>,
    /// HQ's queue.
    pub queue: Arc<dyn WakeUpQueue>,
}

#[async_trait]
impl Job for Keeper {
    async fn run(&self, deadline: Timestamp) -> Result<(), Error> {
        let stop_at = deadline.checked_sub(RESERVE).unwrap_or(deadline);
        let report = keeper::run(&self.ports, self.stream.as_ref(), self.queue.as_ref(), stop_at).await?;
        for (name, count) in [
            ("plans", report.plans),
            ("transfers", report.transfers),
            ("counts", report.counts),
            ("holds", report.holds),
            ("reservations", report.reservations),
            ("backorders", report.backorders),
            ("sent_again", report.sent_again),
            ("woken", report.woken),
            ("ledger_gaps", report.ledger_gaps),
            ("lots", report.lots),
            ("merged", report.merged),
            ("differences", report.differences),
        ] {
            wide_event::note(name, count);
        }
        Ok(())
    }

    async fn asked(&self, event: &Value, deadline: Timestamp) -> Result<Option<Value>, Error> {
        let is_request = KeeperRequest::MEMBERS.iter().any(|member| event.get(member).is_some());
        if !is_request {
            return Ok(None);
        }
        let request = KeeperRequest::deserialize(event).map_err(|error| {
            Refusal::new(
                RefusalKind::Invalid,
                "request_malformed",
                format!("no request of the keeper: {error}"),
            )
        })?;
        let stop_at = deadline.checked_sub(RESERVE).unwrap_or(deadline);
        let answer = match request {
            KeeperRequest::Restore(request) => {
                serde_json::to_value(self.raise_epochs(&request, stop_at).await?)
            }
            KeeperRequest::CompareLanes(request) => {
                serde_json::to_value(self.compare_lanes(request.tenants.as_deref(), stop_at).await?)
            }
        };
        answer.map(Some).map_err(Error::bug)
    }
}

fn failed(scope: &TenantScope, error: &Error) -> FailedTenant {
    let tenant_id = scope.tenant_id().to_owned();
    tracing::error!(tenant_id, %error, "a tenant could not be seen to after a restore");
    FailedTenant { tenant_id, why: error.to_string() }
}

impl Keeper {
    /// The tenants that are meant, and those that are not known.
    async fn tenants(&self, asked: Option<&[String]>) -> Result<(Vec<TenantScope>, Vec<String>), Error> {
        let all = keeper::tenants(&self.ports).await?;
        let Some(asked) = asked else { return Ok((all, Vec::new())) };
        let known = |id: &String| all.iter().any(|scope| scope.tenant_id() == id);
        let unknown = asked.iter().filter(|id| !known(id)).cloned().collect();
        let meant = all.iter().filter(|scope| asked.iter().any(|id| id == scope.tenant_id()));
        Ok((meant.cloned().collect(), unknown))
    }

    async fn raise_epochs(
        &self,
        request: &RestoreRequest,
        stop_at: Timestamp,
    ) -> Result<RestoreReply, Error> {
        let (tenants, unknown) = self.tenants(request.tenants.as_deref()).await?;
        let mut reply = RestoreReply { unknown, ..RestoreReply::default() };
        for scope in tenants {
            if self.ports.environment.now() >= stop_at {
                reply.unfinished.push(scope.tenant_id().to_owned());
                continue;
            }
            // One tenant that cannot be raised keeps no other from it.
            let raised = match restore::raise_epochs(&self.ports, &scope, request, stop_at).await {
                Ok(raised) => raised,
                Err(error) => {
                    reply.failed.push(failed(&scope, &error));
                    continue;
                }
            };
            tracing::warn!(
                tenant_id = raised.tenant_id,
                restore_id = request.id,
                epoch = raised.epoch,
                raised = raised.raised,
                finished = raised.finished,
                "epochs of lanes were raised"
            );
            if !raised.finished {
                reply.unfinished.push(raised.tenant_id.clone());
            }
            reply.tenants.push(raised);
        }
        Ok(reply)
    }

    async fn compare_lanes(
        &self,
        tenants: Option<&[String]>,
        stop_at: Timestamp,
    ) -> Result<CompareReply, Error> {
        let (tenants, unknown) = self.tenants(tenants).await?;
        let mut reply = CompareReply { unknown, ..CompareReply::default() };
        for scope in tenants {
            if self.ports.environment.now() >= stop_at {
                reply.unfinished.push(scope.tenant_id().to_owned());
                continue;
            }
            match restore::compare(&self.ports, &scope).await {
                Ok(compared) => reply.tenants.push(compared),
                Err(error) => reply.failed.push(failed(&scope, &error)),
            }
        }
        Ok(reply)
    }
}
