//! Which mutant is switched on in this process, and which could have been: in no build but that of
//! `make mutants`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

/// More than there are.
const MUTANTS: usize = 20_000;

static ACTIVE: LazyLock<usize> =
    LazyLock::new(|| std::env::var("MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(0));
static REACHED: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
    let path = std::env::var("MUTANTS_REACHED").ok()?;
    OpenOptions::new().append(true).create(true).open(path).ok().map(Mutex::new)
});
static SEEN: [AtomicBool; MUTANTS] = [const { AtomicBool::new(false) }; MUTANTS];

/// Whether the mutant of this number, from 1, is on.
#[inline]
pub fn on(number: usize) -> bool {
    if *ACTIVE == 0 {
        reach(number);
    }
    *ACTIVE == number
}

fn reach(number: usize) {
    if let (Some(file), Some(seen)) = (REACHED.as_ref(), SEEN.get(number))
        && !seen.swap(true, Ordering::Relaxed)
    {
        let _ = writeln!(file.lock().unwrap_or_else(PoisonError::into_inner), "{number}");
    }
}
