//! What the simulator works out without the system's code, and the order of its steps: public so that tests can work
//! it out by hand.

pub use super::books::{Books, Shop, part, worth};
pub use super::by_hand::{ASIDE, ByHand, Edit, Item as AsideItem, Sums, console_of};
pub use super::day_settings::{Course, DaySettings};
pub use super::invariants::corrected::{RIGHT, look as look_aside};
pub use super::invariants::lots::Shelf as LotShelf;
pub use super::price_book::PriceSet;
pub use super::rules::Rules;
pub use super::scheduler::Scheduler;
pub use super::supply_books::PurchaseLine;
pub use super::tenancy::{Tenancy, names_another};
pub use super::trouble::{Kind as TroubleKind, Trouble};
pub use super::world::Weather;
