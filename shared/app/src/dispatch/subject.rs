//! What a delivery is about: a version of an order, a closed shift, a backorder or an alert.
//!
//! An order is told by its id. A shift is told by a tilde and its id, a backorder and an alert by an underscore, their
//! kind and their id: no order's id begins so.

use tillstream_domain::identifier::check_id;

const SHIFT: char = '~';
const BACKORDER: &str = "_backorder:";
const ALERT: &str = "_alert:";

/// What stands for a shift where an order's id would stand.
pub fn of_shift(shift_id: &str) -> String {
    format!("{SHIFT}{shift_id}")
}

/// The id of a shift, if it is one that `subject` is about.
pub fn shift_in(subject: &str) -> Option<&str> {
    subject.strip_prefix(SHIFT)
}

/// What stands for a backorder.
pub fn of_backorder(backorder_id: &str) -> String {
    format!("{BACKORDER}{backorder_id}")
}

/// What stands for an alert.
pub fn of_alert(alert_id: &str) -> String {
    format!("{ALERT}{alert_id}")
}

/// The id of a backorder or an alert, if it is one that `subject` is about.
pub fn stock_in(subject: &str) -> Option<&str> {
    subject.strip_prefix(BACKORDER).or_else(|| subject.strip_prefix(ALERT))
}

/// The id of whatever `subject` is about.
pub fn id_in(subject: &str) -> &str {
    shift_in(subject).or_else(|| stock_in(subject)).unwrap_or(subject)
}

/// Whether `text` is an order's id, or stands for something else.
pub fn is_subject(text: &str) -> bool {
    check_id(id_in(text)).is_ok()
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

    #[test]
    fn no_order_is_taken_for_a_backorder_or_an_alert() {
        for subject in [of_backorder("b-1"), of_alert("b-1")] {
            assert_eq!((stock_in(&subject), shift_in(&subject), id_in(&subject)), (Some("b-1"), None, "b-1"));
            assert!(is_subject(&subject));
            assert!(check_id(&subject).is_err(), "a client can call no order so");
        }
        assert_ne!(of_backorder("b-1"), of_alert("b-1"));
        for text in ["_b-1", "_backorder:", "_alert:a#b", "backorder:b-1x/"] {
            assert!(!is_subject(text), "{text}");
        }
        assert_eq!(stock_in("backorder:b-1"), None, "an order may be called so");
    }
}
