//! What of an HTTP answer may be written into facts that travel: only what the runbook asks about, and of that only what
//! gives nothing away. A value that equals the one in the runbook is known to whoever reads the runbook; a number or a
//! yes is no secret. All else stays on the machine, and the check is then *unanswered* elsewhere, never "no".

use serde_json::Value;

use super::check::{Comparison, HttpCheck};
use crate::host::json_path::{JsonPath, Operator, holds};

/// The body that these checks need, made anew from the values that they ask for; `None` when one of them cannot be told.
#[must_use]
pub fn bare_body(checks: &[&HttpCheck], body: &str) -> Option<String> {
    let seen: Value = serde_json::from_str(body).ok()?;
    let mut told = Value::Null;
    for (path, comparison) in checks.iter().flat_map(|check| &check.json) {
        let path = JsonPath::parse(path).ok()?;
        let value = path.get(&seen)?;
        let known = matches!(comparison, Comparison::Eq(wanted) if holds(&value, Operator::Eq, wanted) == Ok(true));
        if !known && !value.is_number() && !value.is_boolean() {
            return None;
        }
        path.plant(&mut told, value.into_owned()).then_some(())?;
    }
    (!told.is_null()).then(|| told.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: Value) -> HttpCheck {
        let check =
            serde_json::json!({ "url": "http://h/", "status": 200, "headers": {}, "json": json, "required": true });
        serde_json::from_value(check).unwrap()
    }

    #[test]
    fn only_what_the_runbook_says_already_is_told() {
        let body = r#"{"status":"healthy","token":"hush","load":[{"n":7,"key":"hush"}],"ok":true}"#;
        for (asked, told) in [
            (serde_json::json!({ "$.status": { "eq": "healthy" } }), Some(r#"{"status":"healthy"}"#)),
            (serde_json::json!({ "$.load[0].n": { "lt": 10.0 } }), Some(r#"{"load":[{"n":7}]}"#)),
            (
                serde_json::json!({ "$.ok": { "ne": false }, "$.status": { "eq": "healthy" } }),
                Some(r#"{"ok":true,"status":"healthy"}"#),
            ),
            // Not equal: the value that is there instead is nobody's business.
            (serde_json::json!({ "$.token": { "eq": "other" } }), None),
            (serde_json::json!({ "$.token": { "ne": "" } }), None),
            (serde_json::json!({ "$.load[0]": { "contains": "n" } }), None),
            (serde_json::json!({ "$.load.length()": { "eq": 1 } }), Some(r#"{"load":[null]}"#)),
            (serde_json::json!({ "$.missing": { "eq": 1 } }), None),
            (serde_json::json!({}), None),
        ] {
            let check = check(asked.clone());
            assert_eq!(bare_body(&[&check], body).as_deref(), told, "{asked}");
        }
        assert_eq!(bare_body(&[&check(serde_json::json!({ "$.a": { "eq": 1 } }))], "no json"), None);
    }
}
