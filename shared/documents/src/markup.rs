//! The markup of paper: what a template for text and receipt printers writes.
//!
//! One line of it is one line of paper, wrapped where it is too long. Tags stand at the very beginning
//! of a line, one space behind each:
//!
//! | line | is |
//! |---|---|
//! | `Thank you` | text, from the left |
//! | `@center Thank you`, `@right Thank you` | text in the middle, or to the right |
//! | `@bold Thank you` | bold on a printer |
//! | `@double Thank you` | twice as high and wide on a printer |
//! | `@center @bold @double Thank you` | tags add up |
//! | `@columns Tea \| 2.50` | cells: the first from the left, wrapped; the others to the right, never cut |
//! | `@rule`, `@rule =` | a line of `-`, or of another character |
//! | `@feed 3` | empty lines, 1 to 9 |
//! | `@qr text` | a QR code on a printer; as text the text itself |
//! | `@barcode text` | a Code 128 bar code on a printer; as text the text itself |
//! | `@cut` | the paper is cut here |
//!
//! A backslash takes the meaning from the character behind it: `\@`, `\|`, `\\`. What comes from the data
//! is written so by itself, without line breaks and without control characters: a product called
//! `@cut` is a name.

use std::fmt;

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Align {
    /// From the left.
    #[default]
    Left,
    /// In the middle.
    Center,
    /// To the right.
    Right,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Where it stands.
    pub align: Align,
    /// Whether it is bold.
    pub bold: bool,
    /// Whether it is twice as high and wide.
    pub double: bool,
}

/// What a line of markup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text to be wrapped.
    Text(String),
    /// Cells beside each other.
    Columns(Vec<String>),
    /// A line of one character.
    Rule(char),
    /// Empty lines.
    Feed(usize),
    /// A QR code of this text.
    Qr(String),
    /// A bar code of this text.
    Barcode(String),
    /// The paper is cut.
    Cut,
}

/// A line of markup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How it looks.
    pub style: Style,
    /// What it holds.
    pub content: Content,
}

/// Every tag, for messages.
pub const TAGS: [&str; 11] =
    ["center", "right", "bold", "double", "columns", "rule", "feed", "qr", "barcode", "cut", "left"];

/// The tag that `text` begins with, and what stands behind it. `None` if it begins with none, known or
/// not: `@ 2.50` and `@Tillstream` are text.
pub(crate) fn leading_tag(text: &str) -> Option<(&str, &str)> {
    let behind = text.strip_prefix('@')?;
    let length = behind.bytes().take_while(u8::is_ascii_lowercase).count();
    let (tag, rest) = behind.split_at_checked(length)?;
    match rest.strip_prefix(' ') {
        _ if tag.is_empty() => None,
        Some(rest) => Some((tag, rest)),
        None if rest.is_empty() => Some((tag, rest)),
        None => None,
    }
}

/// Reads one line. What is no tag is text: paper in the printer is better than none.
pub fn parse(line: &str) -> Line {
    let mut style = Style::default();
    let mut rest = line;
    while let Some((tag, behind)) = leading_tag(rest) {
        match tag {
            "left" => style.align = Align::Left,
            "center" => style.align = Align::Center,
            "right" => style.align = Align::Right,
            "bold" => style.bold = true,
            "double" => style.double = true,
            "columns" => return Line { style, content: Content::Columns(cells(behind)) },
            "rule" => return Line { style, content: Content::Rule(rule_character(behind)) },
            "feed" => return Line { style, content: Content::Feed(feed_lines(behind)) },
            "qr" => return Line { style, content: Content::Qr(unescape(behind.trim())) },
            "barcode" => return Line { style, content: Content::Barcode(unescape(behind.trim())) },
            "cut" => return Line { style, content: Content::Cut },
            _ => break,
        }
        rest = behind;
    }
    Line { style, content: Content::Text(unescape(rest)) }
}

fn rule_character(text: &str) -> char {
    text.chars().next().filter(char::is_ascii_graphic).unwrap_or('-')
}

