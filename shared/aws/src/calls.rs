//! Sending many things in calls that take few.

use std::ops::Range;

use futures::future::BoxFuture;
use tillstream_app::{Error, Result};

/// Sends `items`, whose sizes are `sizes`, in calls of at most `most` items and `bytes_max` bytes; `send`
/// answers which of a call's items were not taken. Answers that for all of them: a call that failed for now
/// took none of its items.
///
/// # Errors
/// The last call's where every call failed for now; a bug at once.
pub(crate) async fn send_in_calls<'a, T>(
    items: &'a [T],
    sizes: &[usize],
    most: usize,
    bytes_max: usize,
    send: impl Fn(&'a [T]) -> BoxFuture<'a, Result<Vec<usize>>>,
) -> Result<Vec<usize>> {
    let (mut failed, mut failure, mut answered) = (Vec::new(), None, false);
    for call in runs(sizes, most, bytes_max) {
        match send(items.get(call.clone()).unwrap_or_default()).await {
            Ok(positions) => {
                answered = true;
                failed.extend(positions.into_iter().map(|position| call.start + position));
            }
            Err(error @ Error::Retryable { .. }) => {
                failed.extend(call);
                failure = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match failure {
        Some(error) if !answered => Err(error),
        _ => Ok(failed),
    }
}

/// Cuts positions `0..sizes.len()` into runs of at most `most` that sum to at most `bytes_max`.
fn runs(sizes: &[usize], most: usize, bytes_max: usize) -> Vec<Range<usize>> {
    let (mut runs, mut start, mut bytes) = (Vec::new(), 0, 0_usize);
    for (position, size) in sizes.iter().enumerate() {
        let full = position - start >= most || bytes.saturating_add(*size) > bytes_max;
        if full && position > start {
            runs.push(start..position);
            (start, bytes) = (position, 0);
        }
        bytes = bytes.saturating_add(*size);
    }
    if start < sizes.len() {
        runs.push(start..sizes.len());
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_stay_within_count_and_bytes() {
        assert_eq!(runs(&[], 2, 10), Vec::<Range<usize>>::new());
        assert_eq!(runs(&[1, 1, 1], 2, 10), vec![0..2, 2..3]);
        assert_eq!(runs(&[6, 6, 4], 9, 10), vec![0..1, 1..3]);
        assert_eq!(runs(&[20], 9, 10), vec![0..1]);
    }
}
