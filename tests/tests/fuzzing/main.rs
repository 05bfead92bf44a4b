//! Everything that reads what comes from outside, on input of two kinds: arbitrary, and valid but
//! altered. Whatever comes in: nothing panics, what is refused is refused with an error, what was written
//! reads back as it was, and reading takes memory in proportion to the input, not to what it claims.
//!
//! `make test` has each property draw the same cases every time; `make fuzz` draws others, and more of them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

use std::cell::Cell;
use std::panic;
use std::sync::Once;

mod alterations;
mod commands;
mod cursors;
mod feeds;
mod json;
mod records;
mod requests;
mod samples;
mod shifts;
mod stored;
mod texts;
mod tokens;

/// What reading may take whatever the input: tables, messages of errors, buffers of a first size, and the
/// OpenAPI document, the largest answer of all.
const MEMORY_FLOOR: u64 = 4 * 1024 * 1024;

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Counts panics of this thread, also those that the code under test catches.
fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            PANICS.set(PANICS.get() + 1);
            usual(what);
        }));
    });
}

/// Runs what reads `input` bytes, and fails where it panicked or held more memory at once than a floor
/// and `factor` times its input.
#[track_caller]
fn guarded<T>(input: usize, factor: u64, read: impl FnOnce() -> T) -> T {
    count_panics();
    let before = PANICS.get();
    let mut result = None;
    // Caught within: the counter takes no notice of a panic that leaves it.
    let used = allocation_counter::measure(|| {
        result = Some(panic::catch_unwind(panic::AssertUnwindSafe(read)));
    });
    let result = result.unwrap().unwrap_or_else(|what| panic::resume_unwind(what));
    assert_eq!(PANICS.get(), before, "it panicked");
    let most = MEMORY_FLOOR + factor * input as u64;
    assert!(used.bytes_max <= most, "{} bytes for an input of {input}", used.bytes_max);
    result
}

/// The same for what waits.
#[track_caller]
fn guarded_async<T>(input: usize, factor: u64, read: impl Future<Output = T>) -> T {
    let runtime = runtime();
    guarded(input, factor, || runtime.block_on(read))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}
