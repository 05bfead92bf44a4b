//! Keys of the catalog table: products, locations, rules, feeds, templates.

use tillstream_domain::identifier::KeyPart;

use super::print_template_since;
use crate::database::{Key, Partition};
use crate::tenancy::TenantScope;

impl TenantScope {
    /// Product.
    pub fn product(&self, sku: &str) -> Key {
        self.key("product", &[sku], "product")
    }

    /// Price book entries of a SKU.
    pub fn prices(&self, sku: &str) -> Key {
        self.key("product", &[sku], "prices")
    }

    /// SKU of a barcode.
    pub fn barcode(&self, gtin: &str) -> Key {
        self.key("barcode", &[gtin], "barcode")
    }

    /// All that a tenant sells by: settings, promotions, taxes.
    pub fn tenant_rules(&self) -> Partition {
        Partition(self.pk("rules", &[]))
    }

    /// A tenant's settings.
    pub fn settings(&self) -> Key {
        self.key("rules", &[], "settings")
    }

    /// What a location decides about its stock otherwise than its tenant.
    pub fn location_stock_rule(&self, id: &str) -> Key {
        self.key("rules", &[], &format!("location#{}", KeyPart(id)))
    }

    /// Promotion.
    pub fn promotion(&self, id: &str) -> Key {
        self.key("rules", &[], &format!("promotion#{}", KeyPart(id)))
    }

    /// Tax rule.
    pub fn tax_rule(&self, id: &str) -> Key {
        self.key("rules", &[], &format!("tax_rule#{}", KeyPart(id)))
    }

    /// Category, with the one it stands below.
    pub fn category_rule(&self, id: &str) -> Key {
        self.key("rules", &[], &format!("category#{}", KeyPart(id)))
    }

    /// Counts the changes of all categories together.
    pub fn category_tree(&self) -> Key {
        self.key("rules", &[], "category-tree")
    }

    /// Coupon.
    pub fn coupon(&self, code: &str) -> Key {
        self.key("coupon", &[code], "coupon")
    }

    /// Customer.
    pub fn customer(&self, id: &str) -> Key {
        self.key("customer", &[id], "customer")
    }

    /// Supplier.
    pub fn supplier(&self, id: &str) -> Key {
        self.key("supplier", &[id], "supplier")
    }

    /// Location.
    pub fn location(&self, id: &str) -> Key {
        self.key("location", &[id], "location")
    }

    /// Index partition of all products, or all locations (`list_pk`).
    pub fn list_of(&self, kind: &str) -> Partition {
        Partition(self.pk("list", &[kind]))
    }

    /// Index partition of all products of a category (`category_pk`).
    pub fn category(&self, category: &str) -> Partition {
        Partition(self.pk("category", &[category]))
    }

    /// Index partition of all variants of a product (`variant_pk`).
    pub fn variants_of(&self, sku: &str) -> Partition {
        Partition(self.pk("variants", &[sku]))
    }

    /// Index partition of all products by name (`name_pk`).
    pub fn product_names(&self) -> Partition {
        Partition(self.pk("names", &[]))
    }

    /// State of a feed.
    pub fn sync_state(&self, entity: &str) -> Key {
        self.key("sync", &[entity], "state")
    }

    /// A part of a parked bad line of a feed, by the line's hash: the same line is parked once.
    pub fn sync_parked(&self, entity: &str, hash: &str, part: u32) -> Key {
        self.key("sync", &[entity], &format!("parked#{hash}#{part:03}"))
    }

    /// Index partition of all parked lines of a feed (`list_pk`).
    pub fn sync_parked_lines(&self, entity: &str) -> Partition {
        Partition(self.pk("parked", &[entity]))
    }

    /// Version record of a feed's deleted or separate entity.
    pub fn sync_entity(&self, entity: &str, id: &str) -> Key {
        self.key("sync-entity", &[entity, id], "entity")
    }

    /// Which template of a kind of document and a format is current.
    pub fn print_template(&self, kind: &str, format: &str) -> Key {
        self.key("print-template", &[kind, format], "current")
    }

    /// The version of a template that stands since a time, in milliseconds.
    pub fn print_template_version(&self, kind: &str, format: &str, since_millis: i64) -> Key {
        self.key("print-template", &[kind, format], &print_template_since(since_millis))
    }

    /// Versions of the template of a kind of document and a format, and which is current.
    pub fn print_template_versions(&self, kind: &str, format: &str) -> Partition {
        Partition(self.pk("print-template", &[kind, format]))
    }

    /// The tenant's entry in the registry.
    pub fn registry_entry(&self) -> Key {
        Key { pk: "tenants".to_owned(), sk: self.tenant_id().to_owned() }
    }

    /// Where a scheduled walk over this tenant stands.
    pub fn walk(&self, name: &str) -> Key {
        self.key("walk", &[name], "walk")
    }

    /// The tenant's restores from backup, and the epoch that each raised its lanes to.
    pub fn restores(&self) -> Key {
        self.key("restores", &[], "restores")
    }
}
