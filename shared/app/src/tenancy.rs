//! Whose data it is, and who asks.

use std::collections::BTreeSet;

use tillstream_domain::identifier::check_id;

use crate::error::{Refusal, Result};

/// The right to build keys of one tenant. There is no way to build a key without one.
///
/// It comes from a verified token, or from an event or record of that tenant that we wrote ourselves;
/// a test allows each constructor only where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantScope {
    tenant_id: String,
}

impl TenantScope {
    /// From a token whose signature, issuer, audience and expiry hold.
    ///
    /// # Errors
    /// A refusal if the tenant id is malformed.
    pub fn from_verified_token(tenant_id: &str) -> Result<Self> {
        check_id(tenant_id)
            .map_err(|_| Refusal::forbidden("tenant_malformed", "the token's tenant_id is malformed"))?;
        Ok(TenantScope { tenant_id: tenant_id.to_owned() })
    }

    /// From a stream record, queue message or record that this system wrote.
    pub fn from_own_record(tenant_id: &str) -> Self {
        TenantScope { tenant_id: tenant_id.to_owned() }
    }

    /// The tenant.
    pub fn tenant_id(&self) -> &str {
        &self.tenant_id
    }
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sells.
    Cashier,
    /// Sells, approves, adjusts.
    StoreManager,
    /// Moves stock.
    WarehouseStaff,
    /// Sees several stores.
    FranchiseOwner,
    /// Reads figures.
    Analyst,
    /// A program: feeds and orders.
    Integration,
    /// Everything within its tenant.
    Operator,
}

impl Role {
    /// From the token's name; unknown roles grant nothing.
    pub fn parse(name: &str) -> Option<Role> {
        Some(match name {
            "cashier" => Role::Cashier,
            "store_manager" => Role::StoreManager,
            "warehouse_staff" => Role::WarehouseStaff,
            "franchise_owner" => Role::FranchiseOwner,
            "analyst" => Role::Analyst,
            "integration" => Role::Integration,
            "operator" => Role::Operator,
            _ => return None,
        })
    }
}

/// Which stores a token reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stores {
    /// All of the tenant (`*`).
    All,
    /// These.
    Named(BTreeSet<String>),
}

/// Who asks: made from a verified token.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose data.
    pub scope: TenantScope,
    /// `sub`.
    pub subject: String,
    /// Known roles.
    pub roles: BTreeSet<Role>,
    /// Stores in reach.
    pub stores: Stores,
    /// The register the token belongs to, if it is a register's.
    pub register_id: Option<String>,
}

impl Caller {
    /// Whether the caller has one of `roles`; an operator has all.
    pub fn has(&self, roles: &[Role]) -> bool {
        self.roles.contains(&Role::Operator) || roles.iter().any(|role| self.roles.contains(role))
    }

    /// Demands one of `roles`.
    ///
    /// # Errors
    /// 403 `role_required`.
    pub fn require_role(&self, roles: &[Role]) -> Result<()> {
        if self.has(roles) {
            Ok(())
        } else {
            Err(Refusal::forbidden("role_required", "the token's roles do not allow this").into())
        }
    }

    /// Whether the store is in reach.
    pub fn reaches(&self, store_id: &str) -> bool {
        match &self.stores {
            Stores::All => true,
            Stores::Named(stores) => stores.contains(store_id),
        }
    }

    /// Demands that the store or location be in reach.
    ///
    /// # Errors
    /// 403 `store_out_of_reach`.
    pub fn require_store(&self, store_id: &str) -> Result<()> {
        if self.reaches(store_id) {
            Ok(())
        } else {
            Err(Refusal::forbidden("store_out_of_reach", format!("the token does not reach {store_id}"))
                .into())
        }
    }

    /// Demands that the register be the token's own, if the token belongs to one.
    ///
    /// # Errors
    /// 403 `register_out_of_reach`.
    pub fn require_register(&self, register_id: &str) -> Result<()> {
        match &self.register_id {
            Some(own) if own != register_id && !self.has(&[]) => Err(Refusal::forbidden(
                "register_out_of_reach",
                format!("the token belongs to register {own}"),
            )
            .into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_told_by_their_names() {
        let names = [
            ("cashier", Role::Cashier),
            ("store_manager", Role::StoreManager),
            ("warehouse_staff", Role::WarehouseStaff),
            ("franchise_owner", Role::FranchiseOwner),
            ("analyst", Role::Analyst),
            ("integration", Role::Integration),
            ("operator", Role::Operator),
        ];
        for (name, role) in names {
            assert_eq!(Role::parse(name), Some(role));
        }
        for unknown in ["", "Operator", "admin", "operator "] {
            assert_eq!(Role::parse(unknown), None, "{unknown:?}");
        }
    }
}
