//! Gift cards and customers' accounts: what is paid by them is taken once, what goes back goes back once, and a
//! balance is the sum of its movements and never below zero.

mod administration;
mod at_once;
mod fixture;
mod given_up;
mod lifecycles;
mod one_fault;
mod other_ways;
mod tendering;
mod with_others;
