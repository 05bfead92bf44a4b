//! Feeds from HQ.

use utoipa::OpenApi;

use crate::catalog::LocationBody;
use crate::price_rules::{CategoryData, CouponData, CustomerData, PromotionData, TaxRuleData};
use crate::suppliers::SupplierBody;
use crate::sync::{FeedLine, PriceData, StockData, SyncStatus, TemplateData, UploadQuery, UploadReply};

/// This area.
#[derive(OpenApi)]
#[openapi(
    paths(upload_feed, feed_status),
    components(schemas(
        LocationBody,
        PriceData,
        StockData,
        PromotionData,
        TaxRuleData,
        CouponData,
        CustomerData,
        CategoryData,
        TemplateData,
        SupplierBody
    ))
)]
pub struct Api;

/// Takes an NDJSON feed: `catalog`, `categories`, `locations`, `inventory`, `price_book`, `tax_rules`,
/// `promotions`, `coupons`, `customers`, `suppliers` or `print_templates`.
///
/// One line is one `FeedLine`, its `data` a `ProductBody`, `CategoryData`, `LocationBody`, `StockData`,
/// `PriceData`, `TaxRuleData`, `PromotionData`, `CouponData`, `CustomerData`, `SupplierBody` or `TemplateData`. A change of promotions, tax
/// rules and categories is in force at every till within 15 seconds, all else at once. An upload needs no
/// idempotency key: a line that is not newer than what is there is skipped, so an upload may be
/// repeated. Bad lines are parked and listed, the rest is applied; fields that nobody knows are tolerated
/// and counted. Where the call's time does not suffice, `next_from` says with which line to go on.
///
/// A template is checked and rendered on trial: what is wrong with it is told with its line. It is used for
/// what becomes final from then on; documents of older orders keep the version that stood at their time. A
/// kind of document has one template for each format; a `delete` brings the built-in one back.
///
/// For `integration` and `operator`.
#[utoipa::path(post, path = "/v1/sync/{entity}", tag = "sync",
    params(("entity" = String, Path, description = "Which feed", example = "catalog"), UploadQuery),
    request_body(content = Option<FeedLine>, content_type = "application/x-ndjson",
        description = "Lines of at most 64 KB (of templates and suppliers 256 KB), 4 MB in all; none changes nothing"),
    responses((status = 200, description = "Read, bad lines or not", body = UploadReply),
        (status = 403, description = "The token's roles do not allow it (`role_required`)."),
        (status = 404, description = "There is no such feed (`unknown_entity`)."),
        (status = 422, description = "`from` is wrong (`query_invalid`, `from_out_of_range`).")))]
fn upload_feed() {}

/// Where each feed stands: checkpoint, lag, counts, last error, parked lines.
///
/// For `store_manager`, `integration` and `operator`.
#[utoipa::path(get, path = "/v1/sync/status", tag = "sync",
    responses((status = 200, description = "One entry per feed", body = SyncStatus),
        (status = 403, description = "The token's roles do not allow it (`role_required`).")))]
fn feed_status() {}
