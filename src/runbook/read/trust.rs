//! `tls:` beside an address: whom to trust there, and who we are.
use super::item::{Item, shown};
use super::secret;
use crate::host::tls::Tls;
use crate::runbook::codes;
use crate::runbook::diagnostic::Findings;
use crate::runbook::source::Span;

/// `tls: { ca: FILE, name: HOST, cert: FILE, key: { file: FILE } }` of an instance at `url`.
pub(super) fn redis(item: &Item<'_>, url: Option<&str>, env: &mut Vec<Span>, out: &mut Findings<'_>) -> Option<Tls> {
    belongs(item, url, "rediss://", out)?;
    let mut fields = item.fields("`tls`", out)?;
    let ca = fields.get("ca").and_then(|item| item.path(out));
    let name = fields.get("name").and_then(|item| name(&item, out));
    let cert = fields.get("cert").and_then(|item| item.path(out));
    let key = fields.get("key").and_then(|item| secret::reference(&item, env, out));
    if cert.is_some() != key.is_some() {
        let found = out.error(codes::CHOICE, fields.caret(), "our own certificate needs `cert` and `key`".to_owned());
        found.label("one of the two is missing").help("write both, or neither where the server asks for none");
    }
    fields.close(out);
    Some(Tls { ca, name, cert, key })
}

/// `tls: { ca: FILE }` of an HTTP endpoint at `url`.
pub(super) fn http(item: &Item<'_>, url: Option<&str>, out: &mut Findings<'_>) -> Option<Tls> {
    belongs(item, url, "https://", out)?;
    let mut fields = item.fields("`tls`", out)?;
    let ca = fields.need("ca", out).and_then(|item| item.path(out));
    fields.close(out);
    Some(Tls { ca: Some(ca?), ..Tls::default() })
}

/// Beside an address that speaks plainly it would look like protection.
fn belongs(item: &Item<'_>, url: Option<&str>, scheme: &str, out: &mut Findings<'_>) -> Option<()> {
    if url.is_none_or(|url| url.starts_with(scheme)) {
        return Some(());
    }
    let found = item.error(codes::CHOICE, "`tls` beside an address without TLS".to_owned(), out);
    found.label("nothing is encrypted there").help(format!("write the url as `{scheme}...`, or remove `tls`"));
    None
}

fn name(item: &Item<'_>, out: &mut Findings<'_>) -> Option<String> {
    let name = item.text(out)?;
    let good = !name.is_empty()
        && name.len() <= 253
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
    if !good {
        item.error(codes::ADDRESS, format!("`{}` is not the name of a host", shown(&name)), out).label("a host name");
    }
    good.then_some(name)
}
