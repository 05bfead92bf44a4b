//! What documents look like. `INSTA_UPDATE=always cargo test -p tillstream-documents` takes new looks over.

use tillstream_documents::{Format, Kind, Template, TemplateFormat, render, sample};

use crate::escpos_reader::listing;
use crate::fixtures::{made, source};

#[test]
fn every_kind_in_every_format() {
    for kind in Kind::ALL {
        for format in Format::ALL {
            let document = made(kind, format, &sample::full(kind));
            let readable = match format {
                Format::Escpos => listing(&document.bytes),
                _ => String::from_utf8(document.bytes).unwrap(),
            };
            insta::assert_snapshot!(format!("{kind}.{format}"), readable);
        }
    }
}

#[test]
fn every_kind_with_the_least() {
    for kind in Kind::ALL {
        let document = made(kind, Format::Text, &sample::least(kind));
        insta::assert_snapshot!(format!("{kind}.least"), String::from_utf8(document.bytes).unwrap());
    }
}

#[test]
fn the_same_data_gives_the_same_bytes() {
    for kind in Kind::ALL {
        for format in Format::ALL {
            let data = sample::full(kind);
            assert_eq!(made(kind, format, &data), made(kind, format, &data));
        }
    }
}

#[test]
fn built_in_templates_would_be_taken_in() {
    for kind in Kind::ALL {
        for format in TemplateFormat::ALL {
            let built_in = Template::built_in(kind, format);
            let taken = Template::check(source(kind, format, built_in.source()));
            assert_eq!(taken.map(|template| template.source().to_owned()), Ok(built_in.source().to_owned()));
        }
    }
}

#[test]
fn a_tenants_template_replaces_the_built_in_one() {
    let text = "@center Only {{ order.totals.total|money }}{% if order.reprint %} again{% endif +%}\n@cut\n";
    let template = Template::check(source(Kind::Receipt, TemplateFormat::Paper, text)).unwrap();
    let document =
        render(Kind::Receipt, Format::Text, &sample::full(Kind::Receipt), Some(&template)).unwrap();
    assert_eq!(document.bytes, format!("{}Only GBP 18.18\n", " ".repeat(14)).into_bytes());
    assert_eq!((template.id(), template.version()), ("t-1", 1));

    for (kind, format) in [(Kind::MerchantCopy, Format::Text), (Kind::Receipt, Format::Html)] {
        let refused = render(kind, format, &sample::full(kind), Some(&template)).unwrap_err();
        assert_eq!(refused.code(), "wrong_template");
    }
}

#[test]
fn a_kind_is_made_from_its_own_data() {
    for (kind, other) in [(Kind::Receipt, Kind::ZReport), (Kind::XReport, Kind::Receipt)] {
        let refused = render(kind, Format::Text, &sample::full(other), None).unwrap_err();
        assert_eq!(refused.code(), "wrong_document_data");
    }
}

#[test]
fn pages_ask_for_nothing_from_elsewhere() {
    for kind in Kind::ALL {
        let page = String::from_utf8(made(kind, Format::Html, &sample::full(kind)).bytes).unwrap();
        for word in ["http:", "https:", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(word), "{kind} has {word}");
        }
    }
}
