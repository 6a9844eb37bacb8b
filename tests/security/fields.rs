//! Whose text stands in which field. Every field that can hold text, of every type that is stored, written as JSON or printed,
//! is in the table beside this file with its class; a new one fails until somebody has said whose text it is. Fields of class
//! `outside` must be of a type that only the door makes, all others must not be.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::{Attribute, Fields, GenericArgument, Item, Meta, PathArguments, Type};

/// What a class means, for whoever reads the table.
const CLASSES: [(&str, &str); 6] = [
    ("name", "identity, state or digest: compared or found again, taken in as it came"),
    ("path", "a file or directory, taken in as it came"),
    ("runbook", "what the author of the runbook or the operator wrote"),
    ("own", "words and sentences of ours; outside text in them went through the door before"),
    ("json", "a value of a type of this table, or of the runbook"),
    ("outside", "free text of somebody else: `Shown`, or `Untrusted` and never printed"),
];
/// Types that can hold text.
const TEXTS: [&str; 9] = ["String", "str", "PathBuf", "Path", "OsString", "Cow", "Value", "Shown", "Untrusted"];
/// Types that only the door makes, or that cannot be printed.
const TAKEN_IN: [&str; 2] = ["Shown", "Untrusted"];
/// What makes a type one that leaves the process.
const LEAVES: [&str; 3] = ["Serialize", "Error", "Display"];
/// Types that leave it otherwise.
const PRINTED: [&str; 2] = ["runbook::cli::failure::Failure", "runbook::event::Event"];
/// The two types that are the door.
const DOOR: &str = "runbook::host::shown::";

/// A type, whether it leaves the process by its derives, and its fields with their types.
type Known = (String, bool, Vec<(String, String)>);

/// The fields that hold text, each with its type.
#[derive(Default)]
struct Found {
    fields: BTreeMap<String, String>,
    /// Types with a hand-written `Serialize`, `Display` or `Error`, and all types with their fields.
    by_hand: Vec<String>,
    types: Vec<Known>,
}

