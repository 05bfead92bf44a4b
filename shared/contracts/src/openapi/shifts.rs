//! Shifts of registers, as they are read. What changes them are commands of the till.

use utoipa::OpenApi;

use crate::till::{ShiftFilter, ShiftPage, ShiftProof, ShiftView};

/// This area.
#[derive(OpenApi)]
#[openapi(paths(list_shifts, get_shift, prove_shift))]
pub struct Api;

/// Lists shifts, newest opening first, without their movements.
#[utoipa::path(get, path = "/v1/shifts", tag = "shifts", params(ShiftFilter),
    responses(
        (status = 200, description = "A page; closed shifts with their Z report", body = ShiftPage),
        (status = 400, description = "`cursor_malformed`"),
        (status = 403, description = "`role_required`, `store_out_of_reach`"),
        (status = 404, description = "`store_not_found`"),
        (status = 422, description = "`limit_out_of_range`, `id_malformed`, `store_required`, `query_invalid`"),
    ))]
fn list_shifts() {}

/// A shift with its movements and its report.
#[utoipa::path(get, path = "/v1/shifts/{id}", tag = "shifts", params(("id" = String, Path, description = "Its id", example = "sh-1")),
    responses(
        (status = 200, description = "The shift: closed with its Z report, open with its X report", body = ShiftView),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`shift_not_found`"),
        (status = 422, description = "`id_malformed`"),
    ))]
fn get_shift() {}

/// Proves a shift's report: its figures against the sum of the orders of its receipt numbers.
#[utoipa::path(get, path = "/v1/shifts/{id}/proof", tag = "shifts", params(("id" = String, Path, description = "Its id", example = "sh-1")),
    responses(
        (status = 200, description = "What the orders come to, and whether that is what the report says", body = ShiftProof),
        (status = 403, description = "`role_required`"),
        (status = 404, description = "`shift_not_found`"),
        (status = 409, description = "`too_many_receipts`: more than are read for one answer"),
        (status = 422, description = "`id_malformed`"),
    ))]
fn prove_shift() {}
