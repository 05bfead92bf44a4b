//! stub until merge
use crate::{Ports, Result, database::Write, pos::context::CommandContext};
use tillstream_domain::cart::{Cart, StockMove};
/// x
pub async fn commit_into_order(
    _: &Ports,
    _: &CommandContext,
    _: &str,
    _: &Cart,
    _: &[StockMove],
) -> Result<Vec<Write>> {
    Ok(vec![])
}
