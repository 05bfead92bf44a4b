//! Which documents an order has, and fetching one of an order or a shift.

use futures::try_join;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tillstream_contracts::documents::{DocumentEntry, DocumentList};
use tillstream_documents::{
    Document, DocumentData, DocumentError, Format, Kind, OrderDocument, Store, Template, render,
};
use tillstream_domain::cart::Cart;

use super::brief::{Brevity, in_brief, is_too_much};
use super::document_id::{DocumentId, kinds_of};
use super::order_document::{order_document, store_of};
use super::shift_report;
use super::template_store::Templates;
use crate::catalog::items::{catalog_get, location_of};
use crate::database::{Consistency, Get, Table};
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::fields::id;
use crate::orders::read::{READERS, order_not_found};
use crate::ports::Ports;
use crate::pos::cart_item::cart_of;
use crate::tenancy::{Caller, TenantScope};

/// How long after an order became final its documents are originals, and after a shift was closed its Z
/// report. A till prints at once, and again where the paper ran out; who comes back later gets a reprint, so
/// that one sale has no two originals to be refunded by. It is counted by our clock from when the order, or the
/// closing, reached us: a register that was cut off printed for itself, but may fetch what it could not print.
pub const ORIGINAL_FOR: SignedDuration = SignedDuration::from_mins(15);

/// A document, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// It.
    pub document: Document,
    /// Hash of its bytes, in hexadecimal.
    pub digest: String,
}

/// The documents of an order or return.
///
/// # Errors
/// Those of [`crate::orders::read::get`].
pub async fn list(ports: &Ports, caller: &Caller, order_id: &str) -> Result<DocumentList> {
    caller.require_role(&READERS)?;
    id("id", order_id)?;
    let order = order_in_reach(ports, caller, order_id).await?;
    let order = order.ok_or_else(|| order_not_found(order_id))?;
    let entry = |kind: &Kind| DocumentEntry {
        document_id: DocumentId { owner_id: order.id.clone(), kind: *kind }.to_string(),
        kind: kind.name(),
        formats: Format::ALL.map(media_type).to_vec(),
    };
    Ok(DocumentList { items: kinds_of(order.kind).iter().map(entry).collect(), next_cursor: None })
}

/// One document. It is a reprint where the caller says so, or where the order, or the closing of the shift,
/// is older than [`ORIGINAL_FOR`].
///
/// # Errors
/// 403 `role_required`; 404 `document_not_found` also where the order is not final, or the order or shift has
/// no such document or is out of the caller's reach; 422 `document_too_large`, `document_too_many_entries` where it is
/// none in few words either.
pub async fn get(
    ports: &Ports,
    caller: &Caller,
    document_id: &str,
    format: Format,
    reprint: bool,
) -> Result<Rendered> {
    caller.require_role(&READERS)?;
    let none_such = || not_found(NO_SUCH_DOCUMENT);
    let id = DocumentId::parse(document_id).ok_or_else(none_such)?;
    let kind = id.kind;
    if kind.is_of_shift() {
        return shift_report::get(ports, caller, &id, format, reprint).await;
    }
    let order = order_in_reach(ports, caller, &id.owner_id).await?.ok_or_else(none_such)?;
    if !kinds_of(order.kind).contains(&kind) {
        return Err(none_such().into());
    }
    let recorded_at = order.finalized.as_ref().map_or(Timestamp::UNIX_EPOCH, |done| done.recorded_at);
    let is_late = is_late(ports.environment.now(), recorded_at);
    let templates = Templates { ports, scope: &caller.scope };
    let (template, store, original) = try_join!(
        templates.at(kind, format, recorded_at),
        store(ports, &caller.scope, &order.store_id),
        original_of(ports, &caller.scope, &order),
    )?;
    let order = order_document(&order, original.as_ref(), store, reprint || is_late)?;
    let data = DocumentData::Order(Box::new(order));
    let template = template.filter(|template| tells_undone(kind, format, &data, template));
    rendered(kind, format, &data, template.as_ref())
}

/// What a refusal says of a document that is not there.
pub(super) const NO_SUCH_DOCUMENT: &str = "there is no such document";

/// The refusal of a document that is not there, and of one that is out of reach.
pub(super) fn not_found(detail: impl Into<String>) -> Refusal {
    Refusal::not_found("document_not_found", detail)
}

