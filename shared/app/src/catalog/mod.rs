//! Products, prices, locations and suppliers.

pub(crate) mod attempt;
pub mod barcodes;
pub mod index_walk;
pub mod items;
pub mod kits;
pub mod location_rules;
pub(crate) mod location_stock;
pub mod locations;
pub mod product_list;
pub mod product_rules;
pub mod products;
pub mod put_record;
pub mod reach;
pub mod settings;
pub mod standing;
pub mod supplier_rules;
pub mod suppliers;
pub(crate) mod use_counting;
