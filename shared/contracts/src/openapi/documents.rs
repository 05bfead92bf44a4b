//! Documents of orders and reports on shifts.

use utoipa::{OpenApi, ToSchema};

use crate::documents::{DocumentList, DocumentQuery};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(list_documents, get_document))]
pub struct Api;

/// Commands of a receipt printer (ESC/POS).
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
struct EscposDocument(Vec<u8>);

/// The documents of an order or return.
///
/// They need not have been asked for before: a document is made when it is fetched.
#[utoipa::path(get, path = "/v1/orders/{id}/documents", tag = "orders",
    params(("id" = String, Path, description = "The order's id", example = "o-1")),
    responses(
        (status = 200, description = "All of them", body = DocumentList),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`order_not_found`"),
        (status = 422, description = "`id_malformed`"),
    ))]
fn list_documents() {}

/// A receipt or another document of an order, or the report on a shift, as `Accept` asks: `text/html` (the
/// default), `text/plain` or `application/vnd.escpos`.
///
/// It is made by the tenant's template that stood when the order became final (feed `print_templates`), or by
/// the built-in one, from the order as it was sold and the store's name and address as they are now. The same
/// request gets the same bytes.
///
/// A shift has `<shift id>.x_report` while it is open, with its figures as of now and by the template of now;
/// once it is closed it has `<shift id>.z_report` instead, by the template that stood at its closing. Both tell
/// the figures of `GET /v1/shifts/{id}`, to whoever may read that.
///
/// It says that it is a reprint where `reprint=true` is asked for, and always from 15 minutes after the order
/// became final, or the shift was closed, by this service's clock.
#[utoipa::path(get, path = "/v1/documents/{id}", tag = "orders",
    params(("id" = String, Path, description = "Its id, as the order's list of documents or the answer of a command tells it", example = "o-1.receipt"), DocumentQuery),
    responses(
        (status = 200, description = "It",
            content((String = "text/html"), (String = "text/plain"), (EscposDocument = "application/vnd.escpos")),
            headers(("ETag" = String), ("Cache-Control" = String, description = "`private, no-cache`"),
                ("Vary" = String, description = "`Authorization, Accept`"))),
        (status = 304, description = "`If-None-Match` names what would be sent"),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`document_not_found`, also where the id is none; of a shift that has the other report the detail names that one"),
        (status = 406, description = "`not_acceptable`: none of the three media types will do"),
        (status = 422, description = "`query_invalid`; `document_too_large` where thousands of lines with long texts make more than 1 MB, also in fewer words; `document_too_many_entries` where its lists hold more than a document may"),
    ))]
fn get_document() {}
