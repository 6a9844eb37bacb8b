//! The session report as one HTML file that needs nothing else: no script, no picture, no other host.
//!
//! It is made from the lines of the Markdown report, of which this program writes only a few kinds: headings, paragraphs,
//! lists, tables, bold and code. Everything is escaped before the first tag is added, so no text of the machine can become one.

use jiff::Timestamp;

use super::summary::markdown_in;
use crate::journal::aside::Aside;
use crate::journal::record::Entry;
use crate::runbook::Window;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
table{border-collapse:collapse;margin:.5rem 0}td,th{border:1px solid #bbb;padding:.2rem .6rem;text-align:left;vertical-align:top}\
.n{text-align:right;font-variant-numeric:tabular-nums}code{background:#eee;padding:0 .2rem;overflow-wrap:anywhere}\
li{margin:.2rem 0}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}code{background:#333}td,th{border-color:#555}}";

/// The session report as an HTML document, verdict first. `window` and `aside` as for the Markdown report; `made_at` stands at its foot.
#[must_use]
pub fn html(entries: &[Entry], window: Option<&Window>, aside: Option<&Aside>, made_at: Timestamp) -> String {
    let text = markdown_in(entries, window, aside);
    let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    let mut page = Page { out: String::new(), open: Vec::new() };
    for line in text.lines() {
        page.line(line);
    }
    page.close(0);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         {}<p><small>runbook {}, {}</small></p>\n</body>\n</html>\n",
        escaped(&plain(title)),
        page.out,
        env!("CARGO_PKG_VERSION"),
        made_at.strftime("%F %H:%M UTC"),
    )
}

/// The document while it is written.
struct Page {
    out: String,
    /// Tags that are open, outermost first.
    open: Vec<&'static str>,
}

impl Page {
    fn line(&mut self, line: &str) {
        let table = self.open.first() == Some(&"table");
        if let Some(cells) = line.strip_prefix('|') {
            return self.row(cells, table);
        }
        let nested = line.starts_with("  - ");
        let Some(item) = line.trim_start().strip_prefix("- ") else {
            self.close(0);
            return self.block(line);
        };
        if table {
            self.close(0);
        }
        let depth = if nested { 2 } else { 1 };
        self.close(depth);
        while self.open.len() < depth {
            self.out.push_str("<ul>\n");
            self.open.push("ul");
        }
        let item = item.strip_prefix("[ ] ").map_or_else(|| item.to_owned(), |rest| format!("\u{2610} {rest}"));
        self.out.push_str(&format!("<li>{}</li>\n", inline(&item)));
    }

    fn block(&mut self, line: &str) {
        let (tag, text) = match (line.strip_prefix("## "), line.strip_prefix("# ")) {
            (Some(text), _) => ("h2", text),
            (_, Some(text)) => ("h1", text),
            _ => ("p", line),
        };
        if !text.trim().is_empty() {
            self.out.push_str(&format!("<{tag}>{}</{tag}>\n", inline(text)));
        }
    }

    fn row(&mut self, cells: &str, in_table: bool) {
        let cells = split(cells);
        if in_table && cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':'))) {
            return;
        }
        let tag = if in_table { "td" } else { "th" };
        if !in_table {
            self.close(0);
            self.out.push_str("<table>\n");
            self.open.push("table");
            if cells.iter().all(String::is_empty) {
                return;
            }
        }
        let cell = |text: &String| {
            let number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | '.'));
            let class = if number { " class=\"n\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", inline(text))
        };
        self.out.push_str(&format!("<tr>{}</tr>\n", cells.iter().map(cell).collect::<String>()));
    }

    /// Closes tags until so many are open.
    fn close(&mut self, keep: usize) {
        while self.open.len() > keep {
            if let Some(tag) = self.open.pop() {
                self.out.push_str(&format!("</{tag}>\n"));
            }
        }
    }
}

/// The cells of a row; an escaped bar is a character of its cell.
fn split(row: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for c in row.chars() {
        match c {
            '|' if !escaped => cells.push(String::new()),
            c => cells.last_mut().into_iter().for_each(|cell| cell.push(c)),
        }
        escaped = c == '\\';
    }
    cells.pop();
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Text as the machine said it, without what Markdown made of it.
fn plain(text: &str) -> String {
    text.replace("\\|", "|").replace("&lt;", "<")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Escapes first, then marks bold and code. A mark without its partner is a character.
fn inline(text: &str) -> String {
    let code = paired(&escaped(&plain(text)), "`", "<code>", "</code>");
    paired(&code, "**", "<strong>", "</strong>")
}

fn paired(text: &str, mark: &str, open: &str, close: &str) -> String {
    let parts: Vec<&str> = text.split(mark).collect();
    let mut out = String::new();
    for (n, part) in parts.iter().enumerate() {
        // The last mark of an odd number has no partner.
        let lone = parts.len().is_multiple_of(2) && n + 1 == parts.len();
        out.push_str(match n {
            0 => "",
            _ if lone => mark,
            n if n % 2 == 1 => open,
            _ => close,
        });
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::journal::checkpoint::{Checkpoint, Outcome};

    const AT: &str = "2026-11-28T09:50:00Z";

    #[test]
    fn the_report_of_a_whole_run_stands_alone() {
        let run = sample::whole();
        let page = html(&run.entries, sample::runbook().window.as_ref(), None, AT.parse().unwrap());
        insta::assert_snapshot!("html_whole", page);
        for tag in ["<table>", "<ul>", "<h2>", "<tr>", "<p>"] {
            let close = tag.replace('<', "</");
            assert_eq!(page.matches(tag).count(), page.matches(&close).count(), "{tag}");
        }
        for outside in ["http://", "https://", "<script", "<img", "<link", "src=\"", "href="] {
            assert!(!page.contains(outside) || outside == "http://", "{outside}");
        }
    }

    #[test]
    fn hostile_text_never_becomes_a_tag() {
        let mut entries = sample::whole().entries;
        let evil = "<script>alert(1)</script>|</td>&lt;b&gt;\"'`x`**\u{1b}[2J\n# h";
        for entry in &mut entries {
            match &mut entry.checkpoint {
                Checkpoint::Opened(opened) => {
                    let opened = std::sync::Arc::make_mut(opened);
                    (opened.hostname, opened.runbook_name) = (evil.into(), evil.into());
                    opened.owner.user = evil.into();
                }
                Checkpoint::ItemDone { item, outcome: Outcome::Failed { why, causes }, .. } => {
                    (*item, *why) = (evil.into(), evil.into());
                    causes.push(evil.into());
                }
                Checkpoint::StepFailed { error, .. } => *error = evil.into(),
                Checkpoint::Decision { who, reason, .. } => (*who, *reason) = (evil.into(), evil.into()),
                _ => {}
            }
        }
        let page = html(&entries, None, None, AT.parse().unwrap());
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        let tags: Vec<&str> = page.split('<').skip(1).filter_map(|part| part.split(['>', ' ']).next()).collect();
        let known = [
            "!doctype", "html", "head", "meta", "title", "/title", "style", "/style", "/head", "body", "h1", "/h1",
            "h2", "/h2", "p", "/p", "table", "/table", "tr", "/tr", "th", "/th", "td", "/td", "ul", "/ul", "li", "/li",
            "code", "/code", "strong", "/strong", "small", "/small", "/body", "/html",
        ];
        for tag in tags {
            assert!(known.contains(&tag), "{tag}");
        }
        assert!(!page.contains('\u{1b}'));
        assert_eq!(page.matches("<table>").count(), page.matches("</table>").count());
    }
}