impl Found {
    fn file(&mut self, module: &str, items: &[Item]) {
        for item in items {
            match item {
                Item::Struct(one) if !test(&one.attrs) => {
                    let at = format!("{module}::{}", one.ident);
                    self.note(&at, &one.attrs, fields(&at, &one.fields));
                }
                Item::Enum(one) if !test(&one.attrs) => {
                    let at = format!("{module}::{}", one.ident);
                    let all = one.variants.iter().flat_map(|of| fields(&format!("{at}.{}", of.ident), &of.fields));
                    self.note(&at, &one.attrs, all.collect());
                }
                Item::Impl(one) => {
                    let of = one.trait_.as_ref().and_then(|(_, path, _)| Some(path.segments.last()?.ident.to_string()));
                    if let (Some(of), Type::Path(name)) = (of, &*one.self_ty)
                        && LEAVES.contains(&of.as_str())
                        && let Some(name) = name.path.segments.last()
                    {
                        self.by_hand.push(format!("{module}::{}", name.ident));
                    }
                }
                Item::Mod(one) if !test(&one.attrs) => {
                    if let Some((_, items)) = &one.content {
                        self.file(&format!("{module}::{}", one.ident), items);
                    }
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, at: &str, attrs: &[Attribute], fields: Vec<(String, String)>) {
        let derives = attrs.iter().any(|attr| match &attr.meta {
            Meta::List(list) if list.path.is_ident("derive") => {
                words(&list.tokens.to_string()).any(|word| LEAVES.contains(&word))
            }
            _ => false,
        });
        self.types.push((at.to_owned(), derives, fields));
    }

    fn close(mut self) -> BTreeMap<String, String> {
        for (at, derives, fields) in std::mem::take(&mut self.types) {
            let leaves = derives || self.by_hand.contains(&at) || PRINTED.contains(&at.as_str());
            if leaves && !at.starts_with(DOOR) {
                self.fields.extend(fields);
            }
        }
        self.fields
    }
}

fn fields(at: &str, fields: &Fields) -> Vec<(String, String)> {
    let named = fields.iter().enumerate().map(|(n, field)| {
        let name = field.ident.as_ref().map_or_else(|| n.to_string(), ToString::to_string);
        (format!("{at}.{name}"), spelled(&field.ty))
    });
    named.filter(|(_, of)| words(of).any(|word| TEXTS.contains(&word)) && !of.contains("&'static str")).collect()
}

/// A type by the last words of its paths, `Vec<(String, Shown)>`.
fn spelled(of: &Type) -> String {
    match of {
        Type::Path(path) => path.path.segments.last().map_or_else(String::new, |last| {
            let PathArguments::AngleBracketed(given) = &last.arguments else { return last.ident.to_string() };
            let given =
                given.args.iter().filter_map(|one| if let GenericArgument::Type(of) = one { Some(of) } else { None });
            format!("{}<{}>", last.ident, given.map(spelled).collect::<Vec<_>>().join(", "))
        }),
        Type::Reference(to) => {
            let forever = to.lifetime.as_ref().is_some_and(|life| life.ident == "static");
            format!("&{}{}", if forever { "'static " } else { "" }, spelled(&to.elem))
        }
        Type::Tuple(all) => format!("({})", all.elems.iter().map(spelled).collect::<Vec<_>>().join(", ")),
        Type::Array(of) => spelled(&of.elem),
        Type::Slice(of) => spelled(&of.elem),
        _ => "?".to_owned(),
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        Meta::List(list) if list.path.is_ident("cfg") => words(&list.tokens.to_string()).any(|word| word == "test"),
        _ => false,
    })
}

/// Reads a module and the ones that it declares outside of tests.
fn read(module: &str, file: &Path, found: &mut Found) {
    let parsed = syn::parse_file(&std::fs::read_to_string(file).unwrap()).unwrap();
    found.file(module, &parsed.items);
    let whole = file.file_name().is_some_and(|name| name == "mod.rs" || name == "lib.rs");
    let dir = if whole { file.parent().unwrap().to_owned() } else { file.with_extension("") };
    for item in &parsed.items {
        let Item::Mod(below) = item else { continue };
        if below.content.is_some() || test(&below.attrs) {
            continue;
        }
        let name = below.ident.to_string();
        let places: [PathBuf; 2] = [dir.join(format!("{name}.rs")), dir.join(&name).join("mod.rs")];
        let place = places.iter().find(|place| place.exists()).unwrap_or_else(|| panic!("no file of {module}::{name}"));
        read(&format!("{module}::{name}"), place, found);
    }
}

fn table() -> BTreeMap<String, String> {
    let lines = include_str!("fields.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.map(|line| {
        let (class, field) = line.split_once(char::is_whitespace).unwrap_or_else(|| panic!("no class: {line}"));
        (field.trim().to_owned(), class.to_owned())
    });
    let all: Vec<_> = pairs.collect();
    let table: BTreeMap<_, _> = all.iter().cloned().collect();
    assert_eq!(table.len(), all.len(), "a field is in the table twice");
    table
}

#[test]
fn every_field_that_holds_text_says_whose_it_is() {
    let mut found = Found::default();
    read("runbook", &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"), &mut found);
    let found = found.close();
    let table = table();
    let mut wrong = Vec::new();
    for (field, of) in &found {
        let Some(class) = table.get(field) else {
            wrong.push(format!("not in the table, whose text is it?  CLASS {field}   # {of}"));
            continue;
        };
        if !CLASSES.iter().any(|(known, _)| known == class) {
            wrong.push(format!("{field}: there is no class {class}, only {CLASSES:?}"));
        }
        let taken_in = words(of).any(|word| TAKEN_IN.contains(&word));
        if (class == "outside") != taken_in {
            let what = if taken_in { "came from outside by its type" } else { "is outside text and not taken in" };
            wrong.push(format!("{field}: {of} {what}, and the table says {class}"));
        }
    }
    wrong.extend(
        table.keys().filter(|field| !found.contains_key(*field)).map(|field| format!("no such field: {field}")),
    );
    super::figure(&format!("fields: {} hold text, each with its class", found.len()));
    assert!(wrong.is_empty(), "{} fields:\n{}", wrong.len(), wrong.join("\n"));
    assert!(found.len() > 200, "the sources were read: {}", found.len());
}
