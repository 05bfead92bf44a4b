//! What functions log: no line names two tenants.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber, span};

use super::super::set_up::TENANTS;
use super::super::world::mix;

/// Listens to the log of a run.
#[derive(Clone, Default)]
pub struct LogLines(Arc<Heard>);

#[derive(Default)]
struct Heard {
    is_crossed: AtomicBool,
    /// A number that is the same for the same lines.
    sum: AtomicU64,
    line: Mutex<Option<String>>,
}

impl LogLines {
    /// A number that is the same where the same lines were heard, in the same order.
    pub fn sum(&self) -> u64 {
        self.0.sum.load(Ordering::Relaxed)
    }

    /// A line that names two tenants, once there was one.
    pub fn crossed(&self) -> Option<String> {
        // Asked after every step.
        let is_crossed = self.0.is_crossed.load(Ordering::Relaxed);
        is_crossed.then(|| self.0.line.lock().unwrap_or_else(PoisonError::into_inner).take()).flatten()
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for LogLines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        // One thread: nobody writes it in between.
        let sum = text.0.bytes().fold(self.sum(), |sum, byte| mix(sum, u64::from(byte)));
        self.0.sum.store(sum, Ordering::Relaxed);
        if TENANTS.iter().filter(|tenant| text.0.contains(**tenant)).count() > 1 {
            *self.0.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.0);
            self.0.is_crossed.store(true, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
