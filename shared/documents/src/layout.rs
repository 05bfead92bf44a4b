//! Lines of markup laid out on paper of a given width.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::code_page;
use crate::error::DocumentError;
use crate::markup::{self, Content, Line, Style};

/// Columns of 80 mm paper in the usual font, as most receipt printers are set up.
pub const COLUMNS: usize = 42;

/// Fewest columns the first cell keeps beside the others; with less they go below it.
const FIRST_CELL_MIN: usize = 12;

/// Columns each cell but the first takes at least, so that short amounts stand below each other.
const CELL_MIN: usize = 8;

/// Most bytes of one line, however little of it is seen: a line of nothing but combining marks would
/// never be full. Twenty families of emoji take less.
const LINE_BYTES_MAX: usize = 600;

/// Most lines of a document: four rolls of paper of 80 m, and three times what the longest order takes.
const DOCUMENT_LINES_MAX: usize = 100_000;

/// What is on the paper, from top to bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// One line that fits.
    Text {
        /// How it looks.
        style: Style,
        /// What it says.
        text: String,
    },
    /// A QR code.
    Qr(String),
    /// A bar code.
    Barcode(String),
    /// The paper is cut.
    Cut,
}

/// How text takes up columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ruler {
    /// As a terminal shows it: East Asian characters take two columns, combining ones none, and nothing
    /// is twice as wide.
    Screen,
    /// As a receipt printer prints it: what its code page lacks is replaced, every character takes one
    /// column, or two where it is printed twice as wide.
    Printer,
}

impl Ruler {
    fn columns(self, style: Style) -> usize {
        if self == Ruler::Printer && style.double { COLUMNS / 2 } else { COLUMNS }
    }

    pub(crate) fn width(self, text: &str) -> usize {
        match self {
            Ruler::Screen if text.is_ascii() => text.len(),
            Ruler::Screen => text.width(),
            Ruler::Printer => text.chars().count(),
        }
    }

    /// Text as the medium can show it; a template's own text may hold control characters too.
    fn shown(self, text: &str) -> String {
        let spaced = |character| if matches!(character, '\n' | '\t') { ' ' } else { character };
        match self {
            Ruler::Screen => text.chars().filter_map(markup::printable).map(spaced).collect(),
            Ruler::Printer => code_page::replace_unknown(text),
        }
    }

