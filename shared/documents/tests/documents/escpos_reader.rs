//! A small receipt printer: reads commands as Epson's reference has them, and refuses what is none.

/// A command, or what is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Initialise,
    International(u8),
    CodePage(u8),
    Align(u8),
    Bold(u8),
    Size(u8),
    Cut(u8, u8),
    BarcodeText(u8),
    BarcodeHeight(u8),
    BarcodeWidth(u8),
    Barcode(Vec<u8>),
    Symbol(Vec<u8>),
    LineFeed,
    Text(Vec<u8>),
}

/// Reads all of it, or tells where a byte is that a printer would take for a command nobody meant.
pub fn read(bytes: &[u8]) -> Result<Vec<Op>, String> {
    let mut ops = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let (op, length) = match rest {
            [0x0a, ..] => (Op::LineFeed, 1),
            [0x1b, b'@', ..] => (Op::Initialise, 2),
            [0x1b, b'R', n, ..] => (Op::International(*n), 3),
            [0x1b, b't', n, ..] => (Op::CodePage(*n), 3),
            [0x1b, b'a', n @ 0..=2, ..] => (Op::Align(*n), 3),
            [0x1b, b'E', n @ 0..=1, ..] => (Op::Bold(*n), 3),
            [0x1d, b'!', n, ..] => (Op::Size(*n), 3),
            [0x1d, b'V', m @ 65..=66, n, ..] => (Op::Cut(*m, *n), 4),
            [0x1d, b'H', n, ..] => (Op::BarcodeText(*n), 3),
            [0x1d, b'h', n, ..] => (Op::BarcodeHeight(*n), 3),
            [0x1d, b'w', n, ..] => (Op::BarcodeWidth(*n), 3),
            [0x1d, b'k', 73, n, data @ ..] if data.len() >= usize::from(*n) => {
                (Op::Barcode(data[..usize::from(*n)].to_vec()), 4 + usize::from(*n))
            }
            [0x1d, b'(', b'k', low, high, data @ ..] => {
                let length = usize::from(*low) + 256 * usize::from(*high);
                let data = data.get(..length).ok_or(format!("a symbol at {at} is cut short"))?;
                (Op::Symbol(data.to_vec()), 5 + length)
            }
            [byte, ..] if *byte < 0x20 || *byte == 0x7f => {
                return Err(format!("byte {byte:#04x} at {at} is no command that was meant"));
            }
            text => {
                let length = text.iter().take_while(|byte| **byte >= 0x20 && **byte != 0x7f).count();
                (Op::Text(text[..length].to_vec()), length)
            }
        };
        ops.push(op);
        rest = &rest[length..];
    }
    Ok(ops)
}

/// What is printed, a line for a line, with the bytes above ASCII as Latin-1.
pub fn printed(bytes: &[u8]) -> String {
    let mut text = String::new();
    for op in read(bytes).unwrap() {
        match op {
            Op::Text(line) => text.extend(line.into_iter().map(char::from)),
            Op::LineFeed => text.push('\n'),
            _ => {}
        }
    }
    text
}

/// Commands and text in a form that can be read and compared.
pub fn listing(bytes: &[u8]) -> String {
    let mut listing = String::new();
    for op in read(bytes).unwrap() {
        match op {
            Op::Text(line) => listing.extend(line.into_iter().map(char::from)),
            Op::LineFeed => listing.push('\n'),
            Op::Symbol(data) | Op::Barcode(data) => {
                let data: String = data.iter().flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
                listing.push_str(&format!("<code {data}>"));
            }
            other => listing.push_str(&format!("<{other:?}>")),
        }
    }
    listing
}

#[test]
fn the_reader_refuses_what_is_no_command() {
    assert!(read(b"Tea\n\x1bE\x01Pie\n").is_ok());
    for bad in [&b"a\x1bp\0\x19\xfa"[..], b"\x10\x14\x01", b"a\0", b"\x7f", b"\x1d(k\xff\xff1"] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
}
