//! Routes of alerts at the reorder point, of what to order, and of how fast stock moves.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use tillstream_app::stock::{
    alerts as stock_alerts, suggestions as order_suggestions, turnover as stock_turnover,
};
use tillstream_contracts::replenishment::{OrderSuggestionQuery, StockAlertQuery};
use tillstream_contracts::turnover::StockTurnoverQuery;
use tillstream_runtime::Problem;
use tillstream_runtime::http::{Authenticated, QueryParams};

use crate::{READERS, Services};

pub(crate) async fn alerts(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<StockAlertQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require_role(&READERS)?;
    Ok(Json(stock_alerts::list(&services.ports, &caller, &query).await?))
}

pub(crate) async fn suggestions(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<OrderSuggestionQuery>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(order_suggestions::list(&services.ports, &caller, &query).await?))
}

pub(crate) async fn turnover(
    State(services): State<Services>,
    Authenticated(caller): Authenticated,
    QueryParams(query): QueryParams<StockTurnoverQuery>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(stock_turnover::list(&services.ports, &caller, &query).await?))
}
