//! Whatever stands in the data: 42 columns, no markup, no tags, no commands.

use proptest::prelude::*;
use tillstream_documents::{COLUMNS, DocumentData, Format, Kind, sample};
use unicode_width::UnicodeWidthStr;

use crate::escpos_reader::{Op, read};
use crate::fixtures::{made, with_texts};

const NASTY: [&str; 22] = [
    "茶碗蒸し茶碗蒸し茶碗蒸し茶碗蒸し茶碗蒸し茶碗蒸し",
    "👩\u{200d}👩\u{200d}👧👍🏽🇬🇧❤\u{fe0f}",
    "e\u{301}\u{302}\u{303}\u{304}\u{305}",
    "شاي بالنعناع",
    "לחם\u{202e}gnp.exe",
    "\u{1b}@\u{1b}p0\u{19}\u{fa}",
    "\u{1d}V\0\u{1d}(k",
    "\u{10}\u{14}\u{1}\u{0}\u{1}",
    "a\r\nb\nc\u{2028}d\u{85}e\u{b}f\u{c}g",
    "@cut",
    "@bold @double x",
    "a | b | c",
    "\\\\ \\",
    "<script>alert(1)</script>",
    "\" onload='x' <!-- & &lt; ]]>",
    "{{ order.totals }}{% for x in y %}",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "\u{1100}\u{1100}\u{1100}\u{1100}\u{1161}\u{11a8}",
    "\u{200b}\u{200b}\u{200d}\u{ad}\u{feff}",
    "ﷺ\u{12031}\u{a9c5}",
    "\u{644}\u{627}\u{644}\u{627}",
    " ",
];

fn text() -> impl Strategy<Value = String> {
    let nasty = proptest::sample::select(NASTY.to_vec()).prop_map(str::to_owned);
    let any = proptest::collection::vec(any::<char>(), 1..40).prop_map(String::from_iter);
    let control = proptest::collection::vec(proptest::char::range('\0', '\u{9f}'), 1..30);
    let wide = proptest::collection::vec(proptest::char::range('\u{300}', '\u{3fff}'), 1..60);
    let parts =
        prop_oneof![nasty, any, control.prop_map(String::from_iter), wide.prop_map(String::from_iter),];
    proptest::collection::vec(parts, 1..5).prop_map(|parts| parts.concat().chars().take(300).collect())
}

/// The data with these texts in its fields, one after the other.
fn filled(kind: Kind, texts: &[String]) -> DocumentData {
    let mut all = texts.iter().cycle();
    with_texts(&sample::reprint(kind), &mut |_| all.next().unwrap().clone())
}

/// Every tag of a page, in order.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).map(|part| part.split('>').next().unwrap()).collect()
}

fn check_text(bytes: Vec<u8>) {
    let text = String::from_utf8(bytes).unwrap();
    for line in text.lines() {
        assert!(line.width() <= COLUMNS, "{} columns: {line:?}", line.width());
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

fn check_page(kind: Kind, texts: &[String]) {
    let page = String::from_utf8(made(kind, Format::Html, &filled(kind, texts)).bytes).unwrap();
    let plain = made(kind, Format::Html, &filled(kind, &["x".to_owned()])).bytes;
    assert_eq!(tags(&page), tags(&String::from_utf8(plain).unwrap()), "data became tags");
    let body = page.split_once("<body>").unwrap().1;
    for entity in body.split('&').skip(1) {
        let name = entity.split(';').next().unwrap();
        let known = ["lt", "gt", "amp", "quot", "#x27", "#x2f"];
        assert!(known.contains(&name), "&{name:.20} was not escaped");
    }
    assert!(!page.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{page:?}");
    assert!(!page.contains(['\u{202e}', '\u{2066}']), "what turns amounts around");
}

fn check_commands(kind: Kind, texts: &[String]) {
    let data = filled(kind, texts);
    let bytes = made(kind, Format::Escpos, &data).bytes;
    let ops = read(&bytes).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(ops.iter().filter(|op| **op == Op::Initialise).count(), 1);
    assert_eq!(ops.iter().filter(|op| matches!(op, Op::Cut(..))).count(), 1);
    // Styles are set where a line begins and nowhere within it, and no line is too long.
    let (mut columns, mut double) = (0, false);
    for op in &ops {
        match op {
            Op::Text(text) => {
                columns += text.len() * if double { 2 } else { 1 };
                assert!(columns <= COLUMNS, "{columns} columns");
            }
            Op::LineFeed => columns = 0,
            Op::Size(size) => double = *size != 0,
            _ => {}
        }
        let is_within = columns > 0 && !matches!(op, Op::Text(_));
        assert!(!is_within, "{op:?} within a line");
    }
    // Without what cannot be printed it is the same paper, byte for byte.
    let plain = with_texts(&data, &mut |text| {
        let spaced = |c: char| if "\n\r\t\u{b}\u{c}\u{85}\u{2028}\u{2029}".contains(c) { ' ' } else { c };
        text.replace("\r\n", "\n").chars().map(spaced).filter(|c| !c.is_control()).collect()
    });
    let has_text = |data: &DocumentData| {
        let mut all = true;
        with_texts(data, &mut |text| {
            all &= !text.is_empty();
            text.to_owned()
        });
        all
    };
    if has_text(&plain) {
        let is_same = made(kind, Format::Escpos, &plain).bytes == bytes;
        assert!(is_same, "a control character left a trace");
    }
}

#[test]
fn every_nasty_text_in_every_field() {
    for kind in Kind::ALL {
        for nasty in NASTY {
            let texts = [nasty.to_owned(), nasty.repeat(300).chars().take(300).collect()];
            check_text(made(kind, Format::Text, &filled(kind, &texts)).bytes);
            check_page(kind, &texts);
            check_commands(kind, &texts);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 4 / 5, ..ProptestConfig::default() })]

    #[test]
    fn no_line_is_longer_than_the_paper(kind in proptest::sample::select(Kind::ALL.to_vec()), texts in proptest::collection::vec(text(), 7)) {
        check_text(made(kind, Format::Text, &filled(kind, &texts)).bytes);
    }

    #[test]
    fn no_text_becomes_a_tag(kind in proptest::sample::select(Kind::ALL.to_vec()), texts in proptest::collection::vec(text(), 7)) {
        check_page(kind, &texts);
    }

    #[test]
    fn no_text_becomes_a_command(kind in proptest::sample::select(Kind::ALL.to_vec()), texts in proptest::collection::vec(text(), 7)) {
        check_commands(kind, &texts);
    }
}

#[test]
fn columns_align_whatever_they_hold() {
    let names = ["Tea", "茶", "Café", "Cafe\u{301}", "👩\u{200d}👩\u{200d}👧", "لا"];
    for name in names {
        let data = with_texts(&sample::full(Kind::Receipt), &mut |_| name.to_owned());
        let text = String::from_utf8(made(Kind::Receipt, Format::Text, &data).bytes).unwrap();
        let row = text.lines().find(|line| line.contains(name) && line.ends_with(" 7.46")).unwrap();
        assert_eq!(row.width(), COLUMNS, "{row:?}");
    }
}
