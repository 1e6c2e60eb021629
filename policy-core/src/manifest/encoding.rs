//! Bytes into text: what a file must be before it can be read (IN-13, IN-14).

use std::fmt;

/// Bytes that are not text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodingError {
    /// `IN-13` (not UTF-8) or `IN-14` (a NUL byte).
    pub rule: &'static str,
    /// The name of the input.
    pub name: String,
    /// The offset of the first bad byte.
    pub offset: usize,
    /// What can be shown: everything before the bad byte, and at the offset the bad byte as `�`. Add it to a
    /// [`SourceMap`](crate::source::SourceMap) to underline `offset .. offset + 3`.
    pub text: String,
    /// What is wrong, in one short phrase.
    pub message: String,
    /// What to do about it.
    pub help: &'static str,
}

impl EncodingError {
    /// The line and the column of the bad byte, both from 1.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        let before = self.text.get(..self.offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        (before.matches('\n').count() + 1, column + 1)
    }
}

impl fmt::Display for EncodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        write!(f, "{}:{line}:{column}: {}", self.name, self.message)
    }
}

impl std::error::Error for EncodingError {}

/// Bytes as text. A UTF-8 byte order mark stays in the text and is passed over by the reader.
///
/// # Errors
/// [`EncodingError`] when the bytes are not UTF-8 (IN-13) or hold a NUL byte (IN-14).
pub fn decode_bytes(name: &str, bytes: Vec<u8>) -> Result<String, EncodingError> {
    if matches!(bytes.as_slice(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        let message = "this is UTF-16, not UTF-8".to_owned();
        return Err(refusal(name, &bytes, 0, "IN-13", message, "save it as UTF-8 (`iconv -f UTF-16 -t UTF-8`)"));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(offset).copied().unwrap_or_default();
            let message = format!("byte {byte:#04x} is not UTF-8");
            return Err(refusal(name, error.as_bytes(), offset, "IN-13", message, "save the file as UTF-8"));
        }
    };
    match text.find('\0') {
        None => Ok(text),
        Some(offset) => {
            let message = "a NUL byte: this is not a text".to_owned();
            Err(refusal(name, text.as_bytes(), offset, "IN-14", message, "remove it, or leave the file out"))
        }
    }
}

fn refusal(
    name: &str,
    bytes: &[u8],
    offset: usize,
    rule: &'static str,
    message: String,
    help: &'static str,
) -> EncodingError {
    let mut text = String::from_utf8_lossy(bytes.get(..offset).unwrap_or_default()).into_owned();
    text.push('\u{fffd}');
    EncodingError { rule, name: name.to_owned(), offset, text, message, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_with_a_byte_order_mark_is_text() {
        assert_eq!(decode_bytes("a", "\u{feff}a: é\n".as_bytes().to_vec()).unwrap(), "\u{feff}a: é\n");
    }

    #[test]
    fn a_bad_byte_is_shown_with_its_place() {
        // IN-13
        let error = decode_bytes("a.yaml", b"a: 1\nb: \xff\xfe\n".to_vec()).unwrap_err();
        assert_eq!((error.rule, error.offset, error.text.as_str()), ("IN-13", 8, "a: 1\nb: \u{fffd}"));
        assert_eq!(error.to_string(), "a.yaml:2:4: byte 0xff is not UTF-8");
    }

    #[test]
    fn utf_16_is_recognised() {
        // IN-13
        let error = decode_bytes("a.yaml", b"\xff\xfea\0:\0".to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "a.yaml:1:1: this is UTF-16, not UTF-8");
        assert_eq!(error.help, "save it as UTF-8 (`iconv -f UTF-16 -t UTF-8`)");
    }

    #[test]
    fn a_nul_byte_is_refused() {
        // IN-14
        let error = decode_bytes("a.yaml", b"k: \xc3\xa9\0".to_vec()).unwrap_err();
        assert_eq!((error.rule, error.to_string()), ("IN-14", "a.yaml:1:5: a NUL byte: this is not a text".to_owned()));
    }
}
