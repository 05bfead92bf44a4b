//! Approvals: a supervisor allows what somebody else asked for, once, for a short time, and exactly that.
//!
//! A request is pending until it is granted or denied; a grant is good until it is used. Both expire. All
//! times are the server's: a register cannot make an approval last by its own clock.

mod binding;
mod settings;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use binding::{ApprovalAction, Binding, Bound, Difference, Goods, Off};
pub use settings::{
    ApprovalSettings, CashRule, DiscountRule, GRANTED_SECONDS_DEFAULT, LIFETIME_SECONDS_MAX,
    LIFETIME_SECONDS_MIN, PENDING_SECONDS_DEFAULT,
};

/// Who did something: the token's subject, and who they say they are at the register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// `sub` of the token.
    pub subject: String,
    /// Employee.
    pub employee_id: String,
}

impl Person {
    /// Whether the two share a name. A register's token may be shared, an employee id may be typed in, so
    /// either being the same is too much.
    pub fn may_be(&self, other: &Person) -> bool {
        let names = [&other.subject, &other.employee_id];
        names.contains(&&self.subject) || names.contains(&&self.employee_id)
    }
}

/// What a supervisor said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Granted or denied.
    pub granted: bool,
    /// By whom.
    pub by: Person,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
    /// First instant at which a grant is good no more.
    pub good_until: Timestamp,
}

/// The command that used a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Person,
    /// Hash of its idempotency key, in hexadecimal.
    pub command: String,
    /// Cart, return, order or shift that it changed.
    pub resource_id: String,
    /// The line or discount that it made, if it made one.
    pub part_id: Option<String>,
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    /// Nobody decided yet.
    Pending,
    /// Good for one use.
    Granted,
    /// Refused.
    Denied,
    /// It was used.
    Used,
    /// Nobody decided, or nobody used it, in time.
    Expired,
}

impl ApprovalStatus {
    /// All of them.
    pub const ALL: [ApprovalStatus; 5] = [
        ApprovalStatus::Pending,
        ApprovalStatus::Granted,
        ApprovalStatus::Denied,
        ApprovalStatus::Used,
        ApprovalStatus::Expired,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ApprovalStatus::Pending => "pending",
            ApprovalStatus::Granted => "granted",
            ApprovalStatus::Denied => "denied",
            ApprovalStatus::Used => "used",
            ApprovalStatus::Expired => "expired",
        }
    }
}

/// A request for an approval, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Its id, unique in the tenant.
    pub id: String,
    /// Counts its writes.
    pub version: u64,
    /// What it is good for, and where.
    pub bound: Bound,
    /// Why it is asked for.
    pub reason: String,
    /// Who asks.
    pub asked_by: Person,
    /// When.
    pub asked_at: Timestamp,
    /// First instant at which it can be decided no more.
    pub pending_until: Timestamp,
    /// What was decided.
    pub decision: Option<Decision>,
    /// What it was used for.
    pub used: Option<Use>,
}

/// Why an approval does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// Who asks does not decide.
    #[error("whoever asks for an approval cannot decide on it; another supervisor must")]
    OwnRequest,
    /// It was decided before.
    #[error("it is {} already", .0.name())]
    Decided(ApprovalStatus),
    /// Its time is over.
    #[error("it expired at {0}; ask for another")]
    Expired(Timestamp),
    /// Nobody decided yet.
    #[error("nobody decided on it yet; a supervisor must grant it first")]
    Pending,
    /// It was refused.
    #[error("it was denied")]
    Denied,
    /// It was used.
    #[error("it was used already; ask for another")]
    Used,
    /// The command is not what was approved.
    #[error("it approves something else: {}", describe(.0))]
    DoesNotMatch(Vec<Difference>),
}

fn describe(differences: &[Difference]) -> String {
    let texts: Vec<String> =
        differences.iter().map(|d| format!("{} {} instead of {}", d.field, d.approved, d.asked)).collect();
    texts.join(", ")
}

impl ApprovalError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            ApprovalError::OwnRequest => "approval_of_own_request",
            ApprovalError::Decided(_) => "approval_decided",
            ApprovalError::Expired(_) => "approval_expired",
            ApprovalError::Pending => "approval_pending",
            ApprovalError::Denied => "approval_denied",
            ApprovalError::Used => "approval_used",
            ApprovalError::DoesNotMatch(_) => "approval_does_not_match",
        }
    }
}

/// `seconds` after `at`.
pub fn after(at: Timestamp, seconds: u32) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}

impl Approval {
    /// Where it stands at `now`.
    pub fn status(&self, now: Timestamp) -> ApprovalStatus {
        match (&self.used, &self.decision) {
            (Some(_), _) => ApprovalStatus::Used,
            (None, None) if now >= self.pending_until => ApprovalStatus::Expired,
            (None, None) => ApprovalStatus::Pending,
            (None, Some(decision)) if !decision.granted => ApprovalStatus::Denied,
            (None, Some(decision)) if now >= decision.good_until => ApprovalStatus::Expired,
            (None, Some(_)) => ApprovalStatus::Granted,
        }
    }

    /// First instant at which it is good for nothing more by itself.
    pub fn expires_at(&self) -> Timestamp {
        self.decision.as_ref().filter(|d| d.granted).map_or(self.pending_until, |d| d.good_until)
    }

    /// Decides on it. `granted_seconds`: how long a grant waits for its use.
    ///
    /// # Errors
    /// [`ApprovalError::OwnRequest`], [`ApprovalError::Decided`], [`ApprovalError::Expired`].
    pub fn decide(
        &mut self,
        granted: bool,
        by: Person,
        at: Timestamp,
        reason: Option<String>,
        granted_seconds: u32,
    ) -> Result<(), ApprovalError> {
        if by.may_be(&self.asked_by) {
            return Err(ApprovalError::OwnRequest);
        }
        if self.decision.is_some() {
            return Err(ApprovalError::Decided(self.status(at)));
        }
        if at >= self.pending_until {
            return Err(ApprovalError::Expired(self.pending_until));
        }
        self.decision = Some(Decision { granted, by, at, reason, good_until: after(at, granted_seconds) });
        Ok(())
    }

    /// Checks that it allows `asked` at `now`; answers the grant.
    ///
    /// # Errors
    /// [`ApprovalError`] but for those of deciding. What it is for comes first: whoever sent the wrong id
    /// is to learn that, and not how the other one stands.
    pub fn allow(&self, asked: &Bound, now: Timestamp) -> Result<&Decision, ApprovalError> {
        let differences = self.bound.differences(asked);
        if !differences.is_empty() {
            return Err(ApprovalError::DoesNotMatch(differences));
        }
        match (self.status(now), &self.decision) {
            (ApprovalStatus::Granted, Some(decision)) => Ok(decision),
            (ApprovalStatus::Used, _) => Err(ApprovalError::Used),
            (ApprovalStatus::Denied, _) => Err(ApprovalError::Denied),
            (ApprovalStatus::Expired, _) => Err(ApprovalError::Expired(self.expires_at())),
            _ => Err(ApprovalError::Pending),
        }
    }
}

#[cfg(test)]
mod tests;
