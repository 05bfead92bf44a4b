//! Templates that mean harm: each ends soon, in little memory, with its own code.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use tillstream_documents::{
    DOCUMENT_BYTES_MAX, DocumentData, DocumentError, Format, Kind, TEMPLATE_BYTES_MAX, Template,
    TemplateFormat, TemplateSource, render, sample,
};

use crate::fixtures::{checked, longest_order, source, with};

/// Most memory at once, beside the data: what the engine holds of the longest order, and of a document
/// and what it is laid out from.
const MEMORY_MAX: u64 = 16 * 1024 * 1024;

/// How long this thread has been running: what else the machine does must not fail a test. Linux tells it
/// in nanoseconds; elsewhere it is the time on the clock.
fn running_time(since: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

/// What `work` gives, which may take neither long nor much.
fn bounded<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let begun = running_time(started);
    let mut result = None;
    let memory = allocation_counter::measure(|| result = Some(work()));
    let took = running_time(started) - begun;
    println!("{took:>12?} {:>12} bytes {name:.60?}", memory.bytes_max);
    assert!(took < Duration::from_secs(1), "{name:.80} took {took:?}");
    assert!(memory.bytes_max < MEMORY_MAX, "{name:.80} took {} bytes", memory.bytes_max);
    result.unwrap()
}

