//! Windows code page 1252, page 16 of a receipt printer, in which all of western Europe is printed.
//!
//! The code page is Microsoft's; the number of the page is of Epson's ESC/POS command reference (`ESC t`).

/// Stands for what the code page lacks.
const REPLACEMENT: char = '?';

/// Bytes 80 to 9F; the rest above 7F is Latin-1. Five of them stand for nothing.
const ABOVE_ASCII: [(char, u8); 27] = [
    ('€', 0x80),
    ('‚', 0x82),
    ('ƒ', 0x83),
    ('„', 0x84),
    ('…', 0x85),
    ('†', 0x86),
    ('‡', 0x87),
    ('ˆ', 0x88),
    ('‰', 0x89),
    ('Š', 0x8a),
    ('‹', 0x8b),
    ('Œ', 0x8c),
    ('Ž', 0x8e),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('•', 0x95),
    ('–', 0x96),
    ('—', 0x97),
    ('˜', 0x98),
    ('™', 0x99),
    ('š', 0x9a),
    ('›', 0x9b),
    ('œ', 0x9c),
    ('ž', 0x9e),
    ('Ÿ', 0x9f),
];

/// Letters and what they are with a combining mark behind them, which some systems write apart.
const COMPOSED: [(char, &str, &str); 8] = [
    ('\u{300}', "AEIOUaeiou", "ÀÈÌÒÙàèìòù"),
    ('\u{301}', "AEIOUYaeiouy", "ÁÉÍÓÚÝáéíóúý"),
    ('\u{302}', "AEIOUaeiou", "ÂÊÎÔÛâêîôû"),
    ('\u{303}', "ANOano", "ÃÑÕãñõ"),
    ('\u{308}', "AEIOUYaeiouy", "ÄËÏÖÜŸäëïöüÿ"),
    ('\u{30a}', "Aa", "Åå"),
    ('\u{327}', "Cc", "Çç"),
    ('\u{30c}', "SZsz", "ŠŽšž"),
];

/// The byte of a character, if it has one. Control characters have none, so that no byte of a text can
/// be taken for a command.
pub(crate) fn byte(character: char) -> Option<u8> {
    match character {
        ' '..='~' | '\u{a0}'..='ÿ' => u8::try_from(u32::from(character)).ok(),
        _ => ABOVE_ASCII.iter().find(|(known, _)| *known == character).map(|(_, byte)| *byte),
    }
}

/// The text with nothing but characters that have a byte: marks are put on their letters, spaces and
/// dashes made plain, everything else is replaced visibly, a whole emoji by one character.
pub(crate) fn replace_unknown(text: &str) -> String {
    use unicode_segmentation::UnicodeSegmentation;
    text.graphemes(true).filter_map(known).collect()
}

fn known(cluster: &str) -> Option<char> {
    let mut characters = cluster.chars();
    let first = characters.next()?;
    let composed = characters.next().and_then(|mark| compose(first, mark));
    match composed.unwrap_or(first) {
        // Their width on a printer is not what the text meant.
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Some(' '),
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' => None,
        '\u{2010}'..='\u{2012}' | '\u{2212}' => Some('-'),
        '\n' | '\t' | '\r' => Some(' '),
        control if control.is_control() => None,
        other if byte(other).is_some() => Some(other),
        _ => Some(REPLACEMENT),
    }
}

fn compose(letter: char, mark: char) -> Option<char> {
    let (_, letters, composed) = COMPOSED.iter().find(|(known, ..)| *known == mark)?;
    letters.chars().zip(composed.chars()).find(|(known, _)| *known == letter).map(|(_, composed)| composed)
}

/// The bytes of a text. What has none is replaced.
pub(crate) fn encode(text: &str) -> impl Iterator<Item = u8> {
    text.chars().map(|character| byte(character).unwrap_or(b'?'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn western_text_has_its_bytes() {
        let bytes = |text: &str| encode(&replace_unknown(text)).collect::<Vec<u8>>();
        assert_eq!(bytes("Café £5 €3"), b"Caf\xe9 \xa35 \x803");
        assert_eq!(bytes("Cafe\u{301} A\u{30a}"), b"Caf\xe9 \xc5");
        assert_eq!(bytes("‘œuf’ – 5…"), b"\x91\x9cuf\x92 \x96 5\x85");
        assert_eq!(bytes("a\u{a0}b\u{2009}c\u{ad}d\u{2011}e"), b"a b cd-e");
    }

    #[test]
    fn what_is_unknown_is_replaced_by_one_visible_character() {
        assert_eq!(replace_unknown("茶"), "?");
        assert_eq!(replace_unknown("Chai 👩\u{200d}👩\u{200d}👧 מ"), "Chai ? ?");
        assert_eq!(replace_unknown("Łódź"), "?ód?");
    }

    #[test]
    fn no_byte_is_a_command() {
        for code in 0..=0x10_ffff_u32 {
            let Some(character) = char::from_u32(code) else { continue };
            if let Some(byte) = byte(character) {
                assert!(byte >= 0x20 && byte != 0x7f, "{character:?} is {byte:#x}");
            }
            for shown in replace_unknown(&character.to_string()).chars() {
                assert!(byte(shown).is_some(), "{character:?} became {shown:?}");
            }
        }
    }
}
