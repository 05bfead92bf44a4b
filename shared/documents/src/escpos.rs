//! Commands of receipt printers.
//!
//! The commands are those of Epson's ESC/POS command reference, as TM-T88 and its many likes take them:
//! `ESC @` (initialise), `ESC R` (international characters), `ESC t` (code page), `ESC a` (alignment),
//! `ESC E` (bold), `GS !` (size), `GS V` (cut), `GS H`, `GS h`, `GS w`, `GS k` (bar code) and the
//! functions 165, 167, 169, 180 and 181 of `GS ( k` (QR code).
//!
//! Every byte that is no command comes from [`crate::code_page`], which knows no control characters.

use crate::code_page;
use crate::error::DocumentError;
use crate::layout::{Piece, Ruler, code_as_text, lay_out};
use crate::markup::{Align, Style};

const ESC: u8 = 0x1b;
const GS: u8 = 0x1d;
const LF: u8 = 0x0a;

/// Page 16 of `ESC t`: Windows code page 1252.
const WPC1252: u8 = 16;

/// Longest bar code, in characters: Code 128 takes 11 modules for each and 35 beside them, of two dots,
/// and the narrowest 80 mm paper has 512 dots. A printer prints nothing of a bar code that is too wide.
const BARCODE_CHARS_MAX: usize = 20;

/// Longest QR code, in characters: what still fits on the paper with modules of six dots.
const QR_CHARS_MAX: usize = 200;

/// The commands for what a template wrote.
///
/// # Errors
/// [`DocumentError::DocumentTooLarge`].
pub(crate) fn render(written: &str) -> Result<Vec<u8>, DocumentError> {
    let mut printer = Printer { bytes: Vec::new(), style: Style::default() };
    // Whatever the printer was set to before: characters as in ASCII, and the code page.
    printer.bytes.extend([ESC, b'@', ESC, b'R', 0, ESC, b't', WPC1252]);
    lay_out(written, Ruler::Printer, |piece| {
        match piece {
            Piece::Text { style, text } => printer.line(style, &text),
            Piece::Qr(code) => printer.qr(&code),
            Piece::Barcode(code) => printer.barcode(&code),
            Piece::Cut => printer.cut(),
        }
        if printer.bytes.len() > crate::DOCUMENT_BYTES_MAX {
            return Err(DocumentError::DocumentTooLarge);
        }
        Ok(())
    })?;
    printer.set(Style::default());
    Ok(printer.bytes)
}

struct Printer {
    bytes: Vec<u8>,
    style: Style,
}

impl Printer {
    /// Alignment counts at the beginning of a line only, where every piece begins.
    fn set(&mut self, style: Style) {
        if style.align != self.style.align {
            let align = match style.align {
                Align::Left => 0,
                Align::Center => 1,
                Align::Right => 2,
            };
            self.bytes.extend([ESC, b'a', align]);
        }
        if style.bold != self.style.bold {
            self.bytes.extend([ESC, b'E', u8::from(style.bold)]);
        }
        if style.double != self.style.double {
            self.bytes.extend([GS, b'!', if style.double { 0x11 } else { 0 }]);
        }
        self.style = style;
    }

    fn line(&mut self, style: Style, text: &str) {
        self.set(style);
        self.bytes.extend(code_page::encode(text.trim_end_matches(' ')));
        self.bytes.push(LF);
    }

    fn centered() -> Style {
        Style { align: Align::Center, ..Style::default() }
    }

    fn code_as_text(&mut self, code: &str) {
        for line in code_as_text(code, Ruler::Printer) {
            self.line(Self::centered(), &line);
        }
    }

    fn qr(&mut self, code: &str) {
        let Some(data) = code_bytes(code, QR_CHARS_MAX) else { return self.code_as_text(code) };
        self.set(Self::centered());
        // Model 2, modules of six dots, error correction M, the data, print.
        self.symbol(65, &[50, 0]);
        self.symbol(67, &[6]);
        self.symbol(69, &[49]);
        self.symbol(80, &[&[48], data].concat());
        self.symbol(81, &[48]);
        self.bytes.push(LF);
    }

