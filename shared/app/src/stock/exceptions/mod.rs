//! Exceptions: tasks for people, where the books and the shop disagree. One is opened
//! - where a count, a raised safety stock, or a lot that was recalled or is past its day left less than is promised
//!   (`below_promised`, one per stock item);
//!   a later count or feed line that finds enough resolves it by itself, if nobody has;
//! - where a register that was cut off sold more than there was (`oversold_offline`, one per order and SKU);
//! - where goods were sold or held before anybody told their stock, as policies allow it (`unsynced_stock`, one per
//!   order or reservation and SKU);
//! - where such a register, or another system, gave a coupon or promotion more often than its limit allows
//!   (`uses_above_limit`, one per order and coupon or promotion);
//! - where such a register asked another total for a sale than its lines come to, or made an exchange without saying
//!   what it asked, and change went back that no payment told of, or gave back more cash for a return than its lines come
//!   to (`total_differs`, one per order);
//! - where such a register moved cash, opened its drawer or voided a sale without the approval that it needed
//!   (`cash_not_approved`, one per command);
//! - where such a register, or another system, told of a sale after the goods were counted that it had taken before
//!   (`sold_before_count`, one per order and SKU);
//! - where goods that have left the shop were said to be of a lot that they cannot be of, or that was not for sale
//!   (`lot_mismatch`, one per order, SKU, lot and problem);
//! - where what stock says of itself differs (`difference`, see [`crate::stock::reconciliation`]).
//!
//! Somebody looks at each and says how it was settled. The stock itself is corrected by a count, or, of a difference,
//! by its own correction; uses are given back by undoing the sale, which closes no exception: what happened is still
//! to be looked into.

mod goods;
mod opening;
mod promised;
mod read;
mod resolving;
mod sales;

pub(super) use goods::{LotMismatch, lot_mismatch_id, lot_mismatch_write};
pub use goods::{Oversold, SoldBeforeCount, oversold_id, oversold_write, sold_before_count_write};
pub(super) use promised::below_promised_id;
pub use promised::{below_promised, below_promised_get, exception_write, is_standing_open};
pub use read::list;
pub(super) use read::shown_exception;
pub(super) use resolving::{KEYS_USED, check_not_used_before, keys_used_from_now};
pub use resolving::{Resolved, resolve};
pub use sales::{
    AboveLimit, CashNotApproved, TotalDiffers, above_limit_write, cash_not_approved_write,
    total_differs_write,
};