    /// The parts of a text between which it may be cut.
    fn parts(self, text: &str, columns: usize) -> Vec<&str> {
        let by_character = |text: &'_ str| -> Vec<(usize, usize)> {
            text.char_indices().map(|(at, character)| (at, at + character.len_utf8())).collect()
        };
        let ranges: Vec<(usize, usize)> = match self {
            Ruler::Printer => by_character(text),
            Ruler::Screen => text
                .grapheme_indices(true)
                .flat_map(|(start, cluster)| {
                    // One that is wider than the paper has to be cut within.
                    if cluster.width() <= columns {
                        vec![(start, start + cluster.len())]
                    } else {
                        by_character(cluster).into_iter().map(|(a, b)| (start + a, start + b)).collect()
                    }
                })
                .collect(),
        };
        ranges.into_iter().filter_map(|(start, end)| text.get(start..end)).collect()
    }

    /// Lines of at most `columns`, broken at spaces where there are any.
    fn wrap(self, text: &str, columns: usize) -> Vec<String> {
        // Most lines fit as they are.
        if text.len() <= columns && self.width(text) <= columns {
            return vec![text.trim_end_matches(' ').to_owned()];
        }
        let mut lines = Vec::new();
        let mut line = String::new();
        for word in text.split_inclusive(' ') {
            let bare = word.trim_end_matches(' ');
            if !line.trim_end().is_empty() && self.width(&line) + self.width(bare) > columns {
                lines.push(std::mem::take(&mut line));
            }
            for part in self.parts(word, columns) {
                // Measured as a whole, since some scripts join what stands side by side.
                let before = line.len();
                line.push_str(part);
                let is_too_wide = self.width(line.trim_end_matches(' ')) > columns;
                if before > 0 && (is_too_wide || line.len() > LINE_BYTES_MAX) {
                    line.truncate(before);
                    lines.push(std::mem::replace(&mut line, part.to_owned()));
                }
            }
        }
        lines.push(line);
        for line in &mut lines {
            line.truncate(line.trim_end_matches(' ').len());
        }
        lines
    }

    /// `text` with spaces before it up to `columns`.
    fn to_the_right(self, text: &str, columns: usize) -> String {
        format!("{}{text}", " ".repeat(columns.saturating_sub(self.width(text))))
    }

    /// The rows of cells: the first wraps on the left, the others stand on the right of the first row.
    fn rows(self, cells: &[String], columns: usize) -> Vec<String> {
        let Some((first, others)) = cells.split_first() else { return Vec::new() };
        let widths: Vec<usize> = others.iter().map(|cell| self.width(cell).max(CELL_MIN)).collect();
        let taken: usize = widths.iter().map(|width| width + 1).sum();
        if taken + FIRST_CELL_MIN > columns {
            let below = others.iter().flat_map(|cell| self.wrap(cell, columns));
            let below = below.map(|line| self.to_the_right(&line, columns));
            return self.wrap(first, columns).into_iter().chain(below).collect();
        }
        let left = columns - taken;
        let mut rows = self.wrap(first, left);
        if let Some(row) = rows.first_mut() {
            row.push_str(&" ".repeat(left.saturating_sub(self.width(row))));
            for (cell, width) in others.iter().zip(widths) {
                row.push(' ');
                row.push_str(&self.to_the_right(cell, width));
            }
        }
        rows
    }
}

/// Lays out what a template wrote and hands it on piece by piece, so that only the document is held.
///
/// # Errors
/// [`DocumentError::DocumentTooLarge`] above [`DOCUMENT_LINES_MAX`], and those of `print`.
pub(crate) fn lay_out(
    written: &str,
    ruler: Ruler,
    mut print: impl FnMut(Piece) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    let mut printed = 0;
    for line in written.lines() {
        let Line { style, content } = markup::parse(line);
        let columns = ruler.columns(style);
        // Of what is as wide as the paper already.
        let full = Style { align: markup::Align::Left, ..style };
        let mut lines = |style: Style, lines: Vec<String>| {
            printed += lines.len();
            if printed > DOCUMENT_LINES_MAX {
                return Err(DocumentError::DocumentTooLarge);
            }
            lines.into_iter().try_for_each(|text| print(Piece::Text { style, text }))
        };
        match content {
            Content::Text(text) => {
                let text = ruler.shown(&text);
                let indent = text.len() - text.trim_start_matches(' ').len();
                // What is indented by more than half the paper was not meant so.
                let indent = " ".repeat(indent.min(columns / 2));
                let mut wrapped = ruler.wrap(text.trim_start_matches(' '), columns - indent.len());
                for line in &mut wrapped {
                    line.insert_str(0, &indent);
                }
                lines(style, wrapped)?;
            }
            Content::Columns(cells) => {
                let cells: Vec<String> = cells.iter().map(|cell| ruler.shown(cell)).collect();
                lines(full, ruler.rows(&cells, columns))?;
            }
            Content::Rule(character) => lines(full, vec![character.to_string().repeat(columns)])?,
            Content::Feed(count) => lines(Style::default(), vec![String::new(); count])?,
            Content::Qr(text) => print(Piece::Qr(text))?,
            Content::Barcode(text) => print(Piece::Barcode(text))?,
            Content::Cut => print(Piece::Cut)?,
        }
    }
    Ok(())
}

