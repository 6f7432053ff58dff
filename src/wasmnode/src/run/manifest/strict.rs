//! Finds what a document says and its type does not know, as the API server's strict validation would.
//!
//! The API types skip unknown fields, so the document is read into its type, written back, and compared.

use serde_json::Value;

use super::tree::Tree;

/// Fields whose type is a quantity: `cpu: 1` is as good as `cpu: "1"`.
const QUANTITIES: [&str; 5] = ["limits", "requests", "sizeLimit", "divisor", "overhead"];

/// What is wrong with a field, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) line: u64,
    pub(super) problem: String,
}

/// The first field that was lost, or whose value became another type. `line` is that of the node.
pub(super) fn compare(path: &str, line: u64, said: &Tree, understood: &Value) -> Result<(), Flaw> {
    match (said, understood) {
        (Tree::Map(entries), Value::Object(fields)) => entries.iter().try_for_each(|entry| {
            let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            match fields.get(&entry.key) {
                Some(understood) => compare(&path, entry.line, &entry.value, understood),
                None if says_nothing(&entry.value) => Ok(()),
                None => Err(Flaw { line: entry.line, problem: format!("unknown field {path}") }),
            }
        }),
        (Tree::List(items), Value::Array(values)) => items
            .iter()
            .zip(values)
            .enumerate()
            .try_for_each(|(n, ((line, item), value))| compare(&format!("{path}[{n}]"), *line, item, value)),
        (Tree::Number(_) | Tree::Bool(_), Value::String(_)) if !is_quantity(path) => {
            Err(Flaw { line, problem: format!("field {path} must be a text: put it in quotes") })
        }
        _ => Ok(()),
    }
}

/// A null is as if it were not there.
fn says_nothing(value: &Tree) -> bool {
    *value == Tree::Null
}

fn is_quantity(path: &str) -> bool {
    path.rsplit('.').take(2).any(|part| QUANTITIES.contains(&part))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn flaw(text: &str) -> Option<(u64, String)> {
        let head = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
        let text = format!("{head}{text}");
        let pod: Pod = serde_saphyr::from_str(&text).unwrap();
        let tree: Tree = serde_saphyr::from_str(&text).unwrap();
        let back = serde_json::to_value(&pod).unwrap();
        compare("", 1, &tree, &back).err().map(|flaw| (flaw.line, flaw.problem))
    }

    #[test]
    fn unknown_fields_and_wrong_types_have_lines() {
        let unknown = |line, path: &str| Some((line, format!("unknown field {path}")));
        let spec = "spec:\n  containers:\n  - name: c\n    image: i\n";
        let cases = [
            (spec.to_owned(), None),
            ("sepc: {}\n".to_owned(), unknown(4, "sepc")),
            (format!("{spec}    comand: [a]\n"), unknown(8, "spec.containers[0].comand")),
            (format!("{spec}    resources: {{limits: {{cpu: 1, memory: 64Mi}}}}\n"), None),
            (format!("{spec}    volumeMounts: null\n    args: []\n"), None),
            (
                format!("{spec}    env: [{{name: A, valueFrom: {{fieldRef: {{path: x}}}}}}]\n"),
                unknown(8, "spec.containers[0].env[0].valueFrom.fieldRef.path"),
            ),
            (
                format!("{spec}    env:\n    - name: A\n      value: 5\n"),
                Some((10, "field spec.containers[0].env[0].value must be a text: put it in quotes".to_owned())),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(flaw(&text), expected, "{text}");
        }
    }
}
