//! A reprint says that it is one.

use tillstream_documents::{Format, Kind, Template, TemplateFormat, sample};

use crate::fixtures::{made, read_by_people, source};

#[test]
fn every_kind_says_so_in_every_format() {
    for kind in Kind::ALL {
        for format in Format::ALL {
            let first = read_by_people(&made(kind, format, &sample::full(kind)));
            let second = read_by_people(&made(kind, format, &sample::reprint(kind)));
            assert!(!first.contains("REPRINT"), "{kind} as {format}");
            assert!(second.contains("REPRINT"), "{kind} as {format}:\n{second}");
        }
    }
}

#[test]
fn a_template_that_hides_it_is_not_taken_in() {
    for kind in Kind::ALL {
        for format in TemplateFormat::ALL {
            let refused = Template::check(source(kind, format, "Thank you\n")).unwrap_err();
            assert_eq!(refused.code(), "template_hides_reprint");
        }
    }
}