fn code_of(format: TemplateFormat, text: &str) -> String {
    let name: String = text.chars().take(60).collect();
    match bounded(&name, || checked(format, text)) {
        Ok(_) => format!("{name} was taken in"),
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn what_the_language_does_not_have_is_told_at_intake() {
    let doubling = "{% set x = x ~ x %}".repeat(60);
    let not_allowed = [
        // Loops without end, and other ways to go on forever.
        "{% for x in range(1000000000) %}x{% endfor %}",
        "{{ range(1000000000) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('x') }}",
        "{% for line in order.lines recursive %}{{ loop(order.lines) }}{% endfor %}",
        "{% for line in order.lines recursive %}x{% endfor %}",
        "{% for line in order.lines %}{{ loop.cycle(1, 2) }}{% endfor %}",
        // Texts that grow.
        "{{ \"x\" * 1000000000 }}",
        "{% set x = \"x\" * 100000000 %}{{ x }}",
        "{{ \"x\" * 10 ** 9 }}",
        &format!("{{% set x = 'x' %}}{doubling}{{{{ x }}}}"),
        "{{ 'a' + 'b' }}",
        &format!("{{{{ '{}' }}}}", "x".repeat(501)),
        &format!("{{{{ {} }}}}", "'xxxxxxxxxx' ".repeat(60)),
        "{% set x %}xxxxxxxx{% endset %}{{ x }}",
        "{% set x | upper %}x{% endset %}",
        "{{ [order, order] }}",
        "{{ [[[[1]]]] }}",
        "{{ {'a': order} }}",
        "{{ (order, order) }}",
        "{{ order.lines[0] }}",
        "{{ order.lines[::-1] }}",
        // Work on all of the data at each step.
        "{{ order == order }}",
        "{{ order.lines < order.lines }}",
        "{% if 'x' in order.lines %}{% endif %}",
        "{{ order }}",
        "{{ order.lines or order.taxes }}",
        "{% set x = order.lines %}",
        "{{ (order if order.reprint else order) == order }}",
        // Amounts worked out.
        "{{ order.totals.total.amount + 1 }}",
        "{{ order.totals.total.amount - 1 }}",
        "{{ -order.totals.total.amount }}",
        "{{ order.totals.total.amount / 100 }}",
        "{{ order.totals.total.amount // 100 }}",
        "{{ order.totals.total.amount % 100 }}",
        // Escaping switched off, other templates, the outside.
        "{% autoescape false %}{{ order.store.name }}{% endautoescape %}",
        "{% filter upper %}x{% endfilter %}",
        "{% include 'other' %}",
        "{% extends 'other' %}",
        "{% import 'other' as other %}",
        "{% from 'other' import x %}",
        "{% block x %}{% endblock %}",
        "{% call x() %}{% endcall %}",
        "{% do order.x() %}",
        "{% with x = 1 %}{% endwith %}",
        "{{ now() }}",
        "{{ env('PATH') }}",
        "{{ debug() }}",
        "{{ order.store.name.upper() }}",
        "{% set order = 1 %}",
        "{% set order.x = 1 %}",
        "{% set a, b = 1, 2 %}",
        "{% for a, b in order.lines %}{% endfor %}",
        "{% for x in order.store.name %}{% endfor %}",
        "{{ order.store.name|default('x', true) }}",
        "{{ order.store.name|default(x='x') }}",
        "{{ order.store.name|money }}",
        "{{ order.totals|upper }}",
        "{{ order.store.name|length }}",
        "{{ order.store.name.x }}",
    ];
    for text in not_allowed {
        for format in TemplateFormat::ALL {
            assert_eq!(code_of(format, &with(text)), "template_not_allowed", "{text}");
        }
    }
}

#[test]
fn names_that_are_not_there_are_told_at_intake_wherever_they_stand() {
    for text in [
        "{{ order.store.nmae }}",
        "{{ ordr.store.name }}",
        "{{ line.name }}",
        "{% for line in order.lines %}{{ line.nmae }}{% endfor %}",
        // Where no sample comes by.
        "{% if order.reprint and not order.reprint %}{{ order.nmae }}{% endif %}",
        "{% if order.store.name == 'Nobody' %}{{ order.nmae }}{% else %}{% endif %}",
        "{% if order.store.name %}{% else %}{{ order.nmae }}{% endif %}",
        "{% for line in order.lines if line.nmae %}{% endfor %}",
        "{% for line in order.lines %}{% else %}{{ order.nmae }}{% endfor %}",
        "{{ 'a' if order.reprint else order.nmae }}",
        "{% for line in order.lines %}{% endfor %}{{ loop.index }}",
        "{% for line in order.lines if loop.first %}{% endfor %}",
        "{% for line in order.lines %}{% set x = line.name %}{% endfor %}{{ x }}",
        "{{ order.store.name|uper }}",
        "{{ order.store.name|safe }}",
        "{{ order.store.name|format }}",
        "{{ order.store.name|center(1000000000) }}",
        "{{ order.store.name|replace('a', 'aaaaaaaaaa') }}",
        "{{ order.lines|join('x') }}",
        "{% if order is sameas order %}{% endif %}",
    ] {
        for format in TemplateFormat::ALL {
            assert_eq!(code_of(format, &with(text)), "template_unknown_name", "{text}");
        }
    }
    // What may be missing is known, and needs no question before it.
    assert!(
        checked(TemplateFormat::Html, &with("{{ order.customer.name }}{{ order.original.order_id }}"))
            .is_ok()
    );
    let error = checked(TemplateFormat::Html, "\n\n{{ order.store.nmae }}").unwrap_err();
    let expected = "line 3: there is no \"nmae\"; there are: address_lines, id, name, tax_id";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_name_that_is_gone_stands_for_nothing_later() {
    let text = with("[{{ order.gone.for_good }}{% for x in order.gone %}{{ x.y|money }}{% endfor %}]");
    assert_eq!(code_of(TemplateFormat::Paper, &text), "template_unknown_name");
    let template = Template::load(source(Kind::Receipt, TemplateFormat::Paper, text)).unwrap();
    let data = sample::full(Kind::Receipt);
    assert_eq!(render(Kind::Receipt, Format::Text, &data, Some(&template)).unwrap().bytes, b"[]\n");
    // The language is checked at every load all the same.
    let text = "{{ order.gone ~ order.gone }}";
    let refused = Template::load(source(Kind::Receipt, TemplateFormat::Paper, text)).unwrap_err();
    assert_eq!(refused.code(), "template_not_allowed");
}

#[test]
fn syntax_errors_have_their_line() {
    for (text, line) in [
        ("a\n{{ order.", 2),
        ("\n\n{% if order.reprint %}", 3),
        ("{% for line order.lines %}{% endfor %}", 1),
        ("a\nb\n{{ 'x }}", 3),
        ("{{ 'a' 1 }}", 1),
        ("{# no end", 1),
    ] {
        match checked(TemplateFormat::Html, text) {
            Err(DocumentError::TemplateSyntax { line: told, reason }) => {
                assert_eq!(told, line, "{text:?}: {reason}");
                assert!(!reason.is_empty());
            }
            other => panic!("{text:?} gave {other:?}"),
        }
    }
}

#[test]
fn unknown_tags_of_the_markup_are_told_with_their_line() {
    for text in ["a\n@centre x", "a\n@bold @centre x", "{{ order.order_id }}\n@centre x"] {
        let error = checked(TemplateFormat::Paper, &with(text)).unwrap_err();
        assert_eq!(error.code(), "template_not_allowed", "{error}");
        assert!(error.to_string().starts_with("line 3: there is no @centre"), "{error}");
    }
    for text in ["\\@centre x", "a @centre x", "{{ order.order_id }}@centre x", "@Tillstream", "@ 1"] {
        assert!(checked(TemplateFormat::Paper, &with(text)).is_ok(), "{text}");
    }
    assert!(checked(TemplateFormat::Html, &with("@media print")).is_ok());
}

#[test]
fn control_characters_of_a_template_reach_neither_text_nor_printer() {
    let text = with("@bold \u{1b}p0\u{19}a\u{7f}\u{9b}\tb\r\n@columns \u{1d}V\0 | \u{10}\n@qr \u{1b}@\n");
    let template = checked(TemplateFormat::Paper, &text).unwrap();
    let data = sample::full(Kind::Receipt);
    let document = render(Kind::Receipt, Format::Text, &data, Some(&template)).unwrap();
    let shown = String::from_utf8(document.bytes).unwrap();
    assert!(!shown.chars().any(|character| character.is_control() && character != '\n'), "{shown:?}");
    let document = render(Kind::Receipt, Format::Escpos, &data, Some(&template)).unwrap();
    assert!(!document.bytes.windows(2).any(|bytes| bytes == b"\x1bp" || bytes == b"\x1dV"));
    crate::escpos_reader::read(&document.bytes).unwrap();
}

#[test]
fn sources_are_bounded() {
    let padded = |bytes: usize| {
        let right = with("");
        format!("{right}{}", "x".repeat(bytes - right.len()))
    };
    assert!(checked(TemplateFormat::Html, &padded(TEMPLATE_BYTES_MAX)).is_ok());
    let refused = checked(TemplateFormat::Html, &padded(TEMPLATE_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(refused.code(), "template_too_large");
}

#[test]
fn a_template_has_an_id() {
    for id in ["", "a b", "-a", &"a".repeat(65)] {
        let template = |text: String| TemplateSource {
            id: id.to_owned(),
            ..source(Kind::Receipt, TemplateFormat::Html, text)
        };
        assert_eq!(Template::check(template(with(""))).unwrap_err().code(), "template_id_malformed");
        assert_eq!(Template::load(template(with(""))).unwrap_err().code(), "template_id_malformed");
    }
}

/// Sources that overrun the stack of a parser that calls itself for each of their parts. The thread has
/// the stack that a runtime's worker has.
#[test]
fn deep_sources_do_not_overrun_the_stack() {
    let room = TEMPLATE_BYTES_MAX - 200;
    let nested = |open: &str, close: &str| {
        let count = room / (open.len() + close.len());
        format!("{}x{}", open.repeat(count), close.repeat(count))
    };
    let sources = vec![
        format!("{{{{ {}1 }}}}", "-".repeat(room)),
        format!("{{{{ {}1 }}}}", "not ".repeat(room / 4)),
        format!("{{{{ {}1{} }}}}", "(".repeat(room / 2), ")".repeat(room / 2)),
        format!("{{{{ {}1{} }}}}", "[".repeat(room / 2), "]".repeat(room / 2)),
        format!("{{{{ order{} }}}}", ".a".repeat(room / 2)),
        format!("{{{{ 1{} }}}}", "|upper".repeat(room / 6)),
        format!("{{{{ 1{} }}}}", " and 1".repeat(room / 6)),
        format!("{{{{ 1{} }}}}", " is defined".repeat(room / 11)),
        format!("{{{{ 1{} }}}}", "()".repeat(room / 2)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(room / 12)),
        format!("{{{{ 1{} }}}}", "==1".repeat(room / 3)),
        nested("{% if 1 %}", "{% endif %}"),
        nested("{% for line in order.lines %}", "{% endfor %}"),
        format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(room / 12)),
        format!("{{{{ {}\"x\" }}}}", "\"x\" ".repeat(room / 4)),
        "\n".repeat(room),
        "{".repeat(room),
        "{{".repeat(room / 2),
        "{%".repeat(room / 2),
        "{% raw %}".repeat(room / 9),
        "{# ".repeat(room / 3),
    ];
    let worker = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(move || {
        for text in sources {
            for format in TemplateFormat::ALL {
                let code = code_of(format, &with(&text));
                let expected = ["template_not_allowed", "template_syntax", "template_unknown_name"];
                let is_told = expected.contains(&code.as_str()) || code.ends_with("was taken in");
                assert!(is_told, "{}: {code}", &text[..20]);
            }
        }
        // As deep as the engine's parser goes, which is allowed.
        for depth in [40, 60] {
            let deep = format!("{}x{}", "{% if 1 %}".repeat(depth), "{% endif %}".repeat(depth));
            assert!(checked(TemplateFormat::Html, &with(&deep)).is_ok(), "{depth}");
            let elifs = format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(depth.min(50)));
            assert!(checked(TemplateFormat::Html, &with(&elifs)).is_ok(), "{depth}");
        }
    });
    worker.unwrap().join().unwrap();
}

/// Loops within loops are right on two lines of a sample, and hopeless on the longest order.
fn loops(depth: usize, body: &str) -> String {
    let open: String = (0..depth).map(|at| format!("{{% for l{at} in order.lines %}}")).collect();
    with(&format!("{open}{body}{}", "{% endfor %}".repeat(depth)))
}

fn code_on_the_longest_order(text: &str, data: &DocumentData, format: Format) -> String {
    let template = checked(format.template_format(), text).unwrap();
    match bounded(text, || render(Kind::Receipt, format, data, Some(&template))) {
        Ok(document) => format!("{} bytes", document.bytes.len()),
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn renderings_that_go_on_and_on_end() {
    let data = longest_order();
    let long = format!("'{}'", "X".repeat(480));
    let costly = [
        loops(2, ""),
        loops(6, ""),
        loops(3, "{% if l0.name == l1.name and l1.name == l2.name %}{% endif %}"),
        loops(2, &format!("{{% if {long}|lower|upper == l1.name|upper %}}{{% endif %}}")),
        loops(2, &format!("{{% set x = {long}|lower|upper %}}")),
        loops(2, &format!("{{% if l0.name in {long} %}}{{% endif %}}")),
    ];
    for text in costly {
        for format in [Format::Html, Format::Escpos] {
            assert_eq!(code_on_the_longest_order(&text, &data, format), "template_too_costly", "{text}");
        }
    }
    let raw = "x".repeat(60_000);
    for text in [loops(1, &raw), loops(2, "{{ l0.name }}"), loops(2, "xxxxxxxxxxxxxxxxxxxxxx")] {
        for format in Format::ALL {
            assert_eq!(code_on_the_longest_order(&text, &data, format), "document_too_large");
        }
    }
}

#[test]
fn little_markup_does_not_become_much_paper() {
    let data = longest_order();
    // What a template writes is small enough; the paper made from it would not be.
    let sevens = "@feed 9\n".repeat(20);
    let rules = "@rule\n".repeat(20);
    let rights = "@right x\n".repeat(10);
    let codes = "@qr x\n".repeat(10);
    let zero_width = format!("{}\n", "\u{301}".repeat(100));
    let unseen = format!("{}\n", "\u{200b}\u{ad}".repeat(80));
    let short = "x\n".repeat(100);
    let cells = "@columns x|y\n".repeat(15);
    for body in [sevens, rules, rights, codes, zero_width, unseen, short, cells] {
        for format in [Format::Text, Format::Escpos] {
            let text = loops(1, &format!("\n{body}"));
            let code = code_on_the_longest_order(&text, &data, format);
            let bytes = code.strip_suffix(" bytes").map(|bytes| bytes.parse::<usize>().unwrap());
            let is_small = bytes.is_some_and(|bytes| bytes <= DOCUMENT_BYTES_MAX);
            assert!(is_small || code == "document_too_large", "{body:.20} as {format}: {code}");
        }
    }
    // One line that is never full.
    let text = loops(1, &"\u{301}".repeat(100));
    for format in [Format::Text, Format::Escpos] {
        code_on_the_longest_order(&text, &data, format);
    }
}

proptest! {
    #[test]
    fn any_source_is_told_what_it_is(parts in proptest::collection::vec(proptest::sample::select(vec![
        "{{ ", " }}", "{% ", " %}", "{# ", " #}", "for ", "line ", "in ", "order", ".lines", ".totals", ".total",
        "if ", "else", "elif ", "endif", "endfor", "set x = ", "x", "|money", "|upper", "|default(", ")", "(", "[",
        "]", "'", "\"", "1", "1.5", " == ", " < ", " and ", " not ", " is defined", ",", "-", "*", "~", "\\", "\n",
        "@columns ", "@bold ", "|", "é", "\u{0}", "\u{1b}", "loop.index", "none", "true", "{", "}", "%", "+%}",
    ]), 0..40)) {
        let text = with(&parts.concat());
        for format in TemplateFormat::ALL {
            if let Err(error) = checked(format, &text) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// Well-formed templates of everything the language has, and of some that it has not.
fn statements() -> impl Strategy<Value = String> {
    let plain = proptest::sample::select(vec![
        "l.name",
        "l.gross.amount",
        "l.quantity",
        "m.name",
        "order.store.name",
        "order.order_id",
        "'text'",
        "1",
        "loop.index",
        "l.notes",
        "x",
        "order.reprint",
        "order.customer.name",
    ]);
    let whole =
        proptest::sample::select(vec!["l", "l.modifiers", "order", "order.lines", "l.gross", "order.totals"]);
    let leaf = prop_oneof![4 => plain, 1 => whole].prop_map(str::to_owned);
    let expression = leaf.prop_recursive(4, 16, 3, |inner| {
        let operator = proptest::sample::select(vec!["==", "<", "and", "or", "in", "~", "+", "*"]);
        let filter = proptest::sample::select(vec![
            "upper",
            "lower",
            "label",
            "money",
            "length",
            "default('z')",
            "join",
        ]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), filter).prop_map(|(a, filter)| format!("({a})|{filter}")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
            inner.prop_map(|a| format!("(not {a})")),
        ]
    });
    let shown = expression.clone().prop_map(|a| format!("{{{{ {a} }}}}\n"));
    let set = expression.clone().prop_map(|a| format!("{{% set x = {a} %}}"));
    let raw = proptest::sample::select(vec!["@columns a | ", "@rule\n", "text\n", "@double "])
        .prop_map(str::to_owned);
    let statement = prop_oneof![3 => shown, 1 => set, 1 => raw];
    statement.prop_recursive(4, 24, 4, move |inner| {
        let body = proptest::collection::vec(inner, 0..4).prop_map(|parts| parts.concat());
        let list = proptest::sample::select(vec![
            ("l", "order.lines"),
            ("m", "l.modifiers"),
            ("l", "order.payments"),
        ]);
        prop_oneof![
            (list, body.clone()).prop_map(|((name, list), body)| {
                format!("{{% for {name} in {list} %}}{body}{{% endfor %}}")
            }),
            (expression.clone(), body.clone(), body).prop_map(|(a, body, other)| {
                format!("{{% if {a} %}}{body}{{% else %}}{other}{{% endif %}}")
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 3 / 5, ..ProptestConfig::default() })]

    /// The check is what bounds a rendering: whatever it lets in stays small, on an order longer than most.
    #[test]
    fn whatever_was_taken_in_is_bounded(text in statements()) {
        let text = with(&format!("{{% set x = '' %}}{{% for l in order.lines %}}{{% for m in l.modifiers %}}{text}{{% endfor %}}{{% endfor %}}"));
        let data = crate::fixtures::order(|order| order.lines = vec![order.lines[0].clone(); 300]);
        for format in [Format::Html, Format::Text] {
            let Ok(template) = bounded(&text, || checked(format.template_format(), &text)) else { continue };
            let result = bounded(&text, || render(Kind::Receipt, format, &data, Some(&template)));
            if let Err(error) = result {
                let codes = ["template_too_costly", "document_too_large", "template_failed"];
                prop_assert!(codes.contains(&error.code()), "{error}");
            }
        }
    }
}