fn feed_lines(text: &str) -> usize {
    text.trim().parse().map_or(1, |lines: usize| lines.clamp(1, 9))
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.extend(characters.next()),
            other => plain.push(other),
        }
    }
    plain
}

fn cells(text: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, cells.last_mut()) {
            ('|', _) => cells.push(String::new()),
            ('\\', Some(cell)) => cell.extend(characters.next()),
            (other, Some(cell)) => cell.push(other),
            (_, None) => {}
        }
    }
    // Of the first, what stands before it indents it.
    let trimmed = |(at, cell): (usize, String)| {
        if at == 0 { cell.trim_end().to_owned() } else { cell.trim().to_owned() }
    };
    cells.into_iter().enumerate().map(trimmed).collect()
}

/// Writes what comes from the data so that it is text and nothing else: no tag, no cell, no further line.
///
/// # Errors
/// As `out`.
pub(crate) fn write_data(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    for character in text.chars().filter_map(printable) {
        match character {
            '\n' | '\t' => out.write_char(' ')?,
            '@' | '|' | '\\' => {
                out.write_char('\\')?;
                out.write_char(character)?;
            }
            other => out.write_char(other)?,
        }
    }
    Ok(())
}

/// A character of the data as it may be shown: control characters are not, nor those that turn the
/// direction of what stands around them (an amount would read backwards). Any line break is `\n`.
pub(crate) fn printable(character: char) -> Option<char> {
    match character {
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
        '\t' => Some('\t'),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        '\u{feff}' => None,
        other if other.is_control() => None,
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Line {
        parse(line)
    }

    #[test]
    fn tags_add_up_and_stand_only_in_front() {
        let style = Style { align: Align::Center, bold: true, double: true };
        let expected = Line { style, content: Content::Text("Thank @bold you".to_owned()) };
        assert_eq!(text("@center @bold @double Thank @bold you"), expected);
        for plain in ["@ 2.50", "@Tillstream", "@unknown tag", "a@b.example", "@bold:", " @bold x"] {
            assert_eq!(text(plain).content, Content::Text(plain.to_owned()));
        }
        assert_eq!(text("@bold").content, Content::Text(String::new()));
    }

    #[test]
    fn every_tag_is_read() {
        let cells = vec!["  Tea | a pot".to_owned(), "2".to_owned(), "5.00".to_owned()];
        assert_eq!(text(r"@columns   Tea \| a pot | 2 | 5.00").content, Content::Columns(cells));
        assert_eq!(text("@rule").content, Content::Rule('-'));
        assert_eq!(text("@rule =").content, Content::Rule('='));
        assert_eq!(text("@rule \u{1b}").content, Content::Rule('-'));
        assert_eq!(text("@feed 3").content, Content::Feed(3));
        assert_eq!(text("@feed 1000000000").content, Content::Feed(9));
        assert_eq!(text("@feed x").content, Content::Feed(1));
        assert_eq!(text(r"@qr o-1\|2").content, Content::Qr("o-1|2".to_owned()));
        assert_eq!(text("@barcode o-1").content, Content::Barcode("o-1".to_owned()));
        assert_eq!(text("@cut").content, Content::Cut);
        for tag in TAGS {
            assert_ne!(text(&format!("@{tag} x")).content, Content::Text(format!("@{tag} x")), "{tag}");
        }
    }

    #[test]
    fn data_is_never_markup() {
        for data in ["@cut", "a | b", r"\", "@qr\nx\r\n@cut", "\u{1b}@\u{1d}V\0", "\u{202e}01.1"] {
            let mut written = String::new();
            write_data(&mut written, data).unwrap();
            assert!(!written.contains(['\n', '\r', '\u{1b}', '\u{1d}', '\0', '\u{202e}']), "{written:?}");
            let Content::Text(read) = text(&written).content else { panic!("{data:?} became markup") };
            let kept: String = data.chars().filter_map(printable).collect();
            assert_eq!(read, kept.replace('\n', " "));
            let Content::Columns(cells) = text(&format!("@columns {written} | 1")).content else { panic!() };
            assert_eq!(cells.len(), 2, "{data:?} made a cell");
        }
    }
}
