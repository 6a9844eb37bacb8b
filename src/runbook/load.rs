//! From text to a [`Runbook`], or to everything that is wrong with the text.
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::diagnostic::{Diagnostic, Findings};
use super::source::{Source, Span};
use super::{Runbook, codes, read, tree, validate};

/// The largest file that is read.
pub const MAX_BYTES: usize = 1 << 20;

/// A runbook that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What was written.
    pub runbook: Runbook,
    /// What was probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// SHA-256 of the bytes of the text as given, in hexadecimal.
    pub sha256: String,
    opens: Span,
    file: String,
}

/// Reads a runbook; `file` is the name to be shown with findings.
///
/// # Errors
/// Every finding, warnings among them, in the order of the text, if one of them is an error.
pub fn load(text: &str, file: &str) -> Result<Loaded, Vec<Diagnostic>> {
    let source = Source::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut out = Findings::new(&source, file);
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, at most {MAX_BYTES} are read", text.len());
        out.error(codes::TOO_LARGE, &(0..0), message);
        return Err(out.finish(|_| None));
    }
    let Some(root) = tree::parse(&mut out) else {
        return Err(out.finish(|_| None));
    };
    let written = read::runbook(&root, &mut out);
    if let Some(written) = &written {
        validate::runbook(written, &mut out);
    }
    let refused = out.any_error();
    let findings = out.finish(|offset| root.path_at(offset));
    match written {
        Some(written) if !refused => Ok(Loaded {
            runbook: written.runbook,
            warnings: findings,
            sha256: hex::encode(Sha256::digest(text.as_bytes())),
            opens: written.places.opens,
            file: file.to_owned(),
        }),
        _ => Err(findings),
    }
}

/// [`load`] for the bytes of a file, which need not be text.
///
/// # Errors
/// Those of [`load`], and one for bytes that are not UTF-8.
pub fn load_bytes(bytes: &[u8], file: &str) -> Result<Loaded, Vec<Diagnostic>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => load(text, file),
        Err(error) => {
            let start = error.valid_up_to();
            let valid = std::str::from_utf8(&bytes[..start]).unwrap_or_default();
            let source = Source::new(valid);
            let mut out = Findings::new(&source, file);
            let byte = bytes.get(start).copied().unwrap_or_default();
            let message = format!("the file is not UTF-8: byte 0x{byte:02x} at offset {start}");
            out.error(codes::NOT_UTF8, &(start..start), message)
                .help("convert it, or look whether it is the right file");
            Err(out.finish(|_| None))
        }
    }
}

impl Loaded {
    /// Warnings about nights after `from` in which the window's opening time is missing or comes twice.
    ///
    /// They need to know the time, which [`load`] does not: the same text must always load the same.
    #[must_use]
    pub fn clock_warnings(&self, text: &str, from: Timestamp) -> Vec<Diagnostic> {
        let source = Source::new(text.strip_prefix('\u{feff}').unwrap_or(text));
        let mut out = Findings::new(&source, &self.file);
        let Some(window) = &self.runbook.window else {
            return Vec::new();
        };
        let zone = window.timezone.iana_name().unwrap_or("its time zone");
        let time = window.opens.strftime("%H:%M");
        let changes = window.clock_changes(from, 2);
        for missing in [true, false] {
            let Some(change) = changes.iter().find(|change| change.missing == missing) else {
                continue;
            };
            let (code, what, label) = if missing {
                (codes::CLOCK_GAP, "does not exist", "the clock goes forward over it in that night")
            } else {
                (codes::CLOCK_FOLD, "comes twice", "the clock goes back over it in that night")
            };
            let found = out.warning(code, &self.opens, format!("{time} {what} on {} in {zone}", change.date));
            found.label(label).help("choose another hour, or `timezone: UTC`");
        }
        out.finish(|_| Some("window.opens".to_owned()))
    }
}
