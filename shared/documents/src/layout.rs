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

    /// Text as the medium can show it.
    fn shown(self, text: &str) -> String {
        match self {
            Ruler::Screen => text.to_owned(),
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
/// Those of `print`.
pub(crate) fn lay_out(
    written: &str,
    ruler: Ruler,
    mut print: impl FnMut(Piece) -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    for line in written.lines() {
        let Line { style, content } = markup::parse(line);
        let columns = ruler.columns(style);
        // Of what is as wide as the paper already.
        let full = Style { align: markup::Align::Left, ..style };
        let mut lines = |style: Style, lines: Vec<String>| {
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
