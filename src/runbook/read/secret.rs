//! References to secrets, and the refusal of secrets themselves.
use super::item::{Item, shown};
use crate::host::secret::SecretRef;
use crate::runbook::codes;
use crate::runbook::diagnostic::Findings;
use crate::runbook::source::Span;

/// `{ file: … }`, `{ credential: … }` or `{ env: … }`; places of the last kind are collected in `env`.
pub(super) fn reference(item: &Item<'_>, env: &mut Vec<Span>, out: &mut Findings<'_>) -> Option<SecretRef> {
    if item.node.scalar().is_some() {
        let found = item.error(codes::PLAIN_SECRET, format!("{} is a secret written into the runbook", item.what), out);
        found
            .label("everybody who reads the runbook reads it")
            .help("put it into a file and write `{ file: /etc/runbook/... }`");
        return None;
    }
    let mut fields = item.fields(item.what.clone(), out)?;
    let (file, credential, variable) = (fields.get("file"), fields.get("credential"), fields.get("env"));
    let found = match (file, credential, variable) {
        (Some(item), None, None) => item.path(out).map(SecretRef::File),
        (None, Some(item), None) => item.name(out).map(SecretRef::Credential),
        (None, None, Some(item)) => {
            env.push(item.span());
            item.text(out).and_then(|name| variable_name(name, &item, out)).map(SecretRef::Env)
        }
        _ => {
            let message = format!("{} needs exactly one of `file`, `credential` and `env`", fields.place());
            out.error(codes::CHOICE, fields.caret(), message).label("exactly one of the three");
            None
        }
    };
    fields.close(out);
    found
}

fn variable_name(name: String, item: &Item<'_>, out: &mut Findings<'_>) -> Option<String> {
    let good =
        !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !good {
        let message = format!("`{}` is not the name of an environment variable", shown(&name));
        item.error(codes::NAME, message, out).label("letters, digits and `_`");
    }
    good.then_some(name)
}
