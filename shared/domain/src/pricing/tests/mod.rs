//! What pricing promises, worked by hand and at random.

mod conditions;
mod discounts;
mod explanations;
mod fixtures;
mod large_orders;
mod multibuy_by_trial;
mod promotions;
mod published_examples;
mod random_orders;
mod random_runs;
mod rule_checks;
mod stacking;
mod storage;
mod taxes;
mod two_pools;
