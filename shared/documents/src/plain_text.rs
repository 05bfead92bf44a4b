//! Text in [`COLUMNS`] columns.

use crate::error::DocumentError;
use crate::layout::{COLUMNS, Piece, Ruler, code_as_text, lay_out};
use crate::markup::Align;

/// The text of what a template wrote, with a line break behind each line.
///
/// # Errors
/// [`DocumentError::DocumentTooLarge`].
pub(crate) fn render(written: &str) -> Result<Vec<u8>, DocumentError> {
    let mut text = String::new();
    lay_out(written, Ruler::Screen, |piece| {
        match piece {
            Piece::Text { style, text: line } => write_line(&mut text, &line, style.align),
            Piece::Qr(code) | Piece::Barcode(code) => {
                for line in code_as_text(&code, Ruler::Screen) {
                    write_line(&mut text, &line, Align::Center);
                }
            }
            // Nobody cuts a screen.
            Piece::Cut => {}
        }
        // More than the template wrote: a rule is seven times as long as its tag.
        if text.len() > crate::DOCUMENT_BYTES_MAX {
            return Err(DocumentError::DocumentTooLarge);
        }
        Ok(())
    })?;
    Ok(text.into_bytes())
}

fn write_line(text: &mut String, line: &str, align: Align) {
    let free = COLUMNS.saturating_sub(Ruler::Screen.width(line));
    let before = match align {
        Align::Left => 0,
        Align::Center => free / 2,
        Align::Right => free,
    };
    if !line.is_empty() {
        text.push_str(&" ".repeat(before));
    }
    text.push_str(line.trim_end_matches(' '));
    text.push('\n');
}
