//! What a delivery is about: a version of an order, or a closed shift.
//!
//! An order is told by its id. A shift is told by a tilde and its id: no order's id begins so.

use tillstream_domain::identifier::check_id;

const SHIFT: char = '~';

/// What stands for a shift where an order's id would stand.
pub fn of_shift(shift_id: &str) -> String {
    format!("{SHIFT}{shift_id}")
}

/// The id of a shift, if it is one that `subject` is about.
pub fn shift_in(subject: &str) -> Option<&str> {
    subject.strip_prefix(SHIFT)
}

/// Whether `text` is an order's id, or stands for a shift.
pub fn is_subject(text: &str) -> bool {
    check_id(shift_in(text).unwrap_or(text)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_order_is_taken_for_a_shift() {
        assert_eq!(shift_in(&of_shift("sh-1")), Some("sh-1"));
        assert_eq!(shift_in("sh~1"), None);
        for (text, is) in
            [("o-1", true), ("~sh-1", true), ("~~sh", false), ("~", false), ("", false), ("a#b", false)]
        {
            assert_eq!(is_subject(text), is, "{text}");
        }
        assert!(check_id(&of_shift("sh-1")).is_err(), "a client can call no order so");
    }
}