/// Whether what was recorded at a time is printed as a reprint only.
pub(super) fn is_late(now: Timestamp, recorded_at: Timestamp) -> bool {
    now.duration_since(recorded_at) >= ORIGINAL_FOR
}

/// Whether a template makes another document of a voided or cancelled sale than of one that stands. Older
/// templates do not know of it: for such a sale the built-in one takes their place, or a receipt would pass for
/// that of a sale that stands. One that fails is told of where it is used.
fn tells_undone(kind: Kind, format: Format, data: &DocumentData, template: &Template) -> bool {
    let DocumentData::Order(order) = data else { return true };
    if order.undone.is_none() {
        return true;
    }
    let standing = DocumentData::Order(Box::new(OrderDocument { undone: None, ..(**order).clone() }));
    let made = |data: &DocumentData| render(kind, format, data, Some(template)).map(|made| made.bytes);
    match (made(data), made(&standing)) {
        (Ok(undone), Ok(standing)) => undone != standing,
        _ => true,
    }
}

/// The media type as a client asks for it.
fn media_type(format: Format) -> &'static str {
    let whole = format.media_type();
    whole.split_once(';').map_or(whole, |(essence, _)| essence)
}

fn order_get(scope: &TenantScope, order_id: &str) -> Get {
    Get { table: Table::Orders, key: scope.cart(order_id), consistency: Consistency::Strong }
}

async fn order_in_reach(ports: &Ports, caller: &Caller, order_id: &str) -> Result<Option<Cart>> {
    let item = ports.database.get(order_get(&caller.scope, order_id)).await?;
    let order = item.as_ref().map(cart_of).transpose()?;
    Ok(order.filter(|order| order.finalized.is_some() && caller.reaches(&order.store_id)))
}

/// The sale that a return is of. Its number is on the return's receipt, also where the sale was another
/// store's.
async fn original_of(ports: &Ports, scope: &TenantScope, order: &Cart) -> Result<Option<Cart>> {
    let Some(sale) = order.return_of.as_ref().and_then(|head| head.original.as_ref()) else {
        return Ok(None);
    };
    let item = ports.database.get(order_get(scope, &sale.order_id)).await?;
    item.as_ref().map(cart_of).transpose()
}

/// The store as it is now, also one that was closed.
pub(super) async fn store(ports: &Ports, scope: &TenantScope, store_id: &str) -> Result<Store> {
    let item = ports.database.get(catalog_get(scope.location(store_id))).await?;
    let item = item.ok_or_else(|| Error::bug("the store of an order or a shift is in the catalogue"))?;
    Ok(store_of(&location_of(&item)?))
}

/// Makes a document by the tenant's template, or by the built-in one where that fails on these data: a
/// customer is not to go without a receipt because of its looks. What is wrong with it is logged. Where an order is too
/// much for one it is told in fewer words.
///
/// # Errors
/// 422 `document_too_large`, `document_too_many_entries`, `template_too_costly` where the order or shift is, in few words
/// too; a bug where the built-in template fails otherwise.
pub(super) fn rendered(
    kind: Kind,
    format: Format,
    data: &DocumentData,
    template: Option<&Template>,
) -> Result<Rendered> {
    let document = render_by(kind, format, data, template)?;
    Ok(Rendered { digest: digest(&document.bytes), document })
}

fn render_by(
    kind: Kind,
    format: Format,
    data: &DocumentData,
    template: Option<&Template>,
) -> Result<Document> {
    let by_tenant = template.map(|template| render(kind, format, data, Some(template)));
    match by_tenant {
        Some(Ok(document)) => return Ok(document),
        Some(Err(error)) => told(kind, template, &error),
        None => {}
    }
    let mut made = render(kind, format, data, None);
    for brevity in Brevity::ALL {
        if !made.as_ref().is_err_and(is_too_much) {
            break;
        }
        let Some(brief) = in_brief(kind, data, brevity) else { break };
        made = render(kind, format, &brief, None);
    }
    made.map_err(|error| match error {
        // Thousands of lines with long names: nobody's mistake, and no document either.
        error if is_too_much(&error) => {
            Refusal::new(RefusalKind::Invalid, error.code(), error.to_string()).into()
        }
        error => Error::bug(error),
    })
}

fn told(kind: Kind, template: Option<&Template>, error: &DocumentError) {
    let (id, version) = template.map(|template| (template.id(), template.version())).unwrap_or_default();
    tracing::warn!(%kind, template = id, version, code = error.code(), %error, "template failed");
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
