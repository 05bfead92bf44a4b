//! Content negotiation by `Accept` (RFC 9110 section 12.5.1).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Which of the `offered` media types (`text/html`, without parameters) the client wants most, by position;
/// `None` where it takes none of them. Without the header it takes anything. Where it wants several alike,
/// one that it names goes before one that a wildcard stands for, then the one offered first.
///
/// Parameters of a range beside `q` (`charset`, `level`) are not looked at. A range that cannot be read is
/// as if it were not there.
pub fn preferred(headers: &HeaderMap, offered: &[&str]) -> Option<usize> {
    let mut sent = headers.get_all(ACCEPT).iter().peekable();
    if sent.peek().is_none() {
        return (!offered.is_empty()).then_some(0);
    }
    let ranges: Vec<Range<'_>> = sent
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    let wanted = |media: &str| {
        // The most specific range that fits decides, whatever the others say.
        let best = ranges.iter().filter_map(|range| Some((range.specificity(media)?, range.thousandths)));
        best.max().filter(|(_, thousandths)| *thousandths > 0)
    };
    let mut best: Option<(usize, (u16, u8))> = None;
    for (position, media) in offered.iter().enumerate() {
        if let Some((specificity, thousandths)) = wanted(media)
            && best.is_none_or(|(_, most)| (thousandths, specificity) > most)
        {
            best = Some((position, (thousandths, specificity)));
        }
    }
    best.map(|(position, _)| position)
}

/// A media range and how much it is wanted.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    thousandths: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut thousandths = 1_000;
        for parameter in parts {
            if let Some((name, value)) = parameter.split_once('=')
                && name.trim().eq_ignore_ascii_case("q")
            {
                thousandths = weight(value.trim())?;
            }
        }
        (!kind.is_empty() && !subtype.is_empty()).then_some(Range { kind, subtype, thousandths })
    }

    /// How closely it fits a media type, if it does.
    fn specificity(&self, media: &str) -> Option<u8> {
        let (kind, subtype) = media.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (named, "*") => named.eq_ignore_ascii_case(kind).then_some(1),
            (named, sub) => {
                (named.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype)).then_some(2)
            }
        }
    }
}

/// A weight in thousandths: `0` to `1` with up to three decimals (RFC 9110 section 12.4.2).
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: [&str; 3] = ["text/html", "text/plain", "application/vnd.escpos"];

    fn chosen(values: &[&str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        preferred(&headers, &OFFERED).map(|position| OFFERED[position])
    }

    #[test]
    fn the_client_gets_what_it_wants_most() {
        let (html, text, escpos) = (Some("text/html"), Some("text/plain"), Some("application/vnd.escpos"));
        for (accept, expected) in [
            ("*/*", html),
            ("text/*", html),
            ("application/*", escpos),
            ("text/plain", text),
            ("TEXT/Plain; charset=utf-8", text),
            ("application/vnd.escpos", escpos),
            ("text/html;q=0.5, text/plain;q=0.9", text),
            ("text/html;q=0.5,text/plain;q=0.501", text),
            ("text/plain, */*", text),
            ("text/plain;q=0.1, */*;q=0.2", html),
            ("text/*, text/html;q=0", text),
            ("*/*, text/*;q=0", escpos),
            ("*/*;q=0.1, text/html;q=0, text/plain;q=0.05", escpos),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", html),
            ("application/json, application/vnd.escpos; Q=0.001", escpos),
            ("nonsense, text/plain", text),
            ("text/html;q=2, text/plain;q=0.1", text),
            ("text/html;q=, text/plain;q=0.1", text),
            ("text/html;q=0.1234, text/plain;q=0.1", text),
            ("text/html;q=1.000", html),
            ("application/json", None),
            ("text/html;q=0", None),
            ("text/html;q=1.001", None),
            ("text/htm", None),
            ("*/*;q=0", None),
            ("*/html", None),
            ("", None),
            (",;,/,q=1", None),
        ] {
            assert_eq!(chosen(&[accept]), expected, "{accept:?}");
        }
        assert_eq!(chosen(&[]), html);
        assert_eq!(chosen(&["application/json", "text/plain"]), text);
    }
}
