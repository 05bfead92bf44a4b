//! Dashboard, sales, products, categories.
