//! How long threads were on a processor, as Linux counts it (`/proc`, `schedstat`): not how long they waited.
//!
//! Linux brings a thread's count up to date when the thread leaves its processor, and at each tick of the clock, of which
//! there may be as few as a hundred a second. Between these a running thread reads what was true then: of work of
//! less than a tick that may be all of it, or none. So whoever measures such work leaves the processor before each reading.

use std::io::{Error, Result};
use std::path::Path;
use std::time::Duration;

/// Long enough to leave the processor, and short beside anything that is measured.
const PAUSE: Duration = Duration::from_micros(50);

/// The time that the calling thread was on a processor until now. Pauses: what it takes to wake up and read is measured
/// with what comes next, some microseconds.
///
/// # Errors
/// Where the system does not tell it.
pub fn of_this_thread() -> Result<Duration> {
    std::thread::sleep(PAUSE);
    read(Path::new("/proc/thread-self/schedstat"))
}

/// The time that the threads of this process that have this name were on a processor until a moment ago (a tick), all
/// together. Threads that have ended are not among them.
///
/// # Errors
/// Where the system does not tell it, or there is no such thread.
pub fn of_threads_named(name: &str) -> Result<Duration> {
    let mut sum: Option<Duration> = None;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let folder = thread?.path();
        // One that has ended since it was listed is not there.
        if std::fs::read_to_string(folder.join("comm")).is_ok_and(|comm| comm.trim_end() == name) {
            sum = Some(sum.unwrap_or_default() + read(&folder.join("schedstat"))?);
        }
    }
    sum.ok_or_else(|| Error::other(format!("no thread is called {name}")))
}

/// Of the three numbers the first: nanoseconds on a processor.
fn read(schedstat: &Path) -> Result<Duration> {
    let text = std::fs::read_to_string(schedstat)?;
    let nanos = text.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    let nanos = nanos.ok_or_else(|| Error::other(format!("{}: {text}", schedstat.display())))?;
    Ok(Duration::from_nanos(nanos))
}
