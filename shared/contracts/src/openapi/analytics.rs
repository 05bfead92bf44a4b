//! Figures.

use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use crate::analytics::{
    CategoriesQuery, DashboardQuery, DashboardReply, ProductsQuery, ProductsReply, SalesQuery, SalesReply,
};

/// This area.
#[derive(OpenApi)]
#[openapi(
    paths(dashboard, sales, products, categories),
    components(schemas(
        crate::analytics::Granularity,
        crate::analytics::GroupBy,
        crate::analytics::Compare,
        crate::analytics::ProductOrder,
        crate::analytics::Direction
    ))
)]
pub struct Api;

/// Headers of every query of figures.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct FiguresHeaders {
    /// `consistency_token` of a reply: the answer waits up to 1.5 s for what it stands for, and says in
    /// `X-Consistency` whether it is in it.
    #[serde(rename = "X-Consistency-Token")]
    #[param(example = "s-uk-1/r-1:42")]
    pub consistency_token: Option<String>,
    /// `ETag` of an earlier answer: 304 if nothing has changed.
    #[serde(rename = "If-None-Match")]
    pub if_none_match: Option<String>,
}

/// A business day at a glance: totals, hours, registers, last sales. Roles: analyst, store_manager,
/// franchise_owner, operator.
#[utoipa::path(get, path = "/v1/analytics/dashboard", tag = "analytics",
    params(DashboardQuery, FiguresHeaders),
    responses(
        (status = 200, description = "The figures", body = DashboardReply, headers(
            ("ETag" = String, description = "Of the content, `as_of` apart"),
            ("Cache-Control" = String, description = "`private, no-cache`"),
            ("X-Consistency" = String, description = "`satisfied` or `pending`; with a token only"))),
        (status = 304, description = "Unchanged since `If-None-Match`"),
        (status = 400, description = "`consistency_token_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`store_not_found`"),
        (status = 422, description = "`query_invalid`, `time_malformed`, `too_many_stores`")))]
fn dashboard() {}

/// Sales by time and group. Roles: analyst, store_manager, franchise_owner, operator.
#[utoipa::path(get, path = "/v1/analytics/sales", tag = "analytics",
    params(SalesQuery, FiguresHeaders),
    responses(
        (status = 200, description = "The figures", body = SalesReply, headers(
            ("ETag" = String, description = "Of the content, `as_of` apart"),
            ("Cache-Control" = String, description = "`private, no-cache`"),
            ("X-Consistency" = String, description = "`satisfied` or `pending`; with a token only"))),
        (status = 304, description = "Unchanged since `If-None-Match`"),
        (status = 400, description = "`consistency_token_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`store_not_found`"),
        (status = 422, description = "`query_invalid`, `time_malformed`, `time_out_of_range`, `range_incomplete`, `range_mixed`, `range_reversed`, `range_too_long`, `too_many_stores`")))]
fn sales() {}

/// Products by what they sold, page by page. Roles: analyst, store_manager, franchise_owner, operator.
#[utoipa::path(get, path = "/v1/analytics/products", tag = "analytics",
    params(ProductsQuery, FiguresHeaders),
    responses(
        (status = 200, description = "The figures", body = ProductsReply, headers(
            ("ETag" = String, description = "Of the content, `as_of` apart"),
            ("Cache-Control" = String, description = "`private, no-cache`"),
            ("X-Consistency" = String, description = "`satisfied` or `pending`; with a token only"))),
        (status = 304, description = "Unchanged since `If-None-Match`"),
        (status = 400, description = "`consistency_token_malformed`, `cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`store_not_found`"),
        (status = 422, description = "`query_invalid`, `time_malformed`, `time_out_of_range`, `range_incomplete`, `range_mixed`, `range_reversed`, `range_too_long`, `range_not_days`, `limit_out_of_range`, `category_malformed`, `category_too_large`, `too_many_stores`")))]
fn products() {}

/// Sales by category over one span. Roles: analyst, store_manager, franchise_owner, operator.
#[utoipa::path(get, path = "/v1/analytics/categories", tag = "analytics",
    params(CategoriesQuery, FiguresHeaders),
    responses(
        (status = 200, description = "The figures", body = SalesReply, headers(
            ("ETag" = String, description = "Of the content, `as_of` apart"),
            ("Cache-Control" = String, description = "`private, no-cache`"),
            ("X-Consistency" = String, description = "`satisfied` or `pending`; with a token only"))),
        (status = 304, description = "Unchanged since `If-None-Match`"),
        (status = 400, description = "`consistency_token_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`store_not_found`"),
        (status = 422, description = "`query_invalid`, `time_malformed`, `time_out_of_range`, `range_incomplete`, `range_mixed`, `range_reversed`, `range_too_long`, `too_many_stores`")))]
fn categories() {}
