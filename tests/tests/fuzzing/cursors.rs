//! Cursors of lists.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::collection::vec;
use proptest::prelude::*;
use tillstream_app::cursor::PagedQuery;
use tillstream_app::tenancy::TenantScope;

use crate::alterations::{altered_text, any_bytes, any_text};
use crate::guarded;

fn query(filters: &[String]) -> PagedQuery {
    PagedQuery::new(&TenantScope::from_own_record("t"), "orders", filters.iter().map(String::as_str))
}

fn given() -> Vec<String> {
    ["", "85123A", "[1,2]", "{\"pk\":\"t#s\",\"sk\":\"0001#o\"}"]
        .map(|position| query(&[]).cursor(position))
        .to_vec()
}

proptest! {
    #[test]
    fn a_cursor_leads_back_to_its_position(filters in vec(any_text(), 0..4), position in any_text()) {
        let query = query(&filters);
        prop_assert_eq!(query.position(&query.cursor(&position)).unwrap(), position);
    }

    #[test]
    fn another_query_refuses_it(
        filters in vec(any_text(), 0..4),
        others in vec(any_text(), 0..4),
        position in any_text(),
    ) {
        let read = query(&others).position(&query(&filters).cursor(&position));
        prop_assert_eq!(read.is_ok(), filters == others);
    }

    #[test]
    fn what_was_not_given_is_refused(
        cursor in prop_oneof![
            3 => altered_text(given()),
            1 => any_text(),
            1 => any_bytes().prop_map(|bytes| URL_SAFE_NO_PAD.encode(bytes)),
        ],
    ) {
        let read = guarded(cursor.len(), 20, || {
            let _ = query(&[]).typed_position::<Vec<u64>>(&cursor);
            query(&[]).position(&cursor)
        });
        match read {
            Ok(_) => prop_assert!(given().contains(&cursor)),
            Err(error) => prop_assert_eq!(error.code(), Some("cursor_malformed")),
        }
    }
}