/// Lines of a code's text, for where codes cannot be printed.
pub(crate) fn code_as_text(text: &str, ruler: Ruler) -> Vec<String> {
    ruler.wrap(&ruler.shown(text), COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paper(written: &str, ruler: Ruler) -> Vec<String> {
        let mut lines = Vec::new();
        lay_out(written, ruler, |piece| {
            lines.push(match piece {
                Piece::Text { text, .. } => text,
                other => format!("{other:?}"),
            });
            Ok(())
        })
        .unwrap();
        lines
    }

    #[test]
    fn text_breaks_at_spaces_and_long_words_anywhere() {
        let words = "one two three four five six seven eight nine ten eleven";
        assert_eq!(
            paper(words, Ruler::Screen),
            ["one two three four five six seven eight", "nine ten eleven"]
        );
        let exact = format!("{} b", "a".repeat(COLUMNS));
        assert_eq!(paper(&exact, Ruler::Screen), ["a".repeat(COLUMNS), "b".to_owned()]);
        let long = format!("x {}", "a".repeat(COLUMNS + 2));
        assert_eq!(paper(&long, Ruler::Screen), ["x".to_owned(), "a".repeat(COLUMNS), "aa".to_owned()]);
        let wide = "茶".repeat(COLUMNS / 2 + 1);
        assert_eq!(paper(&wide, Ruler::Screen), ["茶".repeat(COLUMNS / 2), "茶".to_owned()]);
        assert_eq!(paper(&wide, Ruler::Printer), ["?".repeat(COLUMNS / 2 + 1)]);
        assert_eq!(paper("\n", Ruler::Screen), [""]);
        // One cluster, as Unicode has it, that is wider than the paper.
        let cluster = "\u{1100}".repeat(COLUMNS);
        assert_eq!(cluster.graphemes(true).count(), 1);
        assert!(paper(&cluster, Ruler::Screen).iter().all(|line| line.width() <= COLUMNS));
    }

    #[test]
    fn indented_text_stays_indented() {
        let lines = paper(&format!("    {}", "word ".repeat(12)), Ruler::Screen);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.starts_with("    word") && line.width() <= COLUMNS));
        let far = paper(&format!("{}x", " ".repeat(100)), Ruler::Screen);
        assert_eq!(far, [format!("{}x", " ".repeat(COLUMNS / 2))]);
    }

    #[test]
    fn cells_align_and_are_never_cut() {
        assert_eq!(
            paper("@columns Tea | 2 | 2.50\n@columns | 10 | 1250.00", Ruler::Screen),
            ["Tea                             2     2.50", "                               10  1250.00"]
        );
        let name = "A name that does not fit beside its amount at all";
        let rows = paper(&format!("@columns {name} | 2.50"), Ruler::Screen);
        assert_eq!(rows, ["A name that does not fit beside       2.50", "its amount at all"]);
        // With no room for a name beside them, amounts go below it, whole.
        let amounts = "-10000000000.00 | -10000000000.00";
        let rows = paper(&format!("@columns Tea | {amounts}"), Ruler::Screen);
        let amount = format!("{:>42}", "-10000000000.00");
        assert_eq!(rows, ["Tea".to_owned(), amount.clone(), amount]);
        let rows = paper("@double @columns TOTAL | GBP 10.99", Ruler::Printer);
        assert_eq!(rows, ["TOTAL".to_owned(), format!("{:>21}", "GBP 10.99")]);
    }

    #[test]
    fn a_line_ends_however_little_of_it_is_seen() {
        let lines = paper(&"\u{200b}".repeat(1_000), Ruler::Screen);
        assert!(lines.len() > 4 && lines.iter().all(|line| line.len() <= LINE_BYTES_MAX));
    }

    #[test]
    fn rules_and_feeds_have_their_size() {
        assert_eq!(paper("@rule =", Ruler::Screen), ["=".repeat(COLUMNS)]);
        assert_eq!(paper("@double @rule", Ruler::Printer), ["-".repeat(COLUMNS / 2)]);
        assert_eq!(paper("@feed 2", Ruler::Screen), ["", ""]);
    }
}
