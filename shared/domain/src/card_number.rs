//! Finds payment card numbers in text, so that they can be refused (PCI DSS 4.0, requirement 3.3).

/// Characters between two digits that still read as one number: a number is written in groups, and what
/// divides them may be anything that looks like a gap.
const GAP_MAX: usize = 3;

/// Whether `text` holds what looks like a primary account number: 13 to 19 digits of any script, with
/// gaps between them, beginning as card schemes do (2 to 6), with a correct Luhn check digit (ISO/IEC
/// 7812-1, annex B).
pub fn contains_card_number(text: &str) -> bool {
    let mut digits: Vec<u8> = Vec::new();
    let mut gap = 0;
    for c in text.chars().chain(std::iter::once('|')) {
        if let Some(digit) = digit(c) {
            digits.push(digit);
            gap = 0;
        } else if is_gap(c) && gap < GAP_MAX && !digits.is_empty() {
            gap += 1;
        } else {
            if any_window_is_card(&digits) {
                return true;
            }
            digits.clear();
            gap = 0;
        }
    }
    false
}

/// First digits of the scripts that people may type or paste: ASCII, Arabic-Indic and its eastern form,
/// Devanagari, fullwidth, and the mathematical styles (Unicode 16, general category Nd).
const ZEROS: [u32; 10] = [0x30, 0x660, 0x6F0, 0x966, 0xFF10, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6];

fn digit(c: char) -> Option<u8> {
    let code = u32::from(c);
    ZEROS
        .iter()
        .find_map(|zero| code.checked_sub(*zero).filter(|d| *d < 10))
        .and_then(|d| u8::try_from(d).ok())
}

/// White space, dashes, full stops, and what takes no room.
fn is_gap(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '-' | '.' | '_' | '\u{AD}' | '\u{B7}' | '\u{2010}'
                ..='\u{2015}' | '\u{2212}' | '\u{FF0D}' | '\u{FF0E}'
        )
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

/// A longer run may hide a number (a date before it, an expiry after it), so every window is tried.
fn any_window_is_card(digits: &[u8]) -> bool {
    if digits.len() < 13 {
        return false;
    }
    (13..=19.min(digits.len()))
        .any(|length| digits.windows(length).any(|w| (2..=6).contains(&w[0]) && scheme_length(w) && luhn(w)))
}

/// Lengths that the schemes issue: 15 for 34 and 37, 16 for most, 13 and 19 for some 4s and 6s.
fn scheme_length(w: &[u8]) -> bool {
    matches!(
        (w[0], w[1], w.len()),
        (3, 4 | 7, 15)
            | (3, 0 | 6 | 8, 14)
            | (3, 5, 16)
            | (4, _, 13 | 16 | 19)
            | (5, _, 16)
            | (2, 2..=7, 16)
            | (6, _, 16..=19)
    )
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, d)| {
            let doubled = u32::from(*d) * if place % 2 == 1 { 2 } else { 1 };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_found_in_any_dress() {
        for text in [
            "4111111111111111",
            "pay 4111 1111 1111 1111 exp 12/29",
            "5500-0000-0000-0004",
            "378282246310005",
            "6011111111111117x",
            "4111  1111  1111  1111",
            "4111\u{a0}1111\u{a0}1111\u{a0}1111",
            "4111\u{2013}1111\u{2013}1111\u{2013}1111",
            "4111 - 1111 - 1111 - 1111",
            "4111\n1111\r\n1111\t1111",
            "4\u{200b}111111111111111",
            "\u{ff14}\u{ff11}\u{ff11}\u{ff11}111111111111",
            "\u{664}\u{661}\u{661}\u{661}111111111111",
        ] {
            assert!(contains_card_number(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_pass() {
        for text in [
            "",
            "4111111111111112",
            "gate 12, order 536365",
            "2010-12-01T08:26:00",
            "17850",
            "4111, 1111, 1111, 1111",
        ] {
            assert!(!contains_card_number(text), "{text}");
        }
    }

    /// Numbers made up, with a correct check digit each.
    #[test]
    fn lengths_and_beginnings_are_those_of_the_schemes() {
        for number in [
            "4291417776318",
            "36636083778356",
            "376508899579039",
            "3533740681241585",
            "2768344978690733",
            "4999607598386750",
            "62595748906828830",
            "4706690743915000804",
            "6049996228303883684",
        ] {
            assert!(contains_card_number(number), "{number}");
            assert!(contains_card_number(&format!("ref {number}.")), "{number}");
        }
        for number in [
            "459256341684",
            "49420809397295",
            "560423041144268",
            "680635139693717",
            "356487059640234",
            "3428921840110709",
            "9434192541224822",
            "1447577104656349",
            "2114839603062027",
            "2878683873806952",
        ] {
            assert!(!contains_card_number(number), "{number} is of no scheme");
        }
    }

    #[test]
    fn a_gap_has_an_end_and_a_digit_is_a_digit() {
        assert!(contains_card_number("4111   1111   1111   1111"));
        assert!(!contains_card_number("4111    1111    1111    1111"));
        assert!(!contains_card_number("411111111111111:"), "a colon stands next to the nine");
    }
}