    /// `GS ( k pL pH 49 fn …`: a function of QR codes.
    fn symbol(&mut self, function: u8, parameters: &[u8]) {
        let [low, high, ..] = (parameters.len() + 2).to_le_bytes();
        self.bytes.extend([GS, b'(', b'k', low, high, 49, function]);
        self.bytes.extend(parameters);
    }

    fn barcode(&mut self, code: &str) {
        let Some(data) = code_bytes(code, BARCODE_CHARS_MAX) else { return self.qr(code) };
        // Code set B; a brace calls a code set and is therefore written twice.
        let mut coded = b"{B".to_vec();
        for byte in data {
            coded.extend(std::iter::repeat_n(*byte, if *byte == b'{' { 2 } else { 1 }));
        }
        let Ok(length) = u8::try_from(coded.len()) else { return self.qr(code) };
        self.set(Self::centered());
        // The text below it, 64 dots high, modules of two dots.
        self.bytes.extend([GS, b'H', 2, GS, b'h', 64, GS, b'w', 2, GS, b'k', 73, length]);
        self.bytes.extend(coded);
        self.bytes.push(LF);
    }

    fn cut(&mut self) {
        self.set(Style::default());
        // Feeds to the cutter and leaves a point uncut, so that nothing falls to the ground.
        self.bytes.extend([GS, b'V', 66, 0]);
    }
}

/// The bytes of a code, if they can be one: printable ASCII, at least one and at most `most`.
fn code_bytes(code: &str, most: usize) -> Option<&[u8]> {
    let fits = (1..=most).contains(&code.len());
    (fits && code.bytes().all(|byte| (0x20..0x7f).contains(&byte))).then_some(code.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(written: &str) -> Vec<u8> {
        let all = render(written).unwrap();
        all.strip_prefix(b"\x1b@\x1bR\0\x1bt\x10").unwrap().to_vec()
    }

    #[test]
    fn styles_are_set_when_they_change_and_unset_at_the_end() {
        assert_eq!(bytes("Tea\n@bold Tea\n@bold Pie"), b"Tea\n\x1bE\x01Tea\nPie\n\x1bE\0");
        assert_eq!(bytes("@center @double A\n@right B"), b"\x1ba\x01\x1d!\x11A\n\x1ba\x02\x1d!\0B\n\x1ba\0");
        assert_eq!(bytes("A\n@cut\nB"), b"A\n\x1dVB\0B\n");
    }

    #[test]
    fn codes_are_told_with_their_length() {
        let qr = bytes("@qr o-1");
        assert_eq!(
            qr,
            b"\x1ba\x01\x1d(k\x04\x001A2\0\x1d(k\x03\x001C\x06\x1d(k\x03\x001E1\
              \x1d(k\x06\x001P0o-1\x1d(k\x03\x001Q0\n\x1ba\0"
        );
        let barcode = bytes("@barcode a{1");
        assert_eq!(barcode, b"\x1ba\x01\x1dH\x02\x1dh\x40\x1dw\x02\x1dkI\x06{Ba{{1\n\x1ba\0");
    }

    #[test]
    fn codes_that_cannot_be_printed_are_text() {
        let long = "0".repeat(BARCODE_CHARS_MAX + 1);
        assert!(bytes(&format!("@barcode {long}")).starts_with(b"\x1ba\x01\x1d(k"));
        assert_eq!(bytes("@qr Café"), b"\x1ba\x01Caf\xe9\n\x1ba\0");
        assert!(!bytes(&format!("@qr {}", "0".repeat(QR_CHARS_MAX + 1))).contains(&GS));
    }

    #[test]
    fn double_width_halves_the_columns() {
        let lines = bytes(&format!("@double {}", "x".repeat(50)));
        let text: Vec<usize> =
            lines.split(|byte| *byte == LF).map(|l| l.iter().filter(|b| **b == b'x').count()).collect();
        assert_eq!(text, [21, 21, 8, 0]);
    }
}
